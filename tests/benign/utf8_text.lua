-- SPDX-License-Identifier: Apache-2.0
--- Walks through text of many scripts.
-- try: action ok
-- result: [1200,1200,550,"€",3]
return {
  actions = {
    ["utf8_text.go"] = {
      execute = function()
        local text, count, wide = ("Grüße, Welt — Привет 你好 "):rep(50), 0, 0
        for _, code in utf8.codes(text) do
          count = count + 1
          wide = wide + (code > 0x7f and 1 or 0)
        end
        return { count, utf8.len(text), wide, utf8.char(0x20ac), utf8.offset(text, 3) }
      end,
    },
  },
}
