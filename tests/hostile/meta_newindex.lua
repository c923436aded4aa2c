-- SPDX-License-Identifier: Apache-2.0
--- Loops when a field is set.
-- try: action limit.instructions
return {
  actions = {
    ["meta_newindex.go"] = {
      execute = function()
        local t = setmetatable({}, { __newindex = function()
          while true do
          end
        end })
        t.x = 1
      end,
    },
  },
}
