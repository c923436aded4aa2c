-- SPDX-License-Identifier: Apache-2.0
--- Asks an address inside by name, number and other spellings.
-- try: action ok
-- permissions: network:outbound:example.com
return {
  actions = {
    ["escape_private_address.go"] = {
      execute = function(_, ctx)
        for _, url in ipairs({ "http://127.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/",
          "http://169.254.169.254/latest/meta-data/", "http://localhost/", "file:///etc/passwd", "gopher://127.0.0.1/" }) do
          local ok, err = pcall(ctx.http.get, url)
          assert(not ok, url)
          assert(err.code == "denied" or err.code:find("^http%."), err.code)
        end
      end,
    },
  },
}
