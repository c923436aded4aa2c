-- SPDX-License-Identifier: Apache-2.0
--- Repeats nothing, a very large number of times.
-- try: action limit.instructions
return {
  actions = {
    ["c_rep_empty.go"] = {
      execute = function()
        while true do
          string.rep("", math.maxinteger)
        end
      end,
    },
  },
}
