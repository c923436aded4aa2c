-- SPDX-License-Identifier: Apache-2.0
--- A weak table whose entries form a chain, quadratic for the collector.
-- try: action ok|limit.memory
return {
  actions = {
    ["escape_ephemeron.go"] = {
      execute = function()
        local t = setmetatable({}, { __mode = "k" })
        local key = {}
        for _ = 1, 15000 do
          local nxt = {}
          t[key] = nxt
          key = nxt
        end
        return "alive"
      end,
    },
  },
}
