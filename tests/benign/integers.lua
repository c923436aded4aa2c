-- SPDX-License-Identifier: Apache-2.0
--- Whole numbers of 64 bits, which wrap, and their bits.
-- try: action ok
-- result: ["integer",true,3,-4,2,4611686018427387904,7,"ff",true]
return {
  actions = {
    ["integers.go"] = {
      execute = function()
        local hash = 0xcbf29ce484222325
        for c in ("perigee"):rep(200):gmatch(".") do
          hash = (hash ~ c:byte()) * 0x100000001b3
        end
        return { math.type(hash), math.maxinteger + 1 == math.mininteger, 7 // 2, -7 // 2, -7 % 3, 1 << 62, 3 | 4, ("%x"):format(255), 2^53 == 2^53 + 1 }
      end,
    },
  },
}
