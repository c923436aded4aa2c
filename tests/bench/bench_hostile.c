/* SPDX-License-Identifier: Apache-2.0 */
/* Kills plugins at their limits, one after the other, and tells what memory the process has after the first hundred and
 * at the end: bench_hostile [KILLS [FOLDER]]. One line of JSON. The breaker's pauses go by on a clock that is moved.
 * bench_hostile restarts [TIMES]: kills the process of a plugin that stands alone instead, and counts descriptors too. */
#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/str.h"
#include "plugin/host.h"

static const char *const BODIES[] = {
    "while true do pcall(string.rep, 'x', 10) end",
    "while true do kept[#kept + 1] = ('x'):rep(10000) .. #kept end",
    "while true do coroutine.wrap(function() while true do end end)() end",
    "return (('a'):rep(40)):find(('a?'):rep(40) .. ('a'):rep(40) .. 'b')",
    "local function down(n) return 1 + down(n + 1) end return down(1)",
    "local g <close> = setmetatable({}, {__close = function() while true do end end}) while true do end",
};
#define BODY_COUNT (sizeof(BODIES) / sizeof(BODIES[0]))

struct memory {
    long rss_kib, heap, mapped;
};

static void die(const char *what)
{
    fprintf(stderr, "bench_hostile: %s\n", what);
    exit(1);
}

#if defined(__SANITIZE_ADDRESS__)
size_t __sanitizer_get_current_allocated_bytes(void);
#endif

/* With the sanitizer (the dev preset) it counts, and looks for leaks at the end. */
static long heap_now(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return (long)__sanitizer_get_current_allocated_bytes();
#else
    return (long)mallinfo2().uordblks;
#endif
}

static struct memory memory_now(void)
{
    long total, resident;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld %ld", &total, &resident) != 2)
        die("cannot read /proc/self/statm");
    fclose(f);
    long page = sysconf(_SC_PAGESIZE) / 1024;
    return (struct memory){resident * page, heap_now(), total * page};
}

static void put(const char *folder, const char *name, const char *text)
{
    char *path = peri_asprintf("%s/%s", folder, name);
    FILE *f = path ? fopen(path, "w") : NULL;
    if (!f || fputs(text, f) < 0 || fclose(f))
        die("cannot write the plugin");
    free(path);
}

static void write_plugin(const char *folder)
{
    char lua[4096] = "local kept = {}\nreturn { init = function() kept[1] = 1 end, actions = {\n";
    for (size_t i = 0; i < BODY_COUNT; i++) {
        size_t at = strlen(lua);
        snprintf(lua + at, sizeof(lua) - at, "  ['kill.%zu'] = { execute = function() %s end },\n", i, BODIES[i]);
    }
    strncat(lua, "} }\n", sizeof(lua) - strlen(lua) - 1);
    if (mkdir(folder, 0700) && errno != EEXIST)
        die("cannot make the folder");
    put(folder, "init.lua", lua);
    put(folder, "plugin.json",
        "{\"id\":\"kill\",\"name\":\"Kill\",\"version\":\"1.0.0\",\"type\":\"operator\",\"apiVersion\":\"1.0\","
        "\"entrypoint\":\"./init.lua\",\"limits\":{\"instructions\":20000,\"memoryBytes\":1048576}}");
}

static void called(void *arg, const struct peri_call_result *result)
{
    *(int *)arg = peri_str_starts(result->error.code, "limit.") ? 1 : -1;
}

static void kill_once(struct peri_loop *loop, struct peri_host *host, long i)
{
    char id[32];
    int done = 0;
    struct peri_error err;
    snprintf(id, sizeof(id), "kill.%ld", i % (long)BODY_COUNT);
    struct peri_call call = {.operator_id = id};
    if (peri_host_call(host, &call, called, &done, &err))
        die(err.message);
    while (!done)
        peri_loop_once(loop, 100);
    if (done < 0)
        die("a call did not end at its limit");
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- processes --- */

static long descriptors(void)
{
    long n = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

static pid_t process_of(struct peri_host *host)
{
    struct peri_value *rows = NULL;
    if (peri_host_plugins(host, &rows))
        die("no list of plugins");
    pid_t pid = (pid_t)peri_map_int(peri_list_at(rows, 0), "pid", 0);
    peri_value_unref(rows);
    return pid;
}

static void any_end(void *arg, const struct peri_call_result *result)
{
    *(int *)arg = 1;
}

static void lose_once(struct peri_loop *loop, struct peri_host *host)
{
    int done = 0;
    pid_t pid = process_of(host);
    siginfo_t info;
    struct peri_error err;
    struct peri_call call = {.operator_id = "kill.0"};
    if (pid <= 0 || kill(pid, SIGKILL) || (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) && errno != ECHILD))
        die("there is no process to kill");
    if (peri_host_call(host, &call, any_end, &done, &err))
        die(err.message);
    while (!done || process_of(host) == pid || process_of(host) == 0)
        peri_loop_once(loop, 10);
}

static int restarts(long times)
{
    char folder[] = "/tmp/perigee-kills-XXXXXX";
    const char *path[] = {mkdtemp(folder), NULL};
    struct peri_clock_fake fake;
    struct peri_clock real = peri_clock_system();
    struct peri_loop *loop;
    struct peri_host *host;
    struct peri_diag diag;
    struct peri_error err;
    if (!path[0] || times < 200)
        die("usage: bench_hostile restarts [TIMES]");
    write_plugin(folder);
    put(folder, "policy.yaml", "plugins: {kill: {isolation: process}}\n");
    char *policy = peri_asprintf("%s/policy.yaml", folder);
    peri_diag_init(&diag);
    if (peri_loop_create(&real, &loop, &err))
        die(err.message);
    struct peri_host_options options = {.loop = loop,
        .clock = peri_clock_fake_init(&fake, 1000000),
        .plugin_path = path,
        .approve_all = true,
        .policy_file = policy};
    if (peri_host_create(&options, &host, &err) || peri_host_load_now(host, &diag) || diag.errors)
        die(diag.count ? diag.items[0].message : err.message);
    struct memory first = {0};
    long fds = 0;
    double begin = seconds();
    for (long i = 0; i < times; i++) {
        if (i == 100) {
            first = memory_now();
            fds = descriptors();
        }
        lose_once(loop, host);
        peri_clock_fake_advance(&fake, 2 * 3600 * 1000);
    }
    double took = seconds() - begin;
    struct memory last = memory_now();
    printf("{\"restarts\": %ld, \"restarts_per_s\": %.0f, \"rss_kib_after_100\": %ld, \"rss_kib_at_end\": %ld, "
           "\"heap_after_100\": %ld, \"heap_at_end\": %ld, \"descriptors_after_100\": %ld, \"descriptors_at_end\": %ld}\n",
        times, (double)times / took, first.rss_kib, last.rss_kib, first.heap, last.heap, fds, descriptors());
    peri_host_destroy(host);
    peri_loop_destroy(loop);
    peri_diag_finish(&diag);
    free(policy);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "restarts"))
        return restarts(argc > 2 ? strtol(argv[2], NULL, 10) : 1000);
    long kills = argc > 1 ? strtol(argv[1], NULL, 10) : 10000;
    char folder[] = "/tmp/perigee-kills-XXXXXX";
    const char *dir = argc > 2 ? argv[2] : mkdtemp(folder);
    const char *path[] = {dir, NULL};
    struct peri_clock_fake fake;
    struct peri_clock real = peri_clock_system();
    struct peri_loop *loop;
    struct peri_host *host;
    struct peri_diag diag;
    struct peri_error err;
    if (!dir || kills < 200)
        die("usage: bench_hostile [KILLS [FOLDER]]");
    write_plugin(dir);
    peri_diag_init(&diag);
    if (peri_loop_create(&real, &loop, &err))
        die(err.message);
    struct peri_host_options options = {
        .loop = loop, .clock = peri_clock_fake_init(&fake, 1000000), .plugin_path = path, .approve_all = true};
    if (peri_host_create(&options, &host, &err) || peri_host_load_now(host, &diag) || diag.errors)
        die(diag.count ? diag.items[0].message : err.message);
    struct memory first = {0};
    double begin = seconds();
    for (long i = 0; i < kills; i++) {
        if (i == 100)
            first = memory_now();
        kill_once(loop, host, i);
        peri_clock_fake_advance(&fake, 2 * 3600 * 1000);
    }
    double took = seconds() - begin;
    struct memory last = memory_now();
    printf(
        "{\"kills\": %ld, \"kills_per_s\": %.0f, \"rss_kib_after_100\": %ld, \"rss_kib_at_end\": %ld, "
        "\"heap_after_100\": %ld, \"heap_at_end\": %ld, \"mapped_kib_after_100\": %ld, \"mapped_kib_at_end\": %ld}\n",
        kills, (double)kills / took, first.rss_kib, last.rss_kib, first.heap, last.heap, first.mapped, last.mapped);
    peri_host_destroy(host);
    peri_loop_destroy(loop);
    peri_diag_finish(&diag);
    return 0;
}
