-- SPDX-License-Identifier: Apache-2.0
--- Coroutines that wait, all kept.
-- try: action limit.memory
return {
  actions = {
    ["memory_coroutines.go"] = {
      execute = function()
        local kept = {}
        while true do
          local co = coroutine.create(coroutine.yield)
          coroutine.resume(co)
          kept[#kept + 1] = co
        end
      end,
    },
  },
}
