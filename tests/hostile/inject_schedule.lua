-- SPDX-License-Identifier: Apache-2.0
--- Names of schedules, mappings and subscriptions that try to be those of somebody else, or more than a name.
-- try: action ok
-- permissions: scheduler:read scheduler:write storage:read storage:write event:subscribe:a.*
local NAMES = {
  "../good/x", "test.good/x", "plugin:test.good/x", "\0", "a\0b", "a\nb", "\27[31mred", "x' OR '1'='1", ("n"):rep(100), ("n"):rep(101), ("n"):rep(100000), "%s%n%s", "\xff\xfe", "🙂",
}

return {
  jobs = { ["../good/x"] = print },
  actions = {
    ["inject_schedule.go"] = {
      execute = function(_, ctx)
        for _, name in ipairs(NAMES) do
          pcall(ctx.schedule.after, name, 3600, print)
          pcall(ctx.schedule.cron, name, "0 0 1 1 *", print)
          pcall(ctx.schedule.cancel, "../" .. name)
          pcall(ctx.mappings.set, name, name, name)
          pcall(ctx.events.on, name, print)
          pcall(ctx.events.on, "a." .. name, print)
        end
        for _, plan in ipairs(ctx.schedule.list()) do
          assert(#plan.name <= 100 and not plan.name:find("\0", 1, true))
          ctx.schedule.cancel(plan.name)
        end
        assert(#ctx.schedule.list() == 0)
        return "its own only"
      end,
    },
  },
}
