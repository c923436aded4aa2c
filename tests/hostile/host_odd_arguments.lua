-- SPDX-License-Identifier: Apache-2.0
--- Calls every host function with every odd value.
-- try: action ok|limit.calls|limit.rate|limit.instructions|limit.memory
-- permissions: data:read:task data:write:task storage:read storage:write event:publish:host.*
return {
  actions = {
    ["host_odd_arguments.go"] = {
      execute = function(_, ctx)
        local odd = { nil, true, 0 / 0, math.huge, -1, 1 << 62, "", "\0", "\xff", ("x"):rep(70000), {}, { {} }, print, coroutine.create(print),
          setmetatable({}, { __tostring = function()
            error("no")
          end, __len = function()
            return -1
          end, __index = function()
            return print
          end }) }
        local function try(f)
          for i = 1, 15 do
            for j = 1, 15, 3 do
              pcall(f, odd[i], odd[j], odd[16 - i])
            end
          end
        end
        for _, area in ipairs({ "json", "time", "crypto", "data", "storage", "log", "events" }) do
          for _, f in pairs(ctx[area] or {}) do
            if type(f) == "function" then
              try(f)
            end
          end
        end
        try(ctx.emit)
        return "alive"
      end,
    },
  },
}
