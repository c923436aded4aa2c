-- SPDX-License-Identifier: Apache-2.0
--- Inheritance by metatables, with operators.
-- try: action ok
-- result: ["(3000, 4000)",5,true,"(6, 8)","m 7"]
return {
  actions = {
    ["classes.go"] = {
      execute = function()
        local Vector = {}
        Vector.__index = Vector
        Vector.__add = function(a, b)
          return setmetatable({ x = a.x + b.x, y = a.y + b.y }, Vector)
        end
        Vector.__eq = function(a, b)
          return a.x == b.x and a.y == b.y
        end
        Vector.__tostring = function(v)
          return ("(%d, %d)"):format(v.x, v.y)
        end
        Vector.__len = function(v)
          return math.floor(math.sqrt(v.x * v.x + v.y * v.y))
        end
        Vector.__call = function(v, k)
          return setmetatable({ x = v.x * k, y = v.y * k }, Vector)
        end
        local Named = setmetatable({}, { __index = Vector })
        Named.__index = Named
        function Vector:length()
          return #self
        end
        function Named:hello()
          return self.name .. " " .. self:length()
        end
        local v = setmetatable({ x = 3, y = 4 }, Vector)
        local sum = v
        for _ = 1, 999 do
          sum = sum + v
        end
        local n = setmetatable({ name = "n", x = 0, y = 0 }, Named)
        n.length = Vector.length
        return { tostring(sum), #v, v == setmetatable({ x = 3, y = 4 }, Vector), tostring(v(2)), Named.hello({ name = "m", length = function()
          return 7
        end }) }
      end,
    },
  },
}
