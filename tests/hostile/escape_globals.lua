-- SPDX-License-Identifier: Apache-2.0
--- Looks for what must not be there.
-- try: action ok
return {
  actions = {
    ["escape_globals.go"] = {
      execute = function(_, ctx)
        local found = {}
        for _, name in ipairs({ "io", "os", "debug", "package", "dofile", "loadfile", "loadstring", "warn", "ctx", "jit", "ffi", "perigee" }) do
          if _G[name] ~= nil then
            found[#found + 1] = name
          end
        end
        assert(#found == 0, table.concat(found, " "))
        assert(not string.dump and collectgarbage("count") and not pcall(collectgarbage, "stop"))
      end,
    },
  },
}
