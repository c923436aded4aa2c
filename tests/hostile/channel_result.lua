-- SPDX-License-Identifier: Apache-2.0
--- Answers with something that is no answer.
-- try: channel bad_result
return {
  channel = {
    type = "channel_result",
    send = function()
      return "sent"
    end,
  },
}
