-- SPDX-License-Identifier: Apache-2.0
--- Answers with a status that is none.
-- try: webhook 500
-- permissions: network:inbound
return {
  webhooks = {
    ["/go"] = {
      handle = function()
        return { status = 99999 }
      end,
    },
  },
}
