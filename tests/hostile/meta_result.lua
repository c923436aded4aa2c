-- SPDX-License-Identifier: Apache-2.0
--- The result has metamethods that the host would run.
-- try: action ok
return {
  actions = {
    ["meta_result.go"] = {
      execute = function()
        return setmetatable({}, { __index = function()
          while true do
          end
        end, __pairs = function()
          while true do
          end
        end, __len = function()
          while true do
          end
        end })
      end,
    },
  },
}
