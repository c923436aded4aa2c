-- SPDX-License-Identifier: Apache-2.0
--- A reader function that never stops giving text.
-- try: action lua.error
return {
  actions = {
    ["c_compile_reader.go"] = {
      execute = function()
        return load(function()
          return "x = 1 "
        end)
      end,
    },
  },
}
