-- SPDX-License-Identifier: Apache-2.0
--- An error handler closes a coroutine whose closing value loops.
-- try: action limit.instructions
return {
  actions = {
    ["coroutine_close_in_handler.go"] = {
      execute = function(_, ctx)
        local co = coroutine.create(function()
          local guard <close> = setmetatable({}, { __close = function() while true do pcall(error) end end })
          coroutine.yield(guard)
        end)
        coroutine.resume(co)
        while true do
          xpcall(error, function() return coroutine.close(co) end)
        end
      end,
    },
  },
}
