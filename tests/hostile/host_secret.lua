-- SPDX-License-Identifier: Apache-2.0
--- Tries to read the text of a secret.
-- try: action ok
-- permissions: secrets:mtls
-- secret: key
return {
  actions = {
    ["host_secret.go"] = {
      execute = function(_, ctx)
        local secret = ctx.secret("key")
        local copy = pcall(function()
          return tostring(secret) .. #secret
        end)
        assert(not copy and not tostring(secret):find("tomato"))
        for _, f in ipairs({ ctx.json.encode, ctx.log.info, ctx.crypto.sha256, string.format, ctx.emit }) do
          local ok, text = pcall(f, secret)
          assert(not ok or not tostring(text):find("tomato"))
        end
      end,
    },
  },
}
