-- SPDX-License-Identifier: Apache-2.0
--- Line ends in everything that becomes a line of a dialogue with a mail server.
-- try: action ok
-- permissions: network:outbound:192.0.2.1
return {
  actions = {
    ["inject_mail.go"] = {
      execute = function(_, ctx)
        local function mail(change)
          local m = { host = "192.0.2.1", port = 25, security = "plain", from = "a@b.test", to = "c@d.test", message = "x", timeout_ms = 50 }
          for k, v in pairs(change) do m[k] = v end
          local ok, why = pcall(ctx.smtp.send, m)
          assert(not ok and type(why) == "table" and (why.code == "bad_argument" or why.code == "denied"), why and why.code)
        end
        mail({ from = "a@b.test>\r\nRCPT TO:<x@y.test" })
        mail({ to = "a@b.test\r\nDATA" })
        mail({ to = { "a@b.test", "x y@z.test" } })
        mail({ host = "192.0.2.1\r\n" })
        mail({ host = "evil.test" })
        mail({ from = "" })
        mail({ ca_file = "/etc/shadow\0" })
      end,
    },
  },
}
