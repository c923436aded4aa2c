-- SPDX-License-Identifier: Apache-2.0
--- Catches whatever ends the inner loop and goes on.
-- try: action limit.instructions
return {
  actions = {
    ["swallow_pcall.go"] = {
      execute = function()
        while true do
          pcall(function()
            while true do
            end
          end)
        end
      end,
    },
  },
}
