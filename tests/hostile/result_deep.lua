-- SPDX-License-Identifier: Apache-2.0
--- Returns a hundred tables inside each other.
-- try: action bad_argument|bad_result
return {
  actions = {
    ["result_deep.go"] = {
      execute = function()
        local t = {}
        for _ = 1, 100 do
          t = { t }
        end
        return t
      end,
    },
  },
}
