-- SPDX-License-Identifier: Apache-2.0
--- Says one event of a megabyte.
-- try: action too_large|limit.output
-- permissions: event:publish:flood.*
return {
  actions = {
    ["flood_event_size.go"] = {
      execute = function(_, ctx)
        ctx.emit("flood.Event", { text = ("x"):rep(500000) })
      end,
    },
  },
}
