-- SPDX-License-Identifier: Apache-2.0
--- Joins a table that says it has no end.
-- try: action limit.instructions
return {
  actions = {
    ["c_concat_length.go"] = {
      execute = function()
        return table.concat(setmetatable({}, { __len = function()
          return math.maxinteger
        end, __index = function()
          return ""
        end }))
      end,
    },
  },
}
