-- SPDX-License-Identifier: Apache-2.0
--- Two coroutines that hand each other over.
-- try: condition limit.instructions
return {
  conditions = {
    ["coroutine_ping_pong.go"] = {
      evaluate = function()
        local a = coroutine.wrap(function()
          while true do
            coroutine.yield()
          end
        end)
        while true do
          a()
        end
      end,
    },
  },
}
