/* SPDX-License-Identifier: Apache-2.0 */
/* Starting and ending the processes of plugins. What the child does to itself (limits, filter) it does after the exec,
 * before it reads anything. */
#include "plugin/cell.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "plugin/spawn.h"

#define CPU_STEP_S 20 /* processor time from one top-up to the next; far more than the calls of a second can use */
#define TOP_UP_NS 1000000000
#define PROGRAM "perigee-cell"

#ifndef PERIGEE_LIBEXEC
#define PERIGEE_LIBEXEC "/usr/libexec/perigee"
#endif

static int64_t now_ns(clockid_t clock)
{
    struct timespec t;
    return clock_gettime(clock, &t) ? 0 : (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Beside the program that runs (a build tree), as it lies in an installation that was moved, else where it was to be
 * installed. malloc'ed */
static char *find_program(void)
{
    static const char *const places[] = {"", "../libexec/perigee/", NULL};
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    while (n > 0 && self[n - 1] != '/')
        n--;
    for (const char *const *place = places; n > 0 && *place; place++) {
        char *path = peri_asprintf("%.*s%s" PROGRAM, (int)n, self, *place);
        if (path && !access(path, X_OK))
            return path;
        free(path);
    }
    return peri_strdup(PERIGEE_LIBEXEC "/" PROGRAM);
}

static int start(const char *program, int fd, size_t memory, pid_t *ret_pid)
{
    char text[2][32];
    char name[] = PROGRAM, locale[] = "LC_ALL=C";
    char *argv[] = {name, text[0], text[1], NULL}, *envp[] = {locale, NULL};
    const int fds[] = {-1, -1, -1, [PERI_CELL_FD] = fd};
    snprintf(text[0], sizeof(text[0]), "%zu", memory);
    snprintf(text[1], sizeof(text[1]), "%ld", (long)getpid());
    return peri_spawn(program, argv, envp, fds, sizeof(fds) / sizeof(fds[0]), ret_pid);
}

enum peri_status peri_cell_spawn(
    const char *program, size_t memory, struct peri_cell_process *ret, struct peri_error *err)
{
    int ends[2];
    pid_t pid = 0;
    char *path = program ? peri_strdup(program) : find_program();
    if (!path)
        return peri_error_nomem(err);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) {
        free(path);
        return peri_error_set(err, PERI_EIO, "plugin.process", "no socket for a plugin's process: %s", strerror(errno));
    }
    int failed = start(path, ends[1], memory, &pid);
    close(ends[1]);
    if (failed) {
        close(ends[0]);
        peri_error_set(
            err, PERI_EIO, "plugin.process", "can not start a plugin's process (%s): %s", path, strerror(failed));
    } else {
        *ret = (struct peri_cell_process){.pid = pid, .fd = ends[0]};
        peri_cell_top_up(ret);
    }
    free(path);
    return failed ? PERI_EIO : PERI_OK;
}

static void describe(int status, struct peri_error *err)
{
    int signo = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    const char *name = signo ? sigabbrev_np(signo) : NULL;
    if (signo == SIGXCPU)
        peri_error_set(err, PERI_ELIMIT, "limit.time", "the plugin's process used more processor time than it may");
    else if (signo == SIGSYS)
        peri_error_set(err, PERI_EIO, "plugin.crashed", "the plugin's process made a system call that it may not make");
    else if (signo)
        peri_error_set(err, PERI_EIO, "plugin.crashed", "the plugin's process was ended by signal %d%s%s%s", signo,
            name ? " (SIG" : "", name ? name : "", name ? ")" : "");
    else
        peri_error_set(err, PERI_EIO, "plugin.crashed", "the plugin's process ended with code %d", WEXITSTATUS(status));
}

bool peri_cell_gone(const struct peri_cell_process *process)
{
    siginfo_t info = {0};
    return process->pid && !waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid != 0;
}

void peri_cell_kill(struct peri_cell_process *process, struct peri_error *err)
{
    int status = 0;
    if (!process->pid)
        return;
    bool gone = peri_cell_gone(process);
    if (!gone)
        kill(process->pid, SIGKILL);
    while (waitpid(process->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (gone && err)
        describe(status, err);
    close(process->fd);
    *process = (struct peri_cell_process){.fd = -1};
}

void peri_cell_top_up(struct peri_cell_process *process)
{
    clockid_t clock;
    int64_t now = now_ns(CLOCK_MONOTONIC);
    if (process->topped_ns && now - process->topped_ns < TOP_UP_NS)
        return;
    process->topped_ns = now;
    int64_t used = clock_getcpuclockid(process->pid, &clock) ? 0 : now_ns(clock);
    rlim_t most = (rlim_t)(used / 1000000000 + CPU_STEP_S);
    struct rlimit limit = {.rlim_cur = most, .rlim_max = RLIM_INFINITY};
    if (!prlimit(process->pid, RLIMIT_CPU, NULL, &limit) && limit.rlim_max != RLIM_INFINITY && limit.rlim_max < most)
        most = limit.rlim_max; /* only the privileged may raise it again: the soft limit is what is moved */
    limit.rlim_cur = most;
    (void)!prlimit(process->pid, RLIMIT_CPU, &limit, NULL);
}

enum peri_status peri_cell_try(struct peri_error *err)
{
    struct peri_cell_process process;
    int status = 0;
    enum peri_status st = peri_cell_spawn(NULL, (size_t)8 << 20, &process, err);
    if (st)
        return st;
    shutdown(process.fd, SHUT_RDWR); /* it ends when nobody talks to it */
    while (waitpid(process.pid, &status, 0) < 0 && errno == EINTR)
        ;
    close(process.fd);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return PERI_OK;
    if (WIFEXITED(status) && WEXITSTATUS(status) == PERI_CELL_NO_JAIL)
        return peri_error_set(err, PERI_EIO, "plugin.process",
            "a plugin's process can not be held: this system refuses limits or a filter of system calls");
    describe(status, err);
    return err->status;
}
