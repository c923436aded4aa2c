-- SPDX-License-Identifier: Apache-2.0
--- Loops when the host turns it into text for the log.
-- try: action limit.instructions
return {
  actions = {
    ["meta_tostring_log.go"] = {
      execute = function(_, ctx)
        ctx.log.info(setmetatable({}, { __tostring = function()
          while true do
          end
        end }))
      end,
    },
  },
}
