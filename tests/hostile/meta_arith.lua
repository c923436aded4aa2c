-- SPDX-License-Identifier: Apache-2.0
--- Loops in an addition.
-- try: action limit.instructions
return {
  actions = {
    ["meta_arith.go"] = {
      execute = function()
        return setmetatable({}, { __add = function()
          while true do
          end
        end }) + 1
      end,
    },
  },
}
