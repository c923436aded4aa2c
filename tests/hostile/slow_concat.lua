-- SPDX-License-Identifier: Apache-2.0
--- Joins long texts that become garbage at once.
-- try: condition limit.time|limit.memory|limit.instructions
return {
  conditions = {
    ["slow_concat.go"] = {
      evaluate = function()
        local a = ("x"):rep(500000)
        while #(a .. "y") > 0 do
        end
      end,
    },
  },
}
