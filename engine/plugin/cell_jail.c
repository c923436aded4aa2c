/* SPDX-License-Identifier: Apache-2.0 */
/* What a plugin's process may still do once it runs the plugin: compute, read and write its one socket, take and give
 * back memory that holds no code, ask for the time, and end. Everything else ends it with SIGSYS.
 *
 * The filter is written out here instead of with libseccomp: it is one list without conditions that a library would
 * make easier, and one library less for the packages of the service. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "plugin/cell.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define SLACK ((rlim_t)48 << 20) /* messages both ways, libc's heap, the stack */

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

/* --- limits --- */

static rlim_t mapped_now(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    bool ok = f && fscanf(f, "%ld", &pages) == 1;
    if (f)
        fclose(f);
    return ok ? (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) : (rlim_t)64 << 20;
}

static bool limit(int what, rlim_t most)
{
    struct rlimit old, set = {.rlim_cur = most, .rlim_max = most};
    if (!getrlimit(what, &old) && old.rlim_max < most)
        set.rlim_cur = set.rlim_max = old.rlim_max;
    return setrlimit(what, &set) == 0;
}

static bool limit_all(size_t memory)
{
    /* The arena of a state is mapped twice as large as what it serves. */
    rlim_t space = mapped_now() + 2 * ((rlim_t)memory + ((rlim_t)2 << 20)) + 4 * (rlim_t)PERI_MSG_MAX + SLACK;
    if (!SANITIZED && !limit(RLIMIT_AS, space)) /* the sanitizer reserves terabytes */
        return false;
    return limit(RLIMIT_NOFILE, PERI_CELL_FD + 1) && limit(RLIMIT_NPROC, 0) && limit(RLIMIT_FSIZE, 0) &&
           limit(RLIMIT_CORE, 0) && limit(RLIMIT_MEMLOCK, 0) && limit(RLIMIT_MSGQUEUE, 0);
}

/* --- system calls --- */

#ifdef ARCH

#define NR (offsetof(struct seccomp_data, nr))
#define LOW(arg) (offsetof(struct seccomp_data, args) + 8 * (arg)) /* both machines are little-endian */
#define LOAD(at) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (at))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define KILL BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
/* This call, whatever its arguments. */
#define CALL(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), ALLOW
/* This call, when the low word of an argument is value. */
#define CALL_WITH(nr, arg, value)                                                                                      \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 4), LOAD(LOW(arg)),                                                   \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(value), 0, 1), ALLOW, KILL
/* This call, when none of these bits of an argument is set. */
#define CALL_WITHOUT(nr, arg, bits)                                                                                    \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 4), LOAD(LOW(arg)),                                                   \
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (unsigned)(bits), 1, 0), ALLOW, KILL

static const struct sock_filter program[] = {
    LOAD(offsetof(struct seccomp_data, arch)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
    KILL,
    LOAD(NR),
#if defined(__x86_64__)
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), /* the x32 names of the same calls */
    KILL,
#endif
    CALL_WITH(__NR_read, 0, PERI_CELL_FD),
#if SANITIZED /* it reports on standard error */
    CALL(__NR_write),
    CALL(__NR_getpid),
    CALL(__NR_sched_yield),
    CALL(__NR_sigaltstack),
    CALL(__NR_rt_sigprocmask),
#else
    CALL_WITH(__NR_write, 0, PERI_CELL_FD),
#endif
    CALL(__NR_clock_gettime),
    CALL(__NR_timer_settime),
    CALL(__NR_timer_create),
    CALL(__NR_timer_delete),
    CALL(__NR_gettid),
    CALL(__NR_rt_sigreturn),
    CALL(__NR_restart_syscall),
    CALL(__NR_brk),
    CALL_WITHOUT(__NR_mmap, 2, PROT_EXEC),
    CALL_WITHOUT(__NR_mprotect, 2, PROT_EXEC),
    CALL(__NR_munmap),
    CALL(__NR_mremap),
    CALL(__NR_madvise),
    CALL(__NR_getrandom),
    CALL(__NR_futex),
    CALL(__NR_exit_group),
    KILL,
};

static bool filter_calls(void)
{
    struct sock_fprog fprog = {.len = sizeof(program) / sizeof(program[0]), .filter = (struct sock_filter *)program};
    /* Not seccomp(2): service managers that let through "what services need" leave it out. */
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &fprog) == 0;
}

#else

static bool filter_calls(void)
{
    return false; /* no filter for this machine: better no isolation than half of it */
}

#endif

bool peri_jail_enter(size_t memory)
{
    return limit_all(memory) && !prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) && !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
           filter_calls();
}
