-- SPDX-License-Identifier: Apache-2.0
--- Uses members that it was not granted.
-- try: action lua.error
return {
  actions = {
    ["escape_denied.go"] = {
      execute = function(_, ctx)
        for _, name in ipairs({ "http", "smtp", "data", "storage", "emit", "send", "call", "secret" }) do
          assert(ctx[name] == nil, name)
        end
        return ctx.http.get("http://127.0.0.1/")
      end,
    },
  },
}
