-- SPDX-License-Identifier: Apache-2.0
--- Waits inside a metamethod.
-- try: action ok|plugin.no_wait
-- permissions: operators:call
return {
  actions = {
    ["wait_metamethod.go"] = {
      execute = function(_, ctx)
        return setmetatable({}, { __index = function()
          return ctx.call("good.ping", {})
        end }).x
      end,
    },
  },
}
