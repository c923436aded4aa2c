-- SPDX-License-Identifier: Apache-2.0
--- Integer keys that collide: one assignment rehashes for seconds.
-- try: condition limit.instructions|limit.time|limit.memory
return {
  conditions = {
    ["slow_rehash.go"] = {
      evaluate = function()
        local step = (1 << 17) - 1
        local t = {}
        for i = 1, 70000 do
          t[i * step] = true
        end
        return #t == 0
      end,
    },
  },
}
