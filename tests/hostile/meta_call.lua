-- SPDX-License-Identifier: Apache-2.0
--- A table that is called and calls itself.
-- try: action limit.instructions
return {
  actions = {
    ["meta_call.go"] = {
      execute = function()
        local t = setmetatable({}, { __call = function(self)
          return self()
        end })
        return t()
      end,
    },
  },
}
