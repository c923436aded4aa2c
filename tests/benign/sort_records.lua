-- SPDX-License-Identifier: Apache-2.0
--- Sorts two thousand records by two fields.
-- try: action ok
-- result: ["n0001","n1993"]
return {
  actions = {
    ["sort_records.go"] = {
      execute = function()
        local t = {}
        for i = 1, 2000 do
          t[i] = { group = i % 7, name = ("n%04d"):format((i * 37) % 2000) }
        end
        table.sort(t, function(a, b)
          if a.group ~= b.group then
            return a.group < b.group
          end
          return a.name < b.name
        end)
        return { t[1].name, t[2000].name }
      end,
    },
  },
}
