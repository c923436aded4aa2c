-- SPDX-License-Identifier: Apache-2.0
--- Tail calls use no stack, so nothing but counting ends them.
-- try: action limit.instructions
return {
  actions = {
    ["loop_tail_call.go"] = {
      execute = function()
        local function again(n)
          return again(n + 1)
        end
        return again(0)
      end,
    },
  },
}
