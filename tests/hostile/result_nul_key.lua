-- SPDX-License-Identifier: Apache-2.0
--- Returns a key with a NUL byte.
-- try: action bad_argument|bad_result
return {
  actions = {
    ["result_nul_key.go"] = {
      execute = function()
        return { ["a\0b"] = 1 }
      end,
    },
  },
}
