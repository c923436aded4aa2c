-- SPDX-License-Identifier: Apache-2.0
--- Loops before it returns anything.
-- try: load limit.instructions
while true do
end
