/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_SPAWN_H
#define PERI_PLUGIN_SPAWN_H

#include <stddef.h>
#include <sys/types.h>

/* A process beside the service, with as little of it as possible. posix_spawn, because a fork of the service would copy
 * its page tables for every start. */

/* Starts program in a session of its own, with all signals as they are by default. Its descriptors are 0 to count - 1:
 * i is a copy of fds[i], or /dev/null where that is -1; it gets no others. Returns 0 or an errno. */
int peri_spawn(const char *program, char *const *argv, char *const *envp, const int *fds, size_t count, pid_t *ret_pid);

#endif
