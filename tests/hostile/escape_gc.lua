-- SPDX-License-Identifier: Apache-2.0
--- Wants to run when it is collected, when no limit counts.
-- try: action lua.error
return {
  actions = {
    ["escape_gc.go"] = {
      execute = function()
        return setmetatable({}, { __gc = function()
          while true do
          end
        end })
      end,
    },
  },
}
