-- SPDX-License-Identifier: Apache-2.0
--- __tostring of a log line logs, emits, calls and waits.
-- try: action ok|limit.instructions|lua.error
-- permissions: storage:read storage:write operators:call
return {
  actions = {
    ["reenter_tostring.go"] = {
      execute = function(_, ctx)
        local n, line = 0, nil
        line = setmetatable({}, { __tostring = function()
          n = n + 1
          pcall(ctx.call, "reenter_tostring.go", {})
          pcall(ctx.storage.set, "k", n)
          if n < 150 then ctx.log.info(line) end
          return "line"
        end })
        for _ = 1, 50 do pcall(ctx.log.info, line) end
      end,
    },
  },
}
