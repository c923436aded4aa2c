-- SPDX-License-Identifier: Apache-2.0
--- Recursion five thousand deep, and tail calls without end but one.
-- try: action ok
-- result: [5000,50000]
return {
  actions = {
    ["recursion.go"] = {
      execute = function()
        local function depth(n)
          return n == 0 and 0 or 1 + depth(n - 1)
        end
        local function count(n, sum)
          if n == 0 then
            return sum
          end
          return count(n - 1, sum + 1)
        end
        return { depth(5000), count(50000, 0) }
      end,
    },
  },
}
