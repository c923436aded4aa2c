-- SPDX-License-Identifier: Apache-2.0
--- Encodes and decodes a nested document.
-- try: action ok
-- result: [500,125.0,"deep",true]
return {
  actions = {
    ["json.go"] = {
      execute = function(_, ctx)
        local doc = { list = {}, map = { a = { b = { c = "deep" } } }, none = ctx.json.null, empty = ctx.json.array({}) }
        for i = 1, 500 do
          doc.list[i] = { id = i, name = "n" .. i, ok = i % 2 == 0, x = i / 4 }
        end
        local text = ctx.json.encode(doc)
        local again = ctx.json.decode(text)
        return { #again.list, again.list[500].x, again.map.a.b.c, again.none == ctx.json.null }
      end,
    },
  },
}
