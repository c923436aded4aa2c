-- SPDX-License-Identifier: Apache-2.0
--- table functions with the largest and smallest integers, and tables that lie about themselves.
-- try: action ok|limit.instructions
return {
  actions = {
    ["table_extremes.go"] = {
      execute = function(_, ctx)
        local big, least = math.maxinteger, math.mininteger
        local liar = setmetatable({}, { __len = function() return big end, __index = function(_, i) return i end, __newindex = function() end })
        for at, try in ipairs({
          function() return table.move({}, least, big, 1) end, function() return table.move({ 1 }, 1, big, 2) end, function() return table.move({}, 1, 2, big) end,
          function() return table.unpack({}, least, big) end, function() return table.unpack({}, 1, 1 << 31) end, function() return table.unpack(liar) end,
          function() return table.concat({}, "", least, least + 1) end, function() return table.concat({}, "x", big - 1, big) end,
          function() return table.insert({}, big, 1) end, function() return table.insert({}, least, 1) end,
          function() return table.remove({}, big) end, function() return table.sort(liar) end, function() return select(least, 1) end,
          function() return table.sort({ 1, 2, "x" }) end, function() return table.sort({ 3, 2, 1 }, function() error({}) end) end,
        }) do
          assert(not pcall(try), "try " .. at)
        end
        assert(table.concat({}, "", big, least) == "" and select("#", table.unpack({}, big, least)) == 0 and next(table.move({}, 1, 0, big)) == nil)
      end,
    },
  },
}
