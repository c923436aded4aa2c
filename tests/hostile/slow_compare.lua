-- SPDX-License-Identifier: Apache-2.0
--- Compares texts of 200,000 NUL bytes: one instruction of 100 ms with sanitizers, in which a signal hardly ever finds the interpreter.
-- try: condition limit.time|limit.instructions
return {
  conditions = {
    ["slow_compare.go"] = {
      evaluate = function()
        local a = ("\0"):rep(200000)
        local b = a .. "x"
        while a < b do
        end
      end,
    },
  },
}
