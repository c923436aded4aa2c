-- SPDX-License-Identifier: Apache-2.0
--- Prints for ever.
-- try: action limit.calls|limit.instructions
return {
  actions = {
    ["flood_print.go"] = {
      execute = function()
        while true do
          print(("x"):rep(1000))
        end
      end,
    },
  },
}
