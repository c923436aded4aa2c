-- SPDX-License-Identifier: Apache-2.0
--- A __concat that makes the stack grow: corrupts memory in 5.4.4.
-- try: action ok
return {
  actions = {
    ["escape_concat.go"] = {
      execute = function()
        local function deep(n)
          return n == 0 and 0 or 1 + deep(n - 1)
        end
        local t = setmetatable({}, { __concat = function(a)
          deep(150)
          return a
        end })
        for _ = 1, 200 do
          pcall(function()
            return "a" .. t .. "b" .. t .. "c"
          end)
        end
        return "alive"
      end,
    },
  },
}
