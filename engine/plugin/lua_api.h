/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_LUA_API_H
#define PERI_PLUGIN_LUA_API_H

#include <lauxlib.h>
#include <lua.h>
#include "plugin/host_internal.h"
#include "plugin/lua_vm.h"

/* What Lua handlers see as ctx. One file an area: lua_api_<area>.c fills the state's API table with what the plugin was
 * granted (the rest is absent); each call's ctx is a fresh table with those members and the call's own facts.
 *
 * A host function reads its arguments first (reading may raise; what it has taken stands in a box or in the job),
 * works, then pushes its result. Nothing it owns may be lost when a limit ends the call in any Lua function: allocate
 * into the job, or free before the next push. */

/* Each expects the API table on top of the stack and sets its members in it. */
void peri_lua_api_log(lua_State *L, const struct peri_plugin *plugin);
void peri_lua_api_data(lua_State *L, const struct peri_plugin *plugin);
void peri_lua_api_storage(lua_State *L, const struct peri_plugin *plugin);
void peri_lua_api_events(lua_State *L, const struct peri_plugin *plugin); /* and emit */
void peri_lua_api_mappings(lua_State *L, const struct peri_plugin *plugin);
void peri_lua_api_schedule(lua_State *L, const struct peri_plugin *plugin);
void peri_lua_api_files(lua_State *L, const struct peri_plugin *plugin);
void peri_lua_api_http(lua_State *L, const struct peri_plugin *plugin);
void peri_lua_api_smtp(lua_State *L, const struct peri_plugin *plugin);
void peri_lua_api_send(lua_State *L, const struct peri_plugin *plugin);
void peri_lua_api_secret(lua_State *L, const struct peri_plugin *plugin); /* and account */
void peri_lua_api_crypto(lua_State *L, const struct peri_plugin *plugin);
void peri_lua_api_json(lua_State *L, const struct peri_plugin *plugin);
void peri_lua_api_time(lua_State *L, const struct peri_plugin *plugin);

/* The names of every area, for the lint test that compares them with lua/types: "data.query", ... NULL-ended. */
extern const char *const peri_lua_api_names[];

int peri_lua_api_open(lua_State *L, void *plugin);    /* peri_vm_options.open_api */
int peri_lua_push_arguments(lua_State *L, void *job); /* peri_vm_start.push; event, rule and run of ctx come later */
int peri_lua_push_whole(lua_State *L, void *job);     /* the same with all of ctx, to be read at once */
int peri_lua_push_answer(lua_State *L, void *job);    /* of what the call waited for */
int peri_lua_push_http_answer(lua_State *L, struct peri_job *job);
/* The read that a job asked for: now, or after the flush of its writes. Pushes one value. */
int peri_lua_push_read(lua_State *L, struct peri_job *job, struct peri_read *read);
/* The same from a host function: `return peri_lua_read(...)`. Copies read when it has to wait. */
int peri_lua_read(lua_State *L, struct peri_job *job, const struct peri_read *read);

/* --- for the areas --- */

/* The running call, counted; raises while loading, ends the call when it has used too many host functions. */
struct peri_job *peri_lua_job(lua_State *L);
/* Raises err when st is not PERI_OK. */
void peri_lua_check(lua_State *L, enum peri_status st, const struct peri_error *err);
/* A text argument; raises bad_argument. */
const char *peri_lua_text(lua_State *L, int idx, const char *what);
const char *peri_lua_textn(lua_State *L, int idx, const char *what, size_t *ret_len);
/* A value argument, kept in a box on the stack. nil: NULL. */
struct peri_value *peri_lua_value(lua_State *L, int idx, const char *what, size_t max_bytes);
/* The same for what will be stored, sent on or shown: values of secrets in it are hidden (io/secrets.h). */
struct peri_value *peri_lua_kept_value(lua_State *L, int idx, const char *what, size_t max_bytes);
/* Clears the job's operation and sets its kind; raises when the call can not wait here. */
struct peri_op *peri_lua_begin(lua_State *L, struct peri_job *job, enum peri_op_kind kind);
/* A copy in fresh memory for the job's operation; raises out_of_memory. */
char *peri_lua_dup(lua_State *L, const char *s, size_t len);
/* A text, a secret, a table {secret, prefix = "Bearer "}, or an account; copied into to. */
void peri_lua_secret_text(lua_State *L, int idx, const char *what, struct peri_secret_text *to);
void peri_lua_set_functions(lua_State *L, const luaL_Reg *functions); /* of the table on top */

#endif
