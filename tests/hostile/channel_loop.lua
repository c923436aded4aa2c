-- SPDX-License-Identifier: Apache-2.0
--- Loops instead of sending.
-- try: channel limit.instructions
return {
  channel = {
    type = "channel_loop",
    send = function()
      while true do
      end
    end,
  },
}
