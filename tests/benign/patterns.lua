-- SPDX-License-Identifier: Apache-2.0
--- Picks dates, numbers and addresses out of a text.
-- try: action ok
-- result: [40,40,1000,"none"]
return {
  actions = {
    ["patterns.go"] = {
      execute = function()
        local text = ("On 2026-01-31 ada@example.org paid 1,234.50 EUR; call +49 30 1234-567. "):rep(40)
        local dates, mails, digits = 0, 0, 0
        for y, m, d in text:gmatch("(%d%d%d%d)%-(%d%d)%-(%d%d)") do
          dates = dates + y * 0 + m * 0 + d // 31
        end
        for _ in text:gmatch("[%w.]+@[%w.]+%w") do
          mails = mails + 1
        end
        for run in text:gmatch("%f[%d]%d+%f[%D]") do
          digits = digits + #run
        end
        return { math.tointeger(dates), mails, digits, (text:match("%((.-)%)")) or "none" }
      end,
    },
  },
}
