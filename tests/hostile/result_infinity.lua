-- SPDX-License-Identifier: Apache-2.0
--- Returns infinity.
-- try: action bad_argument|bad_result
return {
  actions = {
    ["result_infinity.go"] = {
      execute = function()
        return math.huge
      end,
    },
  },
}
