-- SPDX-License-Identifier: Apache-2.0
--- Takes all memory instead of sending.
-- try: channel limit.memory
return {
  channel = {
    type = "channel_memory",
    send = function()
      local s = "x"
      while true do
        s = s .. s
      end
    end,
  },
}
