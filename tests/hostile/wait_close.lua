-- SPDX-License-Identifier: Apache-2.0
--- Waits while its closing value runs.
-- try: action ok|plugin.no_wait
-- permissions: operators:call
return {
  actions = {
    ["wait_close.go"] = {
      execute = function(_, ctx)
        local guard <close> = setmetatable({}, { __close = function()
          ctx.call("good.ping", {})
        end })
        return guard ~= nil
      end,
    },
  },
}
