/* SPDX-License-Identifier: Apache-2.0 */
/* Plugins in processes of their own: what holds such a process, what happens when it ends, and what one can do that
 * says what it likes. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define RIG_PROCESS
#include "host_rig.h"

#include "base/str.h"
#include "plugin/cell.h"

/* --- the jail --- */

/* Each ends at the first call that is not allowed; 42 when it comes back. */
static void try_call(int what)
{
    static const char path[] = "/etc/passwd";
    switch (what) {
    case 0:
        syscall(SYS_openat, AT_FDCWD, path, O_RDONLY);
        break;
    case 1:
        syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
        break;
    case 2:
        syscall(SYS_connect, PERI_CELL_FD, NULL, 0);
        break;
    case 3:
        syscall(SYS_execve, "/bin/true", NULL, NULL);
        break;
    case 4:
        syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        break;
    case 5:
        syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0);
        break;
    case 6:
        syscall(SYS_kill, getppid(), 0);
        break;
    case 7:
        syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        break;
    case 8:
        syscall(SYS_mprotect, (uintptr_t)path & ~4095ul, 4096, PROT_READ | PROT_EXEC);
        break;
    case 9:
        syscall(SYS_read, 0, NULL, 0); /* another descriptor than its own */
        break;
    case 10:
        syscall(SYS_prlimit64, 0, 0, NULL, NULL);
        break;
    case 11:
        syscall(SYS_prctl, 0, 0, 0, 0, 0);
        break;
    case 12:
        syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
        break;
    case 13:
        syscall(SYS_io_uring_setup, 1, NULL);
        break;
    case 14:
        syscall(SYS_unlinkat, AT_FDCWD, "/tmp/x", 0);
        break;
#ifdef SYS_fork
    case 15:
        syscall(SYS_fork);
        break;
#endif
    default:
        syscall(SYS_bpf, 0, NULL, 0);
        break;
    }
    syscall(SYS_exit_group, 42);
}

static int status_of(int what)
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (!peri_jail_enter(8 << 20))
            syscall(SYS_exit_group, 43);
        if (what >= 0)
            try_call(what);
        syscall(SYS_exit_group, 7);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void system_calls_end_the_process(void **state)
{
    int status = status_of(-1);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    for (int what = 0; what <= 16; what++) {
        status = status_of(what);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
            fail_msg("call %d: status %x", what, status);
    }
}

/* --- a real one --- */

static const char LUA[] = "local n, at = 0, {}\n"
                          "return { init = function(ctx) at.init = true end, actions = {\n"
                          "  ['t.count'] = { execute = function() n = n + 1 return n end },\n"
                          "  ['t.init'] = { execute = function() return at.init end },\n"
                          "  ['t.wait'] = { execute = function(_, ctx) return ctx.call('good.wait', {}) end },\n"
                          "  ['t.loop'] = { execute = function() while true do end end } } }";

static struct peri_value *find_plugin(struct rig *rig, const char *id, struct peri_value **ret_rows)
{
    *ret_rows = NULL;
    assert_int_equal(peri_host_plugins(rig->host, ret_rows), PERI_OK);
    for (size_t i = 0; i < peri_value_count(*ret_rows); i++)
        if (peri_streq(peri_map_text(peri_list_at(*ret_rows, i), "id"), id))
            return peri_list_at(*ret_rows, i);
    fail_msg("%s is not there", id);
    return NULL;
}

static int64_t fact(struct rig *rig, const char *id, const char *name)
{
    struct peri_value *rows, *p = find_plugin(rig, id, &rows);
    int64_t n = peri_map_int(p, name, 0);
    peri_value_unref(rows);
    return n;
}

/* A process that was killed is there for a moment. */
static void wait_gone(pid_t pid)
{
    for (int i = 0; i < 5000 && kill(pid, 0) == 0; i++)
        usleep(1000);
    assert_int_not_equal(kill(pid, 0), 0);
}

static void end_with(struct rig *rig, int signo)
{
    pid_t pid = (pid_t)fact(rig, "test.p", "pid");
    siginfo_t info;
    assert_true(pid > 0);
    assert_int_equal(kill(pid, signo), 0);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

static void a_crash_is_a_fault_of_the_plugin(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "p", "[]", "", LUA);
    rig_load_clean(&rig);
    rig_gives(&rig, "t.count", "{}", "1");
    rig_gives(&rig, "t.count", "{}", "2");
    pid_t first = (pid_t)fact(&rig, "test.p", "pid");
    end_with(&rig, SIGSEGV);
    struct rig_answer a = rig_fails(&rig, "t.count", "{}", "plugin.crashed");
    assert_non_null(strstr(a.error.message, "SIGSEGV"));
    assert_true(a.error.retryable);
    assert_false(a.error.outcome_unknown);
    rig_gives(&rig, "t.init", "{}", "true"); /* a new process, whose init has run */
    rig_gives(&rig, "t.count", "{}", "1");
    assert_int_not_equal(fact(&rig, "test.p", "pid"), first);
    assert_int_equal(fact(&rig, "test.p", "restarts"), 1);
    end_with(&rig, SIGSYS);
    a = rig_fails(&rig, "t.count", "{}", "plugin.crashed");
    assert_non_null(strstr(a.error.message, "system call"));
    rig_gives(&rig, "t.init", "{}", "true");
    end_with(&rig, SIGKILL);
    rig_fails(&rig, "t.count", "{}", "plugin.crashed");
    rig_gives(&rig, "t.init", "{}", "true"); /* good calls in between: not three in a row */
    rig_finish(&rig);
}

static void crashes_in_a_row_open_the_breaker(void **state)
{
    struct rig rig;
    struct peri_clock_fake fake;
    rig_init(&rig);
    rig.options.clock = peri_clock_fake_init(&fake, 1000000);
    rig_plugin(&rig, "p", "[]", "",
        "local n = 0 return { actions = { ['t.count'] = { execute = function() n = n + 1 return n end } } }");
    rig_load_clean(&rig);
    for (int i = 0; i < 3; i++) {
        end_with(&rig, SIGSEGV);
        rig_fails(&rig, "t.count", "{}", "plugin.crashed");
    }
    rig_fails(&rig, "t.count", "{}", "plugin_suspended");
    peri_clock_fake_advance(&fake, 31000);
    rig_gives(&rig, "t.count", "{}", "1");
    rig_gives(&rig, "t.count", "{}", "2");
    rig_finish(&rig);
}

/* The one that init runs in is lost too: it is no reason to give the plugin up. */
static void a_loss_during_init_is_survived(void **state)
{
    struct rig rig;
    struct peri_clock_fake fake;
    rig_init(&rig);
    rig.options.clock = peri_clock_fake_init(&fake, 1000000);
    rig_plugin(&rig, "p", "[]", "", LUA);
    rig_load_clean(&rig);
    for (int i = 0; i < 10; i++) {
        pid_t pid = (pid_t)fact(&rig, "test.p", "pid");
        if (pid)
            kill(pid, SIGKILL);
        (void)rig_call(&rig, "t.count", "{}");
        peri_clock_fake_advance(&fake, 2 * 3600 * 1000);
    }
    for (int i = 0; i < 100 && !fact(&rig, "test.p", "pid"); i++)
        peri_loop_once(rig.loop, 10);
    peri_clock_fake_advance(&fake, 2 * 3600 * 1000);
    (void)rig_call(&rig, "t.count", "{}"); /* may be the one that notices the last loss */
    rig_gives(&rig, "t.init", "{}", "true");
    rig_finish(&rig);
}

static size_t descriptors(void)
{
    size_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

/* bench_hostile does it a thousand times and looks at the memory. */
static void restarts_leave_nothing_behind(void **state)
{
    struct rig rig;
    struct peri_clock_fake fake;
    rig_init(&rig);
    rig.options.clock = peri_clock_fake_init(&fake, 1000000);
    rig_plugin(&rig, "p", "[]", "", LUA);
    rig_load_clean(&rig);
    rig_gives(&rig, "t.count", "{}", "1");
    size_t before = descriptors();
    for (int i = 0; i < 20; i++) {
        end_with(&rig, SIGKILL);
        rig_fails(&rig, "t.count", "{}", "plugin.crashed");
        peri_clock_fake_advance(&fake, 2 * 3600 * 1000);
        rig_gives(&rig, "t.count", "{}", "1");
    }
    assert_int_equal(descriptors(), before);
    assert_int_equal(fact(&rig, "test.p", "restarts"), 20);
    rig_finish(&rig);
}

static void limits_keep_the_process(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "p", "[]", "", LUA);
    rig_load_clean(&rig);
    pid_t pid = (pid_t)fact(&rig, "test.p", "pid");
    rig_fails(&rig, "t.loop", "{}", "limit.instructions");
    rig_gives(&rig, "t.init", "{}", "true");
    assert_int_equal(fact(&rig, "test.p", "pid"), pid);
    assert_int_equal(fact(&rig, "test.p", "restarts"), 0);
    rig_finish(&rig);
    wait_gone(pid);
}

static void loaded_again(void *arg)
{
    *(bool *)arg = true;
}

static void it_ends_with_its_plugin(void **state)
{
    struct rig rig;
    struct peri_error err;
    bool done = false;
    rig_init(&rig);
    rig_plugin(&rig, "p", "[]", "", LUA);
    rig_load_clean(&rig);
    pid_t pid = (pid_t)fact(&rig, "test.p", "pid");
    assert_int_equal(peri_host_reload(rig.host, "test.p", loaded_again, &done, &err), PERI_OK);
    rig_wait(&rig, &done);
    pid_t second = (pid_t)fact(&rig, "test.p", "pid");
    assert_int_not_equal(pid, second);
    rig_gives(&rig, "t.init", "{}", "true");
    wait_gone(pid);
    assert_int_equal(peri_host_set_enabled(rig.host, "test.p", false, &err), PERI_OK);
    wait_gone(second);
    assert_int_equal(fact(&rig, "test.p", "pid"), 0);
    assert_int_equal(peri_host_set_enabled(rig.host, "test.p", true, &err), PERI_OK);
    for (int i = 0; i < 3000 && !peri_host_operator(rig.host, "t.count"); i++)
        peri_loop_once(rig.loop, 10);
    rig_gives(&rig, "t.count", "{}", "1");
    /* the policy says otherwise from now on */
    pid = (pid_t)fact(&rig, "test.p", "pid");
    done = false;
    files_put(&rig.files, "policy.yaml", "plugins: {test.p: {isolation: none}}\n");
    assert_int_equal(peri_host_reload(rig.host, "test.p", loaded_again, &done, &err), PERI_OK);
    rig_wait(&rig, &done);
    rig_gives(&rig, "t.count", "{}", "1");
    assert_int_equal(fact(&rig, "test.p", "pid"), 0);
    wait_gone(pid);
    rig_finish(&rig);
}

static void what_waits_ends_with_the_process(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "p", "[\"operators:call\"]", "", LUA);
    rig_plugin(&rig, "good", "[\"operators:call\"]", "",
        "return { actions = { ['good.wait'] = { execute = function(_, ctx) pcall(ctx.call, 't.loop', {}) return 5 end "
        "} } }");
    rig_load_clean(&rig);
    rig_fails(&rig, "t.wait", "{}", "plugin_reset"); /* its own other call ended the state in the meantime */
    rig_gives(&rig, "t.init", "{}", "true");
    rig_finish(&rig);
}

static void no_program_no_plugin(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig.options.cell_program = "/nowhere/perigee-cell";
    rig_plugin(&rig, "p", "[]", "", LUA);
    rig_load(&rig);
    struct peri_value *rows, *p = find_plugin(&rig, "test.p", &rows);
    assert_string_equal(peri_map_text(p, "state"), "failed");
    assert_string_equal(peri_map_text(peri_map_at(p, "error"), "code"), "plugin.process");
    peri_value_unref(rows);
    rig_finish(&rig);
}

/* --- one that lies --- */

static void forged(const char *how, const char *code)
{
    struct rig rig;
    char id[64];
    rig_init(&rig);
    rig.options.cell_program = TEST_FORGER;
    assert_int_equal(peri_secrets_set(rig.secrets, "bank", "tomato", 6, NULL), PERI_OK);
    rig_plugin(&rig, how, "[]", ",\"limits\":{\"runningMs\":200}", "return {}");
    rig_load_clean(&rig);
    snprintf(id, sizeof(id), "test.%s", how);
    struct rig_answer a = rig_call(&rig, id, "{}");
    bool slow = !strcmp(how, "flood") && !strcmp(a.error.code, "limit.time"); /* patience ends first on a busy machine */
    if (!slow && strcmp(a.status ? a.error.code : "ok", code))
        fail_msg("%s: %s: %s", how, a.status ? a.error.code : a.text, a.error.message);
    for (const char *c = a.error.code; *c; c++)
        assert_true((unsigned char)*c >= ' ');
    assert_null(strstr(a.text, "bank"));
    rig_finish(&rig);
}

static void lies_are_noticed(void **state)
{
    static const char *const cases[][2] = {{"long-frame", "plugin.crashed"}, {"bad-kind", "plugin.crashed"},
        {"cut-value", "plugin.crashed"}, {"bad-tag", "plugin.crashed"}, {"deep", "plugin.crashed"},
        {"nil-key", "plugin.crashed"}, {"secret", "plugin.crashed"}, {"usage", "plugin.crashed"},
        {"unasked", "plugin.crashed"}, {"no-function", "ok"}, {"flood", "plugin.crashed"}, {"rehash", "limit.memory"},
        {"handles", "ok"}, {"paint", "a?[31mb"}, {"silent", "limit.time"}, {"segv", "plugin.crashed"}, {"good", "ok"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        forged(cases[i][0], cases[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(system_calls_end_the_process),
        cmocka_unit_test(a_crash_is_a_fault_of_the_plugin),
        cmocka_unit_test(crashes_in_a_row_open_the_breaker),
        cmocka_unit_test(a_loss_during_init_is_survived),
        cmocka_unit_test(restarts_leave_nothing_behind),
        cmocka_unit_test(limits_keep_the_process),
        cmocka_unit_test(it_ends_with_its_plugin),
        cmocka_unit_test(what_waits_ends_with_the_process),
        cmocka_unit_test(no_program_no_plugin),
        cmocka_unit_test(lies_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
