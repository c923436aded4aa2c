-- SPDX-License-Identifier: Apache-2.0
--- A text that doubles.
-- try: condition limit.memory
return {
  conditions = {
    ["memory_text.go"] = {
      evaluate = function()
        local s = "x"
        while true do
          s = s .. s
        end
      end,
    },
  },
}
