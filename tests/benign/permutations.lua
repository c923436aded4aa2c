-- SPDX-License-Identifier: Apache-2.0
--- All permutations of eight things.
-- try: action ok
-- result: 5040
return {
  actions = {
    ["permutations.go"] = {
      execute = function()
        local count = 0
        local function permute(t, n)
          if n == 0 then
            count = count + 1
            return
          end
          for i = 1, n do
            t[i], t[n] = t[n], t[i]
            permute(t, n - 1)
            t[i], t[n] = t[n], t[i]
          end
        end
        permute({ 1, 2, 3, 4, 5, 6, 7 }, 7)
        return count
      end,
    },
  },
}
