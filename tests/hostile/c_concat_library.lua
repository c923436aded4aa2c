-- SPDX-License-Identifier: Apache-2.0
--- __index is a library function, so no instruction of Lua runs.
-- try: action lua.error|limit.instructions
return {
  actions = {
    ["c_concat_library.go"] = {
      execute = function()
        return table.concat(setmetatable({}, { __len = function()
          return 1 << 40
        end, __index = table.concat }))
      end,
    },
  },
}
