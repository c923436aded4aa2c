-- SPDX-License-Identifier: Apache-2.0
--- Joins what is too large.
-- try: action limit.memory
return {
  actions = {
    ["memory_concat.go"] = {
      execute = function()
        local t = {}
        for i = 1, 1000 do
          t[i] = ("x"):rep(2000)
        end
        return #table.concat(t)
      end,
    },
  },
}
