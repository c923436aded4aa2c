-- SPDX-License-Identifier: Apache-2.0
--- Stores ten thousand entities.
-- try: action limit.writes|limit.calls|limit.rate|limit.instructions
-- permissions: data:write:task
return {
  actions = {
    ["flood_data.go"] = {
      execute = function(_, ctx)
        for i = 1, 10000 do
          ctx.data.put("task", { title = "t" .. i })
        end
      end,
    },
  },
}
