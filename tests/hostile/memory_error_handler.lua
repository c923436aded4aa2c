-- SPDX-License-Identifier: Apache-2.0
--- Errors inside error handlers with the memory full: the library makes their message outside of any protection.
-- try: action limit.memory|limit.instructions
return {
  actions = {
    ["memory_error_handler.go"] = {
      execute = function()
        local kept = {}
        while true do
          kept[#kept + 1] = ("x"):rep(4000) .. #kept
          xpcall(function()
            xpcall(error, function() error(("y"):rep(3000)) end, kept)
          end, function() return error("again") end)
        end
      end,
    },
  },
}
