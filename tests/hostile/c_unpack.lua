-- SPDX-License-Identifier: Apache-2.0
--- Unpacks more than a stack holds.
-- try: action lua.error
return {
  actions = {
    ["c_unpack.go"] = {
      execute = function()
        return select("#", table.unpack({}, 1, 1e7))
      end,
    },
  },
}
