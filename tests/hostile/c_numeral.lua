-- SPDX-License-Identifier: Apache-2.0
--- Arithmetic on a numeral of half a megabyte.
-- try: action limit.instructions
return {
  actions = {
    ["c_numeral.go"] = {
      execute = function()
        local s = "1" .. ("0"):rep(500000)
        while true do
          pcall(function()
            return s + 1
          end)
        end
      end,
    },
  },
}
