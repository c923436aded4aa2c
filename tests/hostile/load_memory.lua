-- SPDX-License-Identifier: Apache-2.0
--- Takes all memory before it returns anything.
-- try: load limit.memory
local t = {}
while true do
  t[#t + 1] = {}
end
