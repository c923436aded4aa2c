-- SPDX-License-Identifier: Apache-2.0
--- A condition that returns a number.
-- try: condition bad_result
return {
  conditions = {
    ["result_number.go"] = {
      evaluate = function()
        return 1
      end,
    },
  },
}
