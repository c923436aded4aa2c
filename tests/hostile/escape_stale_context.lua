-- SPDX-License-Identifier: Apache-2.0
--- Keeps the ctx of a call and uses it in the next.
-- try: action ok
-- try: action ok
-- permissions: storage:read storage:write
local old

return {
  actions = {
    ["escape_stale_context.go"] = {
      execute = function(_, ctx)
        if not old then
          old = ctx
          return "kept"
        end
        old.log.info("from an old call")
        old.storage.set("k", 1)
        return old.storage.get("k")
      end,
    },
  },
}
