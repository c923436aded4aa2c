-- SPDX-License-Identifier: Apache-2.0
--- Inserts at the front of a table that claims a length.
-- try: action limit.instructions
return {
  actions = {
    ["c_insert_length.go"] = {
      execute = function()
        table.insert(setmetatable({}, { __len = function()
          return 1 << 40
        end }), 1, "x")
      end,
    },
  },
}
