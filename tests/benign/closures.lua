-- SPDX-License-Identifier: Apache-2.0
--- Counters, memoization and currying.
-- try: action ok
-- result: [1001,1,23416728348467685]
return {
  actions = {
    ["closures.go"] = {
      execute = function()
        local function counter()
          local n = 0
          return function()
            n = n + 1
            return n
          end
        end
        local a, b = counter(), counter()
        for _ = 1, 1000 do
          a()
        end
        local function memo(f)
          local known = {}
          return function(x)
            known[x] = known[x] or f(x)
            return known[x]
          end
        end
        local fib
        fib = memo(function(n)
          return n < 2 and n or fib(n - 1) + fib(n - 2)
        end)
        return { a(), b(), fib(80) }
      end,
    },
  },
}
