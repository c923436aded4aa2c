/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_CELL_H
#define PERI_PLUGIN_CELL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "plugin/message.h"

/* A plugin's own process: started, limited, ended. What is said over its socket is lua_cell.h's.
 *
 * The process is a small program of its own (perigee-cell), so that its memory holds nothing of the service: no
 * secrets, no database, no network code. It gets one descriptor, an empty environment, a session of its own, and before
 * it reads its first message it puts itself into the jail (cell_jail.c). A process belongs to one plugin and one worker
 * at a time. */

struct peri_cell_process {
    pid_t pid; /* 0: there is none */
    int fd;
    int64_t cpu_ns, topped_ns; /* processor time that it may have used so far; when that was set (monotonic) */
};

/* program NULL: the one of the installation. memory: the cap of the plugin's state. PERI_EIO with what to do. */
enum peri_status peri_cell_spawn(
    const char *program, size_t memory, struct peri_cell_process *ret, struct peri_error *err) PERI_MUST_CHECK;
/* Kills and reaps it. err (may be NULL) then says how it ended, when it had ended by itself. Idempotent. */
void peri_cell_kill(struct peri_cell_process *process, struct peri_error *err);
/* Gives it some more seconds of processor time when it has been a second since the last time. */
void peri_cell_top_up(struct peri_cell_process *process);
/* Starts one, lets it end, and says what was wrong with it. */
enum peri_status peri_cell_try(struct peri_error *err) PERI_MUST_CHECK;
bool peri_cell_gone(const struct peri_cell_process *process); /* it has ended by itself */

/* --- inside (cell_jail.c) --- */

/* Limits of the process and its system calls, for good. False: something could not be set; the caller ends. */
bool peri_jail_enter(size_t memory);

/* The process itself, after its start: reads messages from fd until the other side is gone. Returns an exit code. */
int peri_cell_main(int fd, size_t memory, pid_t parent);
#define PERI_CELL_FD 3
#define PERI_CELL_NO_JAIL 2 /* exit code: peri_jail_enter failed */

#endif
