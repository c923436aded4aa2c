-- SPDX-License-Identifier: Apache-2.0
--- Loops in coroutines that die one after the other.
-- try: condition limit.instructions
return {
  conditions = {
    ["swallow_coroutine.go"] = {
      evaluate = function()
        while true do
          coroutine.resume(coroutine.create(function()
            while true do
            end
          end))
        end
      end,
    },
  },
}
