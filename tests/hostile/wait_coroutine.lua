-- SPDX-License-Identifier: Apache-2.0
--- Waits in coroutines inside each other, one of which is closed meanwhile.
-- try: action ok
-- permissions: operators:call
return {
  actions = {
    ["wait_coroutine.go"] = {
      execute = function(_, ctx)
        local inner
        inner = coroutine.wrap(function()
          return coroutine.wrap(function()
            return ctx.call("good.ping", {})
          end)()
        end)
        local answer = inner()
        pcall(inner)
        return answer
      end,
    },
  },
}
