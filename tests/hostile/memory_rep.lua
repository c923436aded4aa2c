-- SPDX-License-Identifier: Apache-2.0
--- One text larger than all that is allowed.
-- try: action limit.memory
return {
  actions = {
    ["memory_rep.go"] = {
      execute = function()
        return #("x"):rep(1 << 40)
      end,
    },
  },
}
