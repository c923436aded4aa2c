-- SPDX-License-Identifier: Apache-2.0
--- Yields where nobody resumes.
-- try: action lua.error
return {
  actions = {
    ["coroutine_yield_top.go"] = {
      execute = function()
        coroutine.yield("please wait")
      end,
    },
  },
}
