/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_LUA_CONNECTOR_H
#define PERI_PLUGIN_LUA_CONNECTOR_H

#include <stdbool.h>
#include <lua.h>

/* The connector of a plugin in Lua, in the state where its code is. */

/* In place of the function `sync` at the top: one that calls it, and gives what the package's `map` makes of each item
 * in a list. sync may wait, map may not. Both are within the limits of the one call. */
void peri_lua_wrap_sync(lua_State *L);
/* Is this the path of `sync`? NULL-ended. */
bool peri_lua_path_is_sync(const char *const *path);

#endif
