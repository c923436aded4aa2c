-- SPDX-License-Identifier: Apache-2.0
--- The closing value of a block that a limit ends.
-- try: action limit.instructions
return {
  actions = {
    ["swallow_close.go"] = {
      execute = function()
        local guard <close> = setmetatable({}, { __close = function()
          while true do
          end
        end })
        while guard do
        end
      end,
    },
  },
}
