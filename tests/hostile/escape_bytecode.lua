-- SPDX-License-Identifier: Apache-2.0
--- Loads byte code.
-- try: action ok
return {
  actions = {
    ["escape_bytecode.go"] = {
      execute = function()
        assert(not load("\27Lua\x54\0\x19\x93\r\n\x1a\n", "x", "b"))
        assert(not load("\27Lua", "x", "bt"))
      end,
    },
  },
}
