-- SPDX-License-Identifier: Apache-2.0
--- The plainest loop there is.
-- try: condition limit.instructions
return {
  conditions = {
    ["loop_while.go"] = {
      evaluate = function()
        while true do
        end
      end,
    },
  },
}
