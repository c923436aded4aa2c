-- SPDX-License-Identifier: Apache-2.0
--- Compiles for ever.
-- try: action limit.instructions
return {
  actions = {
    ["c_compile.go"] = {
      execute = function()
        while true do
          load(("x = 1 "):rep(5000))
        end
      end,
    },
  },
}
