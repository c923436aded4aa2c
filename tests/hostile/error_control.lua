-- SPDX-License-Identifier: Apache-2.0
--- Raises a text that would paint the terminal.
-- try: action lua.error
return {
  actions = {
    ["error_control.go"] = {
      execute = function()
        error("\27[2J\27[31mowned\r\n\7")
      end,
    },
  },
}
