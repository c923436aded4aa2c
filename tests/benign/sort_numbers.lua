-- SPDX-License-Identifier: Apache-2.0
--- Sorts ten thousand numbers.
-- try: action ok
-- result: [1,5004,10006]
return {
  actions = {
    ["sort_numbers.go"] = {
      execute = function()
        local t = {}
        for i = 1, 10000 do
          t[i] = (i * 7919) % 10007
        end
        table.sort(t)
        return { t[1], t[5000], t[10000] }
      end,
    },
  },
}
