-- SPDX-License-Identifier: Apache-2.0
--- Calls another operator twenty times, also from coroutines.
-- try: action ok
-- result: 20
-- permissions: operators:call
return {
  actions = {
    ["calls_others.go"] = {
      execute = function(_, ctx)
        local answers = 0
        for _ = 1, 10 do
          answers = answers + (ctx.call("good.ping", {}) == "PONG-7" and 1 or 0)
          answers = answers + (coroutine.wrap(function()
            return ctx.call("good.check", { n = 3 })
          end)() and 1 or 0)
        end
        return answers
      end,
    },
  },
}
