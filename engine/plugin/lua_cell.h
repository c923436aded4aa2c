/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_LUA_CELL_H
#define PERI_PLUGIN_LUA_CELL_H

#include "plugin/host_internal.h"

/* A Lua plugin in a process of its own (`isolation: process`). The sandbox of lua_vm.h runs in that process; here
 * stands a mirror: a state without code of the plugin, with the same API functions and a copy of the plugin's package
 * table in which functions are mere stand-ins. When the plugin calls a host function, its arguments travel, the real
 * function is called with them in the mirror, and its results travel back. So a host function knows nothing of cells,
 * checks its arguments as ever, and waits as ever.
 *
 * Everything a cell sends may be forged: it can do what the plugin was granted, in its own call, and no more.
 *
 *   LOAD     limits, name and text of the chunk, the API      -> LOADED package | FAILED
 *   START    call, limits, handler, arguments, charge         -> DONE | SUSPENDED | FAILED
 *   RESUME   call, RESULT | RAISE | STOP                      -> the same
 *   ABORT call, RELEASE functions                             -> nothing
 *   and while it works:  MODULE name -> TEXT;  HOST function, can it wait, arguments -> RESULT | RAISE | STOP | WAIT
 *   DONE usage, results;  FAILED usage, is the state spoilt, error
 *
 * All of it runs on the worker that runs the plugin. */
struct peri_cell;

/* Starts the process when there is none, loads the plugin's source in it and makes the mirror (plugin->vm). */
enum peri_status peri_cell_build(struct peri_plugin *plugin, struct peri_error *err) PERI_MUST_CHECK;
void peri_cell_end(struct peri_plugin *plugin); /* process and mirror; on the plugin's worker */
void peri_cell_destroy(struct peri_cell *cell); /* ends the process; NULL is fine; any thread */
/* As peri_lua_start, peri_lua_resume and peri_lua_abort. */
void peri_cell_start(struct peri_job *job);
void peri_cell_resume(struct peri_job *job);
void peri_cell_abort(struct peri_job *job);
/* Its state was ended by a limit, or the process is gone: peri_cell_build makes it new. */
/* Has this process of its ended by itself, and nobody noticed? Says so to log and metrics. */
bool peri_cell_lost(struct peri_plugin *plugin, int pid);
bool peri_cell_spoilt(const struct peri_cell *cell);

#endif
