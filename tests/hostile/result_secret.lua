-- SPDX-License-Identifier: Apache-2.0
--- Names a secret that it was not given.
-- try: action bad_argument|bad_result
return {
  actions = {
    ["result_secret.go"] = {
      execute = function()
        return { ["$secret"] = "twilio_token" }
      end,
    },
  },
}
