-- SPDX-License-Identifier: Apache-2.0
--- Calls whatever is reachable from ctx with every odd value: wrong types, NaN, NUL bytes, huge, deep, cyclic and lying ones.
-- try: action ok|limit.calls|limit.rate|limit.instructions|limit.memory|limit.output|limit.time|limit.storage
-- permissions: data:read:task data:write:task storage:read storage:write event:publish:host.* event:subscribe:host.* scheduler:read scheduler:write network:outbound:192.0.2.1 channels:send:odd operators:call filesystem:read:/nowhere
return {
  actions = {
    ["host_odd_everything.go"] = {
      execute = function(_, ctx)
        local cycle, deep = {}, {}
        cycle.cycle = cycle
        local at = deep
        for _ = 1, 300 do
          at.x = {}
          at = at.x
        end
        local liar = setmetatable({}, {
          __len = function() return 1 << 40 end,
          __index = function() return print end,
          __tostring = function() error("no") end,
          __pairs = function() return function() return 1, 1 end end,
          __eq = function() return true end,
        })
        local odd = {
          nil, true, 0 / 0, math.huge, -1, 1 << 62, 0.5, "", "\0", "\xff", "a\r\nb", "../../x", ("x"):rep(300000), {}, { {} }, cycle, deep, liar, print, ctx.log.info,
          coroutine.create(print), ctx, ctx.json.null, { [1] = 1, [3] = 3 }, { [{}] = 1 }, { ["$secret"] = "tomato" }, { [0 / 1] = 1, x = 2 },
        }
        local count, seen = 27, {}
        local function try(f, path)
          for i = 1, count do
            pcall(f, odd[i])
            pcall(f, odd[i], odd[count + 1 - i])
            pcall(f, "task", odd[i], odd[count + 1 - i])
            pcall(f, "task", "host.x", odd[i], odd[count + 1 - i])
            pcall(coroutine.wrap(f), odd[i], odd[i], odd[i], odd[i], odd[i])
          end
          return path
        end
        local function walk(value, path)
          if seen[value] then
            return
          end
          seen[value] = true
          for key, item in pairs(value) do
            if type(item) == "function" then
              try(item, path .. key)
            elseif type(item) == "table" then
              walk(item, path .. key .. ".")
            end
          end
        end
        for _, area in ipairs({ "log", "json", "time", "crypto", "events", "schedule", "mappings", "files", "storage", "data" }) do
          walk(ctx[area], area .. ".")
        end
        for _, name in ipairs({ "emit", "send", "call", "secret", "account" }) do
          if type(ctx[name]) == "function" then
            try(ctx[name], name)
          end
        end
        return "through"
      end,
    },
  },
}
