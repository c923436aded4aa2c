-- SPDX-License-Identifier: Apache-2.0
--- Loops before it answers.
-- try: webhook 500
-- permissions: network:inbound
return {
  webhooks = {
    ["/go"] = {
      handle = function()
        while true do
        end
      end,
    },
  },
}
