-- SPDX-License-Identifier: Apache-2.0
--- Packs and unpacks binary records.
-- try: action ok
-- result: [125250,6]
return {
  actions = {
    ["binary.go"] = {
      execute = function()
        local out = {}
        for i = 1, 500 do
          out[i] = string.pack("<I4i2s1", i, -i % 100, "n" .. i)
        end
        local data, at, sum = table.concat(out), 1, 0
        while at <= #data do
          local id, _, _, next_at = string.unpack("<I4i2s1", data, at)
          sum, at = sum + id, next_at
        end
        return { sum, string.packsize("<I4i2") }
      end,
    },
  },
}
