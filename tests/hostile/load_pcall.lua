-- SPDX-License-Identifier: Apache-2.0
--- Swallows the limit while it is loaded.
-- try: load limit.instructions
while true do
  pcall(function()
    while true do
    end
  end)
end
