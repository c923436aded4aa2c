-- SPDX-License-Identifier: Apache-2.0
--- A numeric loop to infinity.
-- try: condition limit.instructions
return {
  conditions = {
    ["loop_for.go"] = {
      evaluate = function()
        for _ = 1, math.huge do
        end
      end,
    },
  },
}
