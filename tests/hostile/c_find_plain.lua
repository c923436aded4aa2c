-- SPDX-License-Identifier: Apache-2.0
--- Plain search that is quadratic when done simply.
-- try: action limit.instructions
return {
  actions = {
    ["c_find_plain.go"] = {
      execute = function()
        local hay, needle = ("a"):rep(500000), ("a"):rep(250000) .. "b"
        while not hay:find(needle, 1, true) do
        end
      end,
    },
  },
}
