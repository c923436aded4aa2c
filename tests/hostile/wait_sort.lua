-- SPDX-License-Identifier: Apache-2.0
--- Waits inside a comparison.
-- try: action plugin.no_wait
-- permissions: operators:call
return {
  actions = {
    ["wait_sort.go"] = {
      execute = function(_, ctx)
        table.sort({ 2, 1 }, function()
          return ctx.call("good.ping", {})
        end)
      end,
    },
  },
}
