-- SPDX-License-Identifier: Apache-2.0
--- Requires itself.
-- try: load lua.error
return require("init")
