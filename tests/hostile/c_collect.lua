-- SPDX-License-Identifier: Apache-2.0
--- Runs the collector for ever.
-- try: action limit.instructions
return {
  actions = {
    ["c_collect.go"] = {
      execute = function()
        while true do
          collectgarbage("count")
        end
      end,
    },
  },
}
