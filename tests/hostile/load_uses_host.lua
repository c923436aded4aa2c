-- SPDX-License-Identifier: Apache-2.0
--- Tries to reach the host before it is loaded.
-- try: load lua.error
print("loading")
local function use()
  return ctx.storage.get("x") -- luacheck: ignore
end
use()
return {}
