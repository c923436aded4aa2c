-- SPDX-License-Identifier: Apache-2.0
--- Returns no table.
-- try: load lua.error
return nil
