/* SPDX-License-Identifier: Apache-2.0 */
/* Which Lua runs here: what the shared library says of itself, which may be newer than what was compiled against. */
#include <lua.h>
#include <stdio.h>
#include <string.h>

#include "plugin/host.h"
#include "plugin/lua_vm_watch.h"

const char *peri_host_lua(char ret_version[16], bool *ret_backstop)
{
    static const char lead[] = "Lua ";
    const char *at = strstr(lua_ident, lead); /* "$LuaVersion: Lua 5.4.4  Copyright (C) ..." */
    at = at ? at + sizeof(lead) - 1 : "?";
    snprintf(ret_version, 16, "%.*s", (int)strspn(at, "0123456789.?"), at);
    *ret_backstop = peri_vm_watch_works() != 0;
    return ret_version;
}
