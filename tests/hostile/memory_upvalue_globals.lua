-- SPDX-License-Identifier: Apache-2.0
--- Fills its own globals.
-- try: action limit.memory
return {
  actions = {
    ["memory_upvalue_globals.go"] = {
      execute = function()
        for i = 1, 1e9 do
          _G["g" .. i] = { i }
        end
      end,
    },
  },
}
