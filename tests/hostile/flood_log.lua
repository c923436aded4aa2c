-- SPDX-License-Identifier: Apache-2.0
--- Writes more lines than anybody reads.
-- try: action limit.calls|limit.instructions
return {
  actions = {
    ["flood_log.go"] = {
      execute = function(_, ctx)
        for i = 1, 20000 do
          ctx.log.info("line " .. i .. ("x"):rep(200))
        end
      end,
    },
  },
}
