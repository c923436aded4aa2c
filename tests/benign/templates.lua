-- SPDX-License-Identifier: Apache-2.0
--- Replaces names in a text, with functions and tables.
-- try: action ok
-- result: [3000,300,"Dear Ada, 3 items, {missing}. Dear Ad"]
return {
  actions = {
    ["templates.go"] = {
      execute = function()
        local values = { name = "Ada", count = 3 }
        local text = ("Dear {name}, {count} items, {missing}. "):rep(100)
        local out, n = text:gsub("{(%w+)}", function(key)
          return values[key] and tostring(values[key])
        end)
        return { #out, n, out:sub(1, 37) }
      end,
    },
  },
}
