-- SPDX-License-Identifier: Apache-2.0
--- Multiplies matrices.
-- try: action ok
-- result: [9425,-17545]
return {
  actions = {
    ["matrix.go"] = {
      execute = function()
        local function make(n, f)
          local m = {}
          for i = 1, n do
            m[i] = {}
            for j = 1, n do
              m[i][j] = f(i, j)
            end
          end
          return m
        end
        local n = 30
        local a = make(n, function(i, j)
          return i + j
        end)
        local b = make(n, function(i, j)
          return i - j
        end)
        local c = make(n, function(i, j)
          local sum = 0
          for k = 1, n do
            sum = sum + a[i][k] * b[k][j]
          end
          return sum
        end)
        return { c[1][1], c[n][n] }
      end,
    },
  },
}
