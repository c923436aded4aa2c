-- SPDX-License-Identifier: Apache-2.0
--- An error whose fields come from a loop.
-- try: action lua.error
return {
  actions = {
    ["error_lying.go"] = {
      execute = function()
        error(setmetatable({}, { __index = function()
          while true do
          end
        end }))
      end,
    },
  },
}
