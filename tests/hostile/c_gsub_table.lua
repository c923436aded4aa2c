-- SPDX-License-Identifier: Apache-2.0
--- A replacement table whose __index loops.
-- try: action limit.instructions
return {
  actions = {
    ["c_gsub_table.go"] = {
      execute = function()
        return (("x"):gsub("x", setmetatable({}, { __index = function()
          while true do
          end
        end })))
      end,
    },
  },
}
