-- SPDX-License-Identifier: Apache-2.0
--- Calls another operator again and again.
-- try: action limit.calls|limit.rate|limit.time
-- permissions: operators:call
return {
  actions = {
    ["flood_call_others.go"] = {
      execute = function(_, ctx)
        for _ = 1, 20000 do
          ctx.call("good.ping", {})
        end
      end,
    },
  },
}
