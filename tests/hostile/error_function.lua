-- SPDX-License-Identifier: Apache-2.0
--- Raises a function.
-- try: action lua.error
return {
  actions = {
    ["error_function.go"] = {
      execute = function()
        error(print)
      end,
    },
  },
}
