-- SPDX-License-Identifier: Apache-2.0
--- Handlers that fail in handlers, in coroutines, for ever.
-- try: action limit.instructions|limit.memory|limit.time
return {
  actions = {
    ["coroutine_handler_chain.go"] = {
      execute = function(_, ctx)
        local function handler(e)
          return coroutine.wrap(function() return select(2, xpcall(error, handler, e)) end)()
        end
        while true do xpcall(error, handler, {}) end
      end,
    },
  },
}
