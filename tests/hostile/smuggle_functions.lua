-- SPDX-License-Identifier: Apache-2.0
--- Gives its ctx, its functions and its coroutines away through everything that leaves the state.
-- try: action ok
-- permissions: data:write:task data:read:task storage:read storage:write event:publish:a.* channels:send:smuggle operators:call scheduler:write network:outbound:192.0.2.1
return {
  actions = {
    ["smuggle_functions.take"] = { execute = function(p) return type(p.x) end },
    ["smuggle_functions.go"] = {
      execute = function(_, ctx)
        local goods = { { ctx.log, print }, ctx.storage, ctx.log.info, print, coroutine.create(print), ctx.http, setmetatable({}, { __index = ctx }) }
        for i, thing in ipairs(goods) do
          for _, wrapped in ipairs({ { x = thing }, { { thing } }, { x = { y = thing } } }) do
            local last = i == #goods -- a plain table: its metatable stays here
            local function refused(f, ...)
              local ok, why = pcall(f, ...)
              assert(ok == last, i)
              assert(ok or (type(why) == "table" and why.code), i)
            end
            refused(ctx.storage.set, "k", wrapped)
            refused(ctx.emit, "a.X", wrapped)
            refused(ctx.json.encode, wrapped)
            refused(ctx.data.put, "task", { id = "t", x = wrapped })
            refused(ctx.schedule.after, "s", 3600, print, { data = wrapped })
            assert(pcall(ctx.call, "smuggle_functions.take", { x = wrapped }) == last, i)
          end
        end
        return "kept in"
      end,
    },
  },
}
