-- SPDX-License-Identifier: Apache-2.0
--- Its init takes all memory.
-- try: load limit.memory
return {
  init = function()
    local t = {}
    while true do
      t[#t + 1] = {}
    end
  end,
  actions = { ["init_memory.go"] = { execute = function() return "still here" end } },
}
