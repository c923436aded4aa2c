-- SPDX-License-Identifier: Apache-2.0
--- Balanced brackets that are not.
-- try: action limit.instructions
return {
  actions = {
    ["c_pattern_balance.go"] = {
      execute = function()
        local s = ("("):rep(20000)
        for i = 1, #s do
          if s:find("%b()", i) then
            return i
          end
        end
      end,
    },
  },
}
