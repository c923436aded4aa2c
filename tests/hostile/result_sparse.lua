-- SPDX-License-Identifier: Apache-2.0
--- A list with a hole the size of a continent.
-- try: action bad_argument|bad_result
return {
  actions = {
    ["result_sparse.go"] = {
      execute = function()
        return { [1] = 1, [1 << 50] = 2 }
      end,
    },
  },
}
