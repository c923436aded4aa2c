-- SPDX-License-Identifier: Apache-2.0
--- Goes on with an iterator whose pattern was too complex.
-- try: action ok|limit.instructions
return {
  actions = {
    ["escape_gmatch.go"] = {
      execute = function()
        local iterator = (("x"):rep(300000)):gmatch(("(x?)"):rep(30) .. "$")
        for _ = 1, 20 do
          pcall(iterator)
        end
        return "alive"
      end,
    },
  },
}
