-- SPDX-License-Identifier: Apache-2.0
--- A loop whose end never comes, in an action.
-- try: action limit.instructions
return {
  actions = {
    ["loop_repeat.go"] = {
      execute = function()
        local n = 0
        repeat
          n = n + 1
        until n < 0
      end,
    },
  },
}
