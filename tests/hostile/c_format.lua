-- SPDX-License-Identifier: Apache-2.0
--- Formats large texts.
-- try: action limit.instructions
return {
  actions = {
    ["c_format.go"] = {
      execute = function()
        local s = ("x"):rep(100000)
        while true do
          string.format("%s", s)
        end
      end,
    },
  },
}
