-- SPDX-License-Identifier: Apache-2.0
--- A pattern that tries everything: exponential where nobody counts steps.
-- try: condition limit.instructions
return {
  conditions = {
    ["c_pattern_backtrack.go"] = {
      evaluate = function()
        return (("a"):rep(40)):find(("a?"):rep(40) .. ("a"):rep(40) .. "b")
      end,
    },
  },
}
