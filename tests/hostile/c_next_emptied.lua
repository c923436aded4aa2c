-- SPDX-License-Identifier: Apache-2.0
--- Walks a table that was filled and emptied, again and again.
-- try: condition limit.time|limit.instructions
return {
  conditions = {
    ["c_next_emptied.go"] = {
      evaluate = function()
        local t = {}
        for i = 1, 20000 do
          t["k" .. i] = i
        end
        for i = 1, 20000 do
          t["k" .. i] = nil
        end
        while not next(t) do
        end
      end,
    },
  },
}
