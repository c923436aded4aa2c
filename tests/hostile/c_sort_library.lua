-- SPDX-License-Identifier: Apache-2.0
--- Sorts a huge claimed length with a library function as comparison.
-- try: action lua.error|limit.memory
return {
  actions = {
    ["c_sort_library.go"] = {
      execute = function()
        table.sort(setmetatable({}, { __len = function()
          return 1 << 30
        end, __index = function()
          return "a"
        end }), rawequal)
      end,
    },
  },
}
