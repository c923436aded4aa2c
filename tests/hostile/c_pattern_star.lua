-- SPDX-License-Identifier: Apache-2.0
--- Many stars over one text.
-- try: action limit.instructions
return {
  actions = {
    ["c_pattern_star.go"] = {
      execute = function()
        return (("x"):rep(2000)):find(".-.-.-.-.-.-y")
      end,
    },
  },
}
