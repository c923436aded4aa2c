-- SPDX-License-Identifier: Apache-2.0
--- Returns more than a result may hold.
-- try: action limit.output|too_large
return {
  actions = {
    ["result_large.go"] = {
      execute = function()
        return ("x"):rep(900000)
      end,
    },
  },
}
