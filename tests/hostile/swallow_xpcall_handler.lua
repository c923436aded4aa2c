-- SPDX-License-Identifier: Apache-2.0
--- Goes on in the handler of the error that was to end it.
-- try: action limit.instructions
return {
  actions = {
    ["swallow_xpcall_handler.go"] = {
      execute = function()
        xpcall(function()
          while true do
          end
        end, function()
          while true do
          end
        end)
        return "survived"
      end,
    },
  },
}
