-- SPDX-License-Identifier: Apache-2.0
--- Returns a table that contains itself.
-- try: action bad_argument|bad_result
return {
  actions = {
    ["result_cycle.go"] = {
      execute = function()
        local t = {}
        t.t = t
        return t
      end,
    },
  },
}
