-- SPDX-License-Identifier: Apache-2.0
--- Loops when it is to stop.
-- try: action ok
return {
  stop = function()
    while true do
    end
  end,
  actions = { ["stop_loop.go"] = { execute = function() return "still here" end } },
}
