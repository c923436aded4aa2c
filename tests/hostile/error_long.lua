-- SPDX-License-Identifier: Apache-2.0
--- Raises a text of a megabyte.
-- try: action lua.error
return {
  actions = {
    ["error_long.go"] = {
      execute = function()
        error(("x"):rep(900000))
      end,
    },
  },
}
