-- SPDX-License-Identifier: Apache-2.0
--- Takes all memory before it answers.
-- try: webhook 500
-- permissions: network:inbound
return {
  webhooks = {
    ["/go"] = {
      handle = function()
        local t = {}
        while true do
          t[#t + 1] = {}
        end
      end,
    },
  },
}
