-- SPDX-License-Identifier: Apache-2.0
--- Returns bytes that are no text.
-- try: action bad_argument|bad_result
return {
  actions = {
    ["result_bytes.go"] = {
      execute = function()
        return "\xff\xfe"
      end,
    },
  },
}
