-- SPDX-License-Identifier: Apache-2.0
--- Catches the refusal of memory and tries again.
-- try: action limit.memory
return {
  actions = {
    ["memory_swallowed.go"] = {
      execute = function()
        local kept = {}
        while true do
          pcall(function()
            kept[#kept + 1] = ("x"):rep(500000) .. #kept
          end)
        end
      end,
    },
  },
}
