-- SPDX-License-Identifier: Apache-2.0
--- Counts the characters of a long text for ever.
-- try: action limit.instructions
return {
  actions = {
    ["c_utf8.go"] = {
      execute = function()
        local s = ("\u{20ac}"):rep(100000)
        while true do
          utf8.len(s)
        end
      end,
    },
  },
}
