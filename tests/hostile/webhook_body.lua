-- SPDX-License-Identifier: Apache-2.0
--- Answers with more than fits.
-- try: webhook 500
-- permissions: network:inbound
return {
  webhooks = {
    ["/go"] = {
      handle = function()
        return { status = 200, body = ("x"):rep(6000000) }
      end,
    },
  },
}
