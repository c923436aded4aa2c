-- SPDX-License-Identifier: Apache-2.0
--- Five thousand formatted lines.
-- try: action ok
-- result: [87000,"00001;n1      ;  0.33","03000;n4      ;1000.00"]
return {
  actions = {
    ["formatting.go"] = {
      execute = function()
        local lines = {}
        for i = 1, 3000 do
          lines[i] = ("%05d;%-8s;%6.2f;%q"):format(i, "n" .. i % 7, i / 3, "a\nb")
        end
        local text = table.concat(lines, "\n")
        return { #text, lines[1]:sub(1, 21), lines[3000]:sub(1, 22) }
      end,
    },
  },
}
