-- SPDX-License-Identifier: Apache-2.0
--- Breaks its own libraries and its own globals; nobody else may notice.
-- try: action ok
return {
  actions = {
    ["escape_tamper.go"] = {
      execute = function()
        for name in pairs(string) do
          string[name] = nil
        end
        table.concat, math.floor, pairs, type = nil, nil, nil, nil
        setmetatable(_G, { __index = function()
          error("gone")
        end })
        return "broken"
      end,
    },
  },
}
