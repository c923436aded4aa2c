-- SPDX-License-Identifier: Apache-2.0
--- Gives an iterator that never ends.
-- try: action limit.instructions
return {
  actions = {
    ["meta_pairs.go"] = {
      execute = function()
        for _ in pairs(setmetatable({}, { __pairs = function()
          return function()
            return 1
          end
        end })) do
        end
      end,
    },
  },
}
