-- SPDX-License-Identifier: Apache-2.0
--- A comparison that loops.
-- try: action limit.instructions
return {
  actions = {
    ["c_sort_endless.go"] = {
      execute = function()
        table.sort({ 3, 2, 1 }, function()
          while true do
          end
        end)
      end,
    },
  },
}
