-- SPDX-License-Identifier: Apache-2.0
--- Requires files that are not its own.
-- try: action ok
return {
  actions = {
    ["escape_require.go"] = {
      execute = function()
        for _, name in ipairs({ "../../../etc/passwd", "/etc/passwd", "testkit", "..init", "perigee..x", "perigee/../../policy", "x\0y", "socket" }) do
          assert(not pcall(require, name), name)
        end
      end,
    },
  },
}
