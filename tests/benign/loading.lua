-- SPDX-License-Identifier: Apache-2.0
--- Compiles and runs small chunks.
-- try: action ok
-- result: [2550,6,6]
return {
  actions = {
    ["loading.go"] = {
      execute = function()
        local sum = 0
        for i = 1, 50 do
          sum = sum + load("local x = ... return x * " .. i)(2)
        end
        local env = { y = 5 }
        return { sum, load("y = y + 1 return y", "chunk", "t", env)(), env.y }
      end,
    },
  },
}
