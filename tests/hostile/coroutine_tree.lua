-- SPDX-License-Identifier: Apache-2.0
--- Each coroutine starts two more: each counts little, all of them much.
-- try: action limit.instructions
return {
  actions = {
    ["coroutine_tree.go"] = {
      execute = function()
        local function grow()
          coroutine.wrap(grow)()
          coroutine.wrap(grow)()
        end
        local function calm()
          pcall(grow)
        end
        while true do
          calm()
        end
      end,
    },
  },
}
