-- SPDX-License-Identifier: Apache-2.0
--- Loops when all plugins are loaded.
-- try: action ok
return {
  ready = function()
    while true do
    end
  end,
  actions = { ["ready_loop.go"] = { execute = function() return "still here" end } },
}
