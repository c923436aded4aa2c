-- SPDX-License-Identifier: Apache-2.0
--- Recursion with a growing list of arguments.
-- try: action limit.memory|limit.instructions
return {
  actions = {
    ["memory_varargs.go"] = {
      execute = function()
        local function more(...)
          return more(1, 2, 3, 4, 5, 6, 7, 8, ...)
        end
        return more()
      end,
    },
  },
}
