-- SPDX-License-Identifier: Apache-2.0
--- Raises an empty table.
-- try: action lua.error
return {
  actions = {
    ["error_table.go"] = {
      execute = function()
        error({})
      end,
    },
  },
}
