-- SPDX-License-Identifier: Apache-2.0
--- Calls the cheapest function of the host for ever.
-- try: action limit.calls
return {
  actions = {
    ["flood_calls.go"] = {
      execute = function(_, ctx)
        while true do
          pcall(ctx.time.now_ms)
        end
      end,
    },
  },
}
