-- SPDX-License-Identifier: Apache-2.0
--- A condition that returns nothing.
-- try: condition bad_result
return {
  conditions = {
    ["result_nothing.go"] = {
      evaluate = function()
        return
      end,
    },
  },
}
