-- SPDX-License-Identifier: Apache-2.0
--- Returns a coroutine.
-- try: action bad_argument|bad_result
return {
  actions = {
    ["result_coroutine.go"] = {
      execute = function()
        return coroutine.create(print)
      end,
    },
  },
}
