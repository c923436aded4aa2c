-- SPDX-License-Identifier: Apache-2.0
--- Keeps ctx, coroutines and handles over a reset of its state: nothing of them may be left.
-- try: action ok
-- try: action limit.instructions
-- try: action ok
-- try: action limit.memory
-- try: action ok
-- permissions: storage:read storage:write
local kept, thread

return {
  actions = {
    ["handles_after_reset.go"] = {
      execute = function(_, ctx)
        local turn = (ctx.storage.get("turn") or 0) + 1
        ctx.storage.set("turn", turn)
        assert(ctx.storage.get("turn") == turn) -- waits: what was set is stored, whatever comes now
        if turn % 2 == 1 then
          assert(kept == nil and thread == nil, "something was left")
          kept = ctx
          thread = coroutine.create(function()
            while true do
              coroutine.yield(ctx.storage.get("turn"))
            end
          end)
          assert(coroutine.resume(thread))
          return "kept"
        end
        assert(kept and kept ~= ctx and select(2, coroutine.resume(thread)) == turn)
        local all = {}
        while true do
          if turn == 4 then
            all[#all + 1] = ("x"):rep(1000) .. #all
          end
        end
      end,
    },
  },
}
