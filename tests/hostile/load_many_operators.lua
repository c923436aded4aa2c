-- SPDX-License-Identifier: Apache-2.0
--- Offers more operators than anybody can want.
-- try: load limit.memory|limit.instructions|plugin.package|ok
local actions = {}
for i = 1, 60000 do
  actions["load_many_operators.op" .. i] = { execute = print }
end
return { actions = actions }
