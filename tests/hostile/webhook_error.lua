-- SPDX-License-Identifier: Apache-2.0
--- Its error tells secrets, which the sender must not see.
-- try: webhook 500
-- permissions: network:inbound
return {
  webhooks = {
    ["/go"] = {
      handle = function()
        error("the password is tomato")
      end,
    },
  },
}
