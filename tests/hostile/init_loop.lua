-- SPDX-License-Identifier: Apache-2.0
--- Its init never ends.
-- try: load limit.instructions
return {
  init = function()
    while true do
    end
  end,
  actions = { ["init_loop.go"] = { execute = function() return "still here" end } },
}
