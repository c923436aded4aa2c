-- SPDX-License-Identifier: Apache-2.0
--- A dying coroutine goes on in its closing value.
-- try: action limit.instructions
return {
  actions = {
    ["swallow_coroutine_close.go"] = {
      execute = function()
        local co = coroutine.wrap(function()
          local guard <close> = setmetatable({}, { __close = function()
            while true do
            end
          end })
          error(guard)
        end)
        pcall(co)
        return "survived"
      end,
    },
  },
}
