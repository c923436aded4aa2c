-- SPDX-License-Identifier: Apache-2.0
--- Functions that keep each other.
-- try: action limit.memory
return {
  actions = {
    ["memory_closures.go"] = {
      execute = function()
        local f = function() end
        while true do
          local g = f
          f = function()
            return g
          end
        end
      end,
    },
  },
}
