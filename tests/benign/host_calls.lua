-- SPDX-License-Identifier: Apache-2.0
--- A handler that calls the host a thousand times.
-- try: action ok
return {
  actions = {
    ["host_calls.go"] = {
      execute = function(_, ctx)
        for i = 1, 300 do
          ctx.log.debug("line " .. i)
        end
        local at = ctx.time.parse("2026-01-31T12:00:00Z")
        local hashes = {}
        for i = 1, 100 do
          hashes[i] = ctx.crypto.sha256("text " .. i)
        end
        return { ctx.time.format(at + 1000), #hashes[100], ctx.crypto.base64("hello"), ctx.time.duration("1h30m") }
      end,
    },
  },
}
