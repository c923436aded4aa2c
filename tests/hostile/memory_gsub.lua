-- SPDX-License-Identifier: Apache-2.0
--- A replacement that is larger than the text by far.
-- try: action limit.memory
return {
  actions = {
    ["memory_gsub.go"] = {
      execute = function()
        return #(("x"):rep(100000):gsub("x", ("y"):rep(1000)))
      end,
    },
  },
}
