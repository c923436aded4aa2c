-- SPDX-License-Identifier: Apache-2.0
--- Compares texts of a million NUL bytes.
-- try: condition limit.time|limit.instructions
return {
  conditions = {
    ["slow_compare.go"] = {
      evaluate = function()
        local a = ("\0"):rep(900000)
        local b = a .. "x"
        while a < b do
        end
      end,
    },
  },
}
