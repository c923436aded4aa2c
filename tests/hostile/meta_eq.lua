-- SPDX-License-Identifier: Apache-2.0
--- Loops when tables are compared.
-- try: condition limit.instructions
return {
  conditions = {
    ["meta_eq.go"] = {
      evaluate = function()
        local m = { __eq = function()
          while true do
          end
        end }
        return setmetatable({}, m) == setmetatable({}, m)
      end,
    },
  },
}
