-- SPDX-License-Identifier: Apache-2.0
--- table.move between tables whose metamethods move tables.
-- try: action limit.instructions|limit.memory|limit.time
return {
  actions = {
    ["table_liar_move.go"] = {
      execute = function(_, ctx)
        local liar
        liar = setmetatable({}, { __index = function(_, i) table.move(liar, 1, i, 1, {}) return i end })
        while true do pcall(table.move, liar, 1, 1 << 30, 1, {}) end
      end,
    },
  },
}
