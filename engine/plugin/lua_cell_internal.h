/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_LUA_CELL_INTERNAL_H
#define PERI_PLUGIN_LUA_CELL_INTERNAL_H

#include "base/buf.h"
#include "plugin/cell.h"
#include "plugin/lua_cell.h"
#include "plugin/lua_vm.h"
#include "plugin/lua_wire.h"

/* What the lua_cell*.c files share: the service's side of a plugin that has a process of its own. lua_cell.c builds it
 * and makes calls, lua_cell_talk.c holds the conversation that a call is, lua_cell_mirror.c knows both ends' things by
 * their numbers. */

struct peri_cell {
    struct peri_cell_process process;
    struct peri_channel channel;
    struct peri_buf out;
    struct peri_message in; /* what is being served */
    uint32_t calls;         /* number of the last one */
    uint32_t refs;          /* things of the API that have a number */
    bool spoilt;
    char **secrets; /* names that the plugin was given */
    size_t secret_count, secret_cap;
    uint32_t *released;
    size_t released_count, released_cap;
};

/* --- lua_cell_mirror.c --- */

/* How values travel: things of the API and functions of the plugin by number, secrets by the names that were given. */
struct peri_wire_ends peri_cell_ends(struct peri_cell *cell);
/* What the number stands for. False: nothing. */
bool peri_cell_push_ref(lua_State *L, uint32_t number);
/* peri_vm_options.open_api of a mirror; user is the plugin. */
int peri_cell_open_mirror(lua_State *L, void *user);
/* Numbers and names of the process that there was. */
void peri_cell_forget(struct peri_cell *cell);
/* Into cell->out: the request to load the plugin. lua_CFunction with the plugin as its argument. */
int peri_cell_write_load(lua_State *L);
/* From cell->in: the plugin's package table. The same. */
int peri_cell_read_package(lua_State *L);
/* The handler: a function that the plugin gave away, by its number; else its path in the package. */
void peri_cell_put_handler(lua_State *L, struct peri_buf *out, const char *const *path);

/* --- lua_cell_talk.c --- */

/* How long an answer may take: beyond it the process is taken for dead. */
int64_t peri_cell_patience(const struct peri_plugin *plugin);
/* The process is of no use any more. st: what talking to it came to. */
enum peri_status peri_cell_lose(struct peri_plugin *plugin, enum peri_status st, struct peri_error *err);
/* Sends what is in out and serves the cell until it has answered; the answer is in cell->in. job NULL: while it loads.
 * Whatever goes wrong, the process is gone then and err says why. */
enum peri_status peri_cell_converse(
    struct peri_plugin *plugin, struct peri_job *job, int64_t left_ns, struct peri_error *err);
/* What a host function came to, appended to out: kind, charge, values; or why the call is over for good. */
void peri_cell_put_outcome(
    struct peri_job *job, struct peri_vm_call *call, enum peri_vm_outcome outcome, struct peri_error *err);
/* Results and error objects travel as the values that they are; user is the cell. */
void peri_cell_put_values(lua_State *L, int count, void *user);

#endif
