-- SPDX-License-Identifier: Apache-2.0
--- Counts words of a long text.
-- try: action ok
-- result: ["brown",600,8]
return {
  actions = {
    ["words.go"] = {
      execute = function()
        local counts, text = {}, ("the quick brown fox jumps over the lazy dog "):rep(300)
        for word in text:gmatch("%a+") do
          counts[word] = (counts[word] or 0) + 1
        end
        local names = {}
        for name in pairs(counts) do
          names[#names + 1] = name
        end
        table.sort(names)
        return { names[1], counts.the, #names }
      end,
    },
  },
}
