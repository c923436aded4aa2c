-- SPDX-License-Identifier: Apache-2.0
--- A webhook whose path paints the terminal of whoever lists it.
-- try: load plugin.package
return {
  webhooks = { ["/go\27[2J"] = { methods = { "POST" }, handle = function() return { status = 200 } end } },
}
