-- SPDX-License-Identifier: Apache-2.0
--- A chain of a hundred tables, asked for ever.
-- try: action limit.instructions
return {
  actions = {
    ["meta_index_chain.go"] = {
      execute = function()
        local t = {}
        for _ = 1, 90 do
          t = setmetatable({}, { __index = t })
        end
        while not t.x do
        end
      end,
    },
  },
}
