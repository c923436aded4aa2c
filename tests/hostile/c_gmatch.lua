-- SPDX-License-Identifier: Apache-2.0
--- An iterator that never moves on.
-- try: action limit.instructions
return {
  actions = {
    ["c_gmatch.go"] = {
      execute = function()
        local n = 0
        while true do
          for _ in ("abc"):gmatch("()") do
            n = n + 1
          end
        end
      end,
    },
  },
}
