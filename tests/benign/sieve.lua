-- SPDX-License-Identifier: Apache-2.0
--- Prime numbers below twenty thousand.
-- try: action ok
-- result: 2262
return {
  actions = {
    ["sieve.go"] = {
      execute = function()
        local composite, count = {}, 0
        for i = 2, 20000 do
          if not composite[i] then
            count = count + 1
            for j = i * i, 20000, i do
              composite[j] = true
            end
          end
        end
        return count
      end,
    },
  },
}
