-- SPDX-License-Identifier: Apache-2.0
--- Returns a function.
-- try: action bad_argument|bad_result
return {
  actions = {
    ["result_function.go"] = {
      execute = function()
        return { callback = print }
      end,
    },
  },
}
