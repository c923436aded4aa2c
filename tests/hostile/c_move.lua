-- SPDX-License-Identifier: Apache-2.0
--- Moves elements that are not there.
-- try: action limit.instructions
return {
  actions = {
    ["c_move.go"] = {
      execute = function()
        return table.move({}, 1, math.maxinteger - 1, 2)
      end,
    },
  },
}
