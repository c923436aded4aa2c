-- SPDX-License-Identifier: Apache-2.0
--- Closing values are closed in order, also on errors.
-- try: action ok
-- result: ["body","b","a","c!"]
return {
  actions = {
    ["closing.go"] = {
      execute = function()
        local order = {}
        local function guard(name)
          return setmetatable({}, { __close = function(_, err)
            order[#order + 1] = name .. (err and "!" or "")
          end })
        end
        do
          local a <close> = guard("a")
          local b <close> = guard("b")
          order[#order + 1] = a ~= b and "body"
        end
        pcall(function()
          local c <close> = guard("c")
          error(c)
        end)
        return order
      end,
    },
  },
}
