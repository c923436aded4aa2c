-- SPDX-License-Identifier: Apache-2.0
--- An operator that calls itself.
-- try: action limit.depth
-- permissions: operators:call
return {
  actions = {
    ["flood_call.go"] = {
      execute = function(_, ctx)
        return ctx.call("flood_call.go", {})
      end,
    },
  },
}
