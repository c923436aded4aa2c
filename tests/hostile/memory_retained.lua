-- SPDX-License-Identifier: Apache-2.0
--- Keeps a little of each call.
-- try: action ok
-- try: repeat 60 limit.memory
local kept = {}

return {
  actions = {
    ["memory_retained.go"] = {
      execute = function()
        for _ = 1, 200 do
          kept[#kept + 1] = ("x"):rep(1000) .. #kept
        end
        return #kept
      end,
    },
  },
}
