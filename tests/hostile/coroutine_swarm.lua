-- SPDX-License-Identifier: Apache-2.0
--- Makes coroutines that do nothing, without end.
-- try: action limit.instructions
return {
  actions = {
    ["coroutine_swarm.go"] = {
      execute = function()
        while true do
          coroutine.wrap(function() end)()
        end
      end,
    },
  },
}
