-- SPDX-License-Identifier: Apache-2.0
--- Line ends in everything that becomes a line of a request.
-- try: action ok
-- permissions: network:outbound:192.0.2.1
return {
  actions = {
    ["inject_header.go"] = {
      execute = function(_, ctx)
        local base = "http://192.0.2.1/"
        for _, request in ipairs({
          { url = base, headers = { ["X-A"] = "b\r\nX-C: d" } }, { url = base, headers = { ["X-A\r\nX-B"] = "c" } }, { url = base, headers = { ["X-A"] = "b\nc" } },
          { url = base, headers = { ["X A"] = "b" } }, { url = base, headers = { [""] = "b" } }, { url = base, headers = { ["X-A"] = "b\0c" } },
          { url = base, headers = { Host = "10.0.0.1" } }, { url = base, headers = { ["content-length"] = "1" } }, { url = base, headers = { ["Transfer-Encoding"] = "chunked" } },
          { url = base, headers = { ["X-A"] = { ctx.config, prefix = "b" } } }, { url = base, method = "GET / HTTP/1.1\r\nX: y" }, { url = base, method = "" },
          { url = base .. "\r\nX-A: b" }, { url = "http://a\r\nX: y@192.0.2.1/" }, { url = "gopher://192.0.2.1/_x" }, { url = "file:///etc/passwd" },
          { url = base, auth = { user = "a\r\nX: y", password = "b" } }, { url = base, timeout_ms = 0 / 0 }, { url = base, headers = "X: y" }, { url = base, unknown = 1 },
        }) do
          request.timeout_ms = request.timeout_ms or 50
          local ok, why = pcall(ctx.http.request, request)
          assert(not ok and type(why) == "table" and why.code, request.url)
        end
      end,
    },
  },
}
