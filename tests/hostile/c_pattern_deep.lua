-- SPDX-License-Identifier: Apache-2.0
--- A pattern that recurses for each character.
-- try: action limit.instructions
return {
  actions = {
    ["c_pattern_deep.go"] = {
      execute = function()
        return (("("):rep(30000)):find(("(.-)"):rep(20) .. "z")
      end,
    },
  },
}
