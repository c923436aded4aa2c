-- SPDX-License-Identifier: Apache-2.0
--- Control characters in what becomes an attribute of an event.
-- try: action ok
-- permissions: event:publish:inject.*
return {
  actions = {
    ["inject_event.go"] = {
      execute = function(_, ctx)
        for _, options in ipairs({ { id = "a\nb" }, { subject = "a\27[31mb" }, { source = "x\r\ny" }, { source = "perigee:run" }, { source = "plugin:other" },
          { source = "Perigee:run\0" }, { time = "tomorrow" }, { time = 0 / 0 }, { time = 1e300 }, { time = -1e300 }, { id = "" }, { id = ("x"):rep(2000) }, { id = 5 }, { hops = 0 }, { subject = "\194\155" } }) do
          assert(not pcall(ctx.emit, "inject.Event", {}, options), (next(options)))
        end
        for _, type in ipairs({ "inject.\nB", "inject.\27[31m", "inject..B", "inject.", "inject. ", "inject.*", "inject.\u{202e}x", ("inject." .. ("x"):rep(300)), "other.B" }) do
          assert(not pcall(ctx.emit, type, {}), type)
        end
      end,
    },
  },
}
