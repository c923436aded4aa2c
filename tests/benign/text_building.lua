-- SPDX-License-Identifier: Apache-2.0
--- Builds a text of a hundred kilobytes in pieces.
-- try: action ok
-- result: [54901,">LU/<",4000]
return {
  actions = {
    ["text_building.go"] = {
      execute = function()
        local parts = {}
        for i = 1, 4000 do
          parts[#parts + 1] = "<li>" .. i .. "</li>"
        end
        local text = "<ul>" .. table.concat(parts, "\n") .. "</ul>"
        local reversed = text:reverse():upper()
        return { #text, reversed:sub(1, 5), select(2, text:gsub("<li>", "")) }
      end,
    },
  },
}
