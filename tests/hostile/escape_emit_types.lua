-- SPDX-License-Identifier: Apache-2.0
--- Says events that it was not granted.
-- try: action ok
-- permissions: event:publish:escape.*
return {
  actions = {
    ["escape_emit_types.go"] = {
      execute = function(_, ctx)
        for _, type in ipairs({ "system.Started", "run.Finished", "escape.*", "escape", "", "a\nb" }) do
          assert(not pcall(ctx.emit, type, {}), type)
        end
        ctx.emit("escape.Ok", {})
      end,
    },
  },
}
