-- SPDX-License-Identifier: Apache-2.0
--- Asks whether two long different texts are the same.
-- try: condition limit.time|limit.instructions
return {
  conditions = {
    ["slow_equal.go"] = {
      evaluate = function()
        local a, b = ("x"):rep(900000) .. "a", ("x"):rep(900000) .. "b"
        while a ~= b do
        end
      end,
    },
  },
}
