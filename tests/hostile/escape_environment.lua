-- SPDX-License-Identifier: Apache-2.0
--- Loads a chunk with an environment of its own, which opens nothing.
-- try: action ok
return {
  actions = {
    ["escape_environment.go"] = {
      execute = function()
        local env = setmetatable({}, { __index = _G })
        assert(load("return io or os or debug", "x", "t", env)() == nil)
        assert(load("x = 1 return _ENV", "x", "t", env)() == env)
      end,
    },
  },
}
