-- SPDX-License-Identifier: Apache-2.0
--- Claims to have been ended by a limit, as if that were free.
-- try: action limit.time
return {
  actions = {
    ["error_spoofed.go"] = {
      execute = function()
        error({ code = "limit.time", message = "so tired" })
      end,
    },
  },
}
