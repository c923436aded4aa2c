-- SPDX-License-Identifier: Apache-2.0
--- An __index that asks itself.
-- try: condition limit.instructions
return {
  conditions = {
    ["meta_index.go"] = {
      evaluate = function()
        local t = setmetatable({}, { __index = function(t, k)
          while k do
          end
          return t
        end })
        return t.x
      end,
    },
  },
}
