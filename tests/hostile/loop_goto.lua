-- SPDX-License-Identifier: Apache-2.0
--- A loop without a loop statement.
-- try: action limit.instructions
return {
  actions = {
    ["loop_goto.go"] = {
      execute = function()
        ::again::
        goto again
      end,
    },
  },
}
