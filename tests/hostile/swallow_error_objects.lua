-- SPDX-License-Identifier: Apache-2.0
--- Errors whose text is made by an endless function.
-- try: action lua.error
return {
  actions = {
    ["swallow_error_objects.go"] = {
      execute = function()
        error(setmetatable({}, { __tostring = function()
          while true do
          end
        end }))
      end,
    },
  },
}
