-- SPDX-License-Identifier: Apache-2.0
--- Matches a pattern while it is loaded.
-- try: load limit.instructions
return { description = (("a"):rep(40)):find(("a?"):rep(40) .. ("a"):rep(40) .. "b") }
