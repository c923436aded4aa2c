-- SPDX-License-Identifier: Apache-2.0
--- Reads comma-separated values with quotes.
-- try: action ok
-- result: ["1","Smith, Ada","say \"hi\"","","end"]
return {
  actions = {
    ["csv.go"] = {
      execute = function()
        local function parse(line)
          local fields, at = {}, 1
          while at <= #line + 1 do
            if line:sub(at, at) == '"' then
              local value, next_at = "", at + 1
              repeat
                local close = line:find('"', next_at, true)
                value = value .. line:sub(next_at, close - 1)
                local double = line:sub(close + 1, close + 1) == '"'
                next_at = close + (double and 2 or 1)
                value = double and value .. '"' or value
              until not double
              fields[#fields + 1] = value
              at = next_at + 1
            else
              local close = line:find(",", at, true) or #line + 1
              fields[#fields + 1] = line:sub(at, close - 1)
              at = close + 1
            end
          end
          return fields
        end
        local last
        for _ = 1, 500 do
          last = parse('1,"Smith, Ada","say ""hi""",,end')
        end
        return last
      end,
    },
  },
}
