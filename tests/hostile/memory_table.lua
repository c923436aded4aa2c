-- SPDX-License-Identifier: Apache-2.0
--- A table that grows.
-- try: action limit.memory
return {
  actions = {
    ["memory_table.go"] = {
      execute = function()
        local t = {}
        while true do
          t[#t + 1] = {}
        end
      end,
    },
  },
}
