-- SPDX-License-Identifier: Apache-2.0
--- Generators that feed each other.
-- try: action ok
-- result: 1501500
return {
  actions = {
    ["coroutines.go"] = {
      execute = function()
        local function numbers(n)
          return coroutine.wrap(function()
            for i = 1, n do
              coroutine.yield(i)
            end
          end)
        end
        local function filter(source, keep)
          return coroutine.wrap(function()
            for v in source do
              if keep(v) then
                coroutine.yield(v)
              end
            end
          end)
        end
        local sum = 0
        for v in filter(numbers(3000), function(v)
          return v % 3 == 0
        end) do
          sum = sum + v
        end
        return sum
      end,
    },
  },
}
