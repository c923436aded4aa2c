-- SPDX-License-Identifier: Apache-2.0
--- Says ten thousand events.
-- try: action limit.writes|limit.calls|limit.rate
-- permissions: event:publish:flood.*
return {
  actions = {
    ["flood_emit.go"] = {
      execute = function(_, ctx)
        for i = 1, 10000 do
          ctx.emit("flood.Event", { i = i })
        end
      end,
    },
  },
}
