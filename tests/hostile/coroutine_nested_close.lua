-- SPDX-License-Identifier: Apache-2.0
--- Closes that close inside each other: a stack overflow in C where nobody counts.
-- try: action ok
return {
  actions = {
    ["coroutine_nested_close.go"] = {
      execute = function()
        local function nest(n)
          local co = coroutine.create(function()
            local guard <close> = setmetatable({}, { __close = function()
              nest(n + 1)
            end })
            coroutine.yield(guard)
          end)
          coroutine.resume(co)
          return coroutine.close(co)
        end
        return (nest(0))
      end,
    },
  },
}
