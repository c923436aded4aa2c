-- SPDX-License-Identifier: Apache-2.0
--- The limit inside a chunk made at run time.
-- try: action limit.instructions
return {
  actions = {
    ["swallow_load.go"] = {
      execute = function()
        while true do
          pcall(load("while true do end"))
        end
      end,
    },
  },
}
