-- SPDX-License-Identifier: Apache-2.0
--- A condition that looks at two hundred records.
-- try: condition ok
-- result: {"actual":75}
return {
  conditions = {
    ["condition_heavy.go"] = {
      evaluate = function()
        local matching = {}
        for i = 1, 200 do
          local record = { id = i, tags = { "a", i % 2 == 0 and "vip" or "b" }, total = i * 10 }
          for _, tag in ipairs(record.tags) do
            if tag == "vip" and record.total > 500 then
              matching[#matching + 1] = record.id
            end
          end
        end
        return #matching > 10, { actual = #matching }
      end,
    },
  },
}
