-- SPDX-License-Identifier: Apache-2.0
--- Returns a table that is a list and a map.
-- try: action bad_argument|bad_result
return {
  actions = {
    ["result_mixed.go"] = {
      execute = function()
        return { 1, 2, x = 3 }
      end,
    },
  },
}
