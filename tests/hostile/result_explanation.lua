-- SPDX-License-Identifier: Apache-2.0
--- Explains itself at length.
-- try: condition limit.output|too_large
return {
  conditions = {
    ["result_explanation.go"] = {
      evaluate = function()
        return true, { actual = ("x"):rep(900000) }
      end,
    },
  },
}
