-- SPDX-License-Identifier: Apache-2.0
--- Removes from the front of such a table.
-- try: action limit.instructions
return {
  actions = {
    ["c_remove_length.go"] = {
      execute = function()
        table.remove(setmetatable({}, { __len = function()
          return 1 << 40
        end }), 1)
      end,
    },
  },
}
