-- SPDX-License-Identifier: Apache-2.0
--- Raises nothing.
-- try: action lua.error
return {
  actions = {
    ["error_nil.go"] = {
      execute = function()
        error(nil)
      end,
    },
  },
}
