-- SPDX-License-Identifier: Apache-2.0
--- Closing values that fail while they are closed because of a failure, one in the other.
-- try: action limit.instructions
return {
  actions = {
    ["coroutine_close_error.go"] = {
      execute = function(_, ctx)
        local function nest(n)
          local guard <close> = setmetatable({}, { __close = function() error("again " .. n) end })
          if n > 0 then nest(n - 1) else error("first") end
          return guard
        end
        local ok, why = pcall(nest, 150)
        assert(not ok and why:find("again"), why)
        while true do pcall(nest, 100) end
      end,
    },
  },
}
