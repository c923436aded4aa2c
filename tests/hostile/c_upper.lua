-- SPDX-License-Identifier: Apache-2.0
--- One library call after the other over a long text.
-- try: action limit.instructions
return {
  actions = {
    ["c_upper.go"] = {
      execute = function()
        local s = ("x"):rep(500000)
        while true do
          s:upper()
        end
      end,
    },
  },
}
