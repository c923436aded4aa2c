-- SPDX-License-Identifier: Apache-2.0
--- Loops in the function that gsub calls.
-- try: action limit.instructions
return {
  actions = {
    ["c_gsub_callback.go"] = {
      execute = function()
        return (("x"):gsub("x", function()
          while true do
          end
        end))
      end,
    },
  },
}
