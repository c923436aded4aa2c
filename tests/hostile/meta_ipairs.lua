-- SPDX-License-Identifier: Apache-2.0
--- Always has one more element.
-- try: action limit.instructions
return {
  actions = {
    ["meta_ipairs.go"] = {
      execute = function()
        for _ in ipairs(setmetatable({}, { __index = function()
          return 1
        end })) do
        end
      end,
    },
  },
}
