-- SPDX-License-Identifier: Apache-2.0
--- An error whose fields are of the wrong kind.
-- try: action lua.error
return {
  actions = {
    ["error_fields.go"] = {
      execute = function()
        error({ code = print, message = {}, retryable = "yes", outcome = 7, retry_after = -1 })
      end,
    },
  },
}
