-- SPDX-License-Identifier: Apache-2.0
--- table.concat of a table that answers for ever.
-- try: action limit.instructions|limit.memory
return {
  actions = {
    ["table_liar_concat.go"] = {
      execute = function(_, ctx)
        local liar = setmetatable({}, { __len = function() return 1 << 40 end, __index = function() return "x" end })
        while true do pcall(table.concat, liar) end
      end,
    },
  },
}
