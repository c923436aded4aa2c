-- SPDX-License-Identifier: Apache-2.0
--- Adds the finalizer to the metatable afterwards.
-- try: action ok
return {
  actions = {
    ["escape_gc_late.go"] = {
      execute = function()
        local m = {}
        for _ = 1, 100 do
          setmetatable({}, m)
        end
        m.__gc = function()
          while true do
          end
        end
        for _ = 1, 10000 do
          setmetatable({}, {})
        end
        return "quiet"
      end,
    },
  },
}
