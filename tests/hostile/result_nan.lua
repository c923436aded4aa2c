-- SPDX-License-Identifier: Apache-2.0
--- Returns what is no number.
-- try: action bad_argument|bad_result
return {
  actions = {
    ["result_nan.go"] = {
      execute = function()
        return { n = 0 / 0 }
      end,
    },
  },
}
