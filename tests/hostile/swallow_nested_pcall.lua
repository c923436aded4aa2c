-- SPDX-License-Identifier: Apache-2.0
--- Twenty pcalls inside each other, each of which would try again.
-- try: action limit.instructions
return {
  actions = {
    ["swallow_nested_pcall.go"] = {
      execute = function()
        local function nest(n)
          while true do
            if n > 0 then
              pcall(nest, n - 1)
            end
          end
        end
        nest(20)
      end,
    },
  },
}
