-- SPDX-License-Identifier: Apache-2.0
--- A comparison without any order.
-- try: action ok
return {
  actions = {
    ["c_sort_liar.go"] = {
      execute = function()
        local t = {}
        for i = 1, 1000 do
          t[i] = i
        end
        for _ = 1, 3 do
          table.sort(t, function()
            return true
          end)
        end
        return #t
      end,
    },
  },
}
