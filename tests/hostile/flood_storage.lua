-- SPDX-License-Identifier: Apache-2.0
--- Fills its storage with keys.
-- try: action limit.storage|limit.writes|limit.rate
-- permissions: storage:write storage:read
return {
  actions = {
    ["flood_storage.go"] = {
      execute = function(_, ctx)
        for i = 1, 3000 do
          ctx.storage.set("k" .. i, i)
        end
      end,
    },
  },
}
