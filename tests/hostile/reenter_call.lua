-- SPDX-License-Identifier: Apache-2.0
--- Calls itself through ctx.call until nothing is left.
-- try: action limit.depth|limit.time|busy|plugin_reset
-- permissions: operators:call
return {
  actions = {
    ["reenter_call.go"] = {
      execute = function(_, ctx)
        return ctx.call("reenter_call.go", {})
      end,
    },
  },
}
