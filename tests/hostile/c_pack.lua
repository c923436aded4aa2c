-- SPDX-License-Identifier: Apache-2.0
--- Packs large formats.
-- try: action lua.error
return {
  actions = {
    ["c_pack.go"] = {
      execute = function()
        while true do
          string.pack(("i4"):rep(1000), table.unpack({}, 1, 0))
        end
      end,
    },
  },
}
