-- SPDX-License-Identifier: Apache-2.0
--- Recursion without end.
-- try: action limit.memory
return {
  actions = {
    ["memory_stack.go"] = {
      execute = function()
        local function down(n)
          return 1 + down(n + 1)
        end
        return down(1)
      end,
    },
  },
}
