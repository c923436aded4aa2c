-- SPDX-License-Identifier: Apache-2.0
--- Fills its memory to the brim, then asks the host to work.
-- try: action limit.memory|limit.output|too_large
return {
  actions = {
    ["memory_brim.go"] = {
      execute = function(_, ctx)
        local kept, chunk = {}, ("x"):rep(100000)
        for i = 1, 70 do
          kept[i] = chunk .. i
        end
        return #ctx.json.encode(kept)
      end,
    },
  },
}
