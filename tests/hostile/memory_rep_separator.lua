-- SPDX-License-Identifier: Apache-2.0
--- The same with separators.
-- try: action limit.memory
return {
  actions = {
    ["memory_rep_separator.go"] = {
      execute = function()
        return #(""):rep(1 << 30, "xx")
      end,
    },
  },
}
