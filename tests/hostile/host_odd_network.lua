-- SPDX-License-Identifier: Apache-2.0
--- Every odd value in every member of a request and of a mail.
-- try: action ok|limit.calls|limit.rate|limit.instructions|limit.memory
-- permissions: network:outbound:192.0.2.1
return {
  actions = {
    ["host_odd_network.go"] = {
      execute = function(_, ctx)
        local cycle = {}
        cycle[1] = cycle
        local odd = {
          true, 0 / 0, -1, 1 << 62, "", "\0", "\xff", "a\r\nb", ("x"):rep(70000), {}, { {} }, cycle, print, ctx, ctx.config, ctx.json.null, coroutine.create(print),
          setmetatable({}, { __index = function() return "192.0.2.1" end, __len = function() return 1e9 end }),
        }
        for _, value in ipairs(odd) do
          for _, key in ipairs({ "url", "method", "headers", "query", "body", "json", "form", "multipart", "auth", "tls", "timeout_ms" }) do
            local ok, why = pcall(ctx.http.request, { url = "http://127.0.0.1:1/", [key] = value })
            assert(not ok and type(why) == "table" and why.code, key)
          end
          for _, key in ipairs({ "host", "port", "security", "user", "password", "from", "to", "message", "ca_file", "timeout_ms" }) do
            local mail = { host = "127.0.0.1", from = "a@b.example", to = "c@d.example", message = "x" }
            mail[key] = value
            local ok, why = pcall(ctx.smtp.send, mail)
            assert(not ok and type(why) == "table" and why.code, key)
          end
        end
        return "through"
      end,
    },
  },
}
