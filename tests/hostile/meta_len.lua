-- SPDX-License-Identifier: Apache-2.0
--- Loops when its length is asked for.
-- try: action limit.instructions
return {
  actions = {
    ["meta_len.go"] = {
      execute = function()
        return #setmetatable({}, { __len = function()
          while true do
          end
        end })
      end,
    },
  },
}
