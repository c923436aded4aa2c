-- SPDX-License-Identifier: Apache-2.0
--- Methods of a webhook that would be lines of an answer.
-- try: load plugin.package
return {
  webhooks = { ["/go"] = { methods = { "GET\r\nSet-Cookie: a=b" }, handle = function() return { status = 200 } end } },
}
