/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>

static int set_descriptors(posix_spawn_file_actions_t *actions, const int *fds, size_t count)
{
    int failed = 0;
    for (size_t i = 0; !failed && i < count; i++)
        failed = fds[i] < 0 ? posix_spawn_file_actions_addopen(actions, (int)i, "/dev/null", O_RDWR, 0)
                            : posix_spawn_file_actions_adddup2(actions, fds[i], (int)i);
    return failed ? failed : posix_spawn_file_actions_addclosefrom_np(actions, (int)count);
}

static int set_signals(posix_spawnattr_t *attr)
{
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    int failed = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    if (!failed)
        failed = posix_spawnattr_setsigdefault(attr, &all);
    return failed ? failed : posix_spawnattr_setsigmask(attr, &none);
}

int peri_spawn(const char *program, char *const *argv, char *const *envp, const int *fds, size_t count, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    int failed = posix_spawn_file_actions_init(&actions);
    if (failed)
        return failed;
    failed = posix_spawnattr_init(&attr);
    if (failed) {
        posix_spawn_file_actions_destroy(&actions);
        return failed;
    }
    failed = set_descriptors(&actions, fds, count);
    if (!failed)
        failed = set_signals(&attr);
    if (!failed)
        failed = posix_spawn(ret_pid, program, &actions, &attr, argv, envp);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    return failed;
}
