-- SPDX-License-Identifier: Apache-2.0
--- Long keys, each another.
-- try: action limit.memory
return {
  actions = {
    ["memory_keys.go"] = {
      execute = function()
        local t, i = {}, 0
        while true do
          i = i + 1
          t[("k"):rep(1000) .. i] = true
        end
      end,
    },
  },
}
