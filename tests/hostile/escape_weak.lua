-- SPDX-License-Identifier: Apache-2.0
--- A weak metatable, which the collector takes away while it is used.
-- try: action ok
return {
  actions = {
    ["escape_weak.go"] = {
      execute = function()
        local meta = setmetatable({}, { __mode = "v" })
        meta.__newindex = setmetatable({}, { __newindex = function() end })
        local t = setmetatable({}, meta)
        for i = 1, 2000 do
          t[i] = ("x"):rep(100) .. i
        end
        return "alive"
      end,
    },
  },
}
