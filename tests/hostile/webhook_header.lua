-- SPDX-License-Identifier: Apache-2.0
--- Smuggles a second answer into a header.
-- try: webhook 200
-- permissions: network:inbound
return {
  webhooks = {
    ["/go"] = {
      handle = function()
        return { status = 200, headers = { ["X-A"] = "1\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK" } }
      end,
    },
  },
}
