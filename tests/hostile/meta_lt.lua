-- SPDX-License-Identifier: Apache-2.0
--- Loops when tables are ordered.
-- try: condition limit.instructions
return {
  conditions = {
    ["meta_lt.go"] = {
      evaluate = function()
        local m = { __lt = function()
          while true do
          end
        end }
        return setmetatable({}, m) < setmetatable({}, m)
      end,
    },
  },
}
