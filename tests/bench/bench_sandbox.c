/* SPDX-License-Identifier: Apache-2.0 */
/* What the sandbox costs, in one run against a bare lua_pcall of the same function: bench_sandbox [CALLS [PLUGINS]]. One
 * line of JSON. "call" is one entry into a state that is there; "through the host" is from the loop's thread to a
 * worker and back, one call after the other. */
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/str.h"
#include "data/json.h"
#include "plugin/host.h"
#include "plugin/lua_vm.h"

/* A condition of the usual size: it looks at a few fields. */
#define BODY "local v = 0 for i = 1, #p.list do v = v + p.list[i] end return v > p.limit and p.name ~= ''"
#define PARAMS "{\"limit\":10,\"name\":\"total\",\"list\":[1,2,3,4,5,6]}"
#define EVENT_FIELDS 20

static void die(const char *what)
{
    fprintf(stderr, "bench_sandbox: %s\n", what);
    exit(1);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct peri_value *parse(const char *text)
{
    struct peri_value *v = NULL;
    if (peri_json_parse(text, strlen(text), &v, NULL))
        die("bad JSON");
    return v;
}

/* --- in a state --- */

static void push_list(lua_State *L)
{
    lua_createtable(L, 6, 0);
    for (int i = 1; i <= 6; i++) {
        lua_pushinteger(L, i);
        lua_rawseti(L, -2, i);
    }
}

static double bare_ns(long calls)
{
    lua_State *L = luaL_newstate();
    if (!L)
        die("no memory");
    luaL_openlibs(L);
    if (luaL_dostring(L, "return function(p) " BODY " end"))
        die(lua_tostring(L, -1));
    double begin = seconds();
    for (long i = 0; i < calls; i++) {
        lua_pushvalue(L, 1);
        lua_createtable(L, 0, 3);
        lua_pushinteger(L, 10);
        lua_setfield(L, -2, "limit");
        lua_pushliteral(L, "total");
        lua_setfield(L, -2, "name");
        push_list(L);
        lua_setfield(L, -2, "list");
        if (lua_pcall(L, 1, 1, 0) || !lua_toboolean(L, -1))
            die("the function failed");
        lua_settop(L, 1);
    }
    double took = seconds() - begin;
    lua_close(L);
    return took / (double)calls * 1e9;
}

static int push_params(lua_State *L, void *user)
{
    peri_vm_push_value(L, user, false);
    return 1;
}

static double sandboxed_ns(long calls)
{
    static const char *const path[] = {"f", NULL};
    struct peri_vm_options options = {.name = "bench"};
    struct peri_vm *vm;
    struct peri_error err;
    struct peri_value *params = parse(PARAMS);
    static const char text[] = "return { f = function(p) " BODY " end }";
    if (peri_vm_create(&options, &vm, &err) || peri_vm_load(vm, "bench.lua", text, sizeof(text) - 1, &err))
        die(err.message);
    double begin = seconds();
    for (long i = 0; i < calls; i++) {
        struct peri_vm_call *call = NULL;
        struct peri_value *v = NULL;
        struct peri_vm_start start = {.path = path, .push = push_params, .user = params};
        if (peri_vm_call_start(vm, &start, &call, &err) != PERI_VM_DONE || peri_vm_call_result(call, 0, 64, &v, &err))
            die(err.message);
        peri_value_unref(v);
        peri_vm_call_destroy(call);
    }
    double took = seconds() - begin;
    peri_vm_destroy(vm);
    peri_value_unref(params);
    return took / (double)calls * 1e9;
}

static void state_cost(double *ret_us, size_t *ret_bytes)
{
    struct peri_vm_options options = {.name = "bench"};
    struct peri_error err;
    double begin = seconds();
    for (int i = 0; i < 2000; i++) {
        struct peri_vm *vm;
        if (peri_vm_create(&options, &vm, &err))
            die(err.message);
        *ret_bytes = peri_vm_memory(vm);
        peri_vm_destroy(vm);
    }
    *ret_us = (seconds() - begin) / 2000 * 1e6;
}

/* --- through the host --- */

static void put(const char *folder, const char *name, const char *text)
{
    char *path = peri_asprintf("%s/%s", folder, name);
    FILE *f = path ? fopen(path, "w") : NULL;
    if (!f || fputs(text, f) < 0 || fclose(f))
        die("cannot write a plugin");
    free(path);
}

static void write_plugin(const char *folder, const char *id, const char *more)
{
    char *dir = peri_asprintf("%s/%s", folder, id);
    char *json = peri_asprintf("{\"id\":\"%s\",\"name\":\"%s\",\"version\":\"1.0.0\",\"type\":\"operator\",\"apiVersion\":\"1.0\","
                               "\"entrypoint\":\"./init.lua\",\"permissions\":[\"storage:read\"]}",
        id, id);
    char *lua = peri_asprintf("return { conditions = {\n"
                              "  ['%s.check'] = { evaluate = function(p) " BODY " end },\n"
                              "  ['%s.event'] = { evaluate = function(p, ctx) local e = ctx.event.data\n"
                              "     return e.field1 ~= nil and e.field9 ~= nil and e.field17 ~= nil end } },\n"
                              "  actions = { ['%s.host'] = { execute = function(p, ctx) for i = 1, p.n do ctx.time.now_ms() end end } %s } }\n",
        id, id, id, more);
    if (!dir || !json || !lua || (mkdir(dir, 0700) && errno != EEXIST))
        die("cannot make a folder");
    put(dir, "plugin.json", json);
    put(dir, "init.lua", lua);
    free(dir);
    free(json);
    free(lua);
}

struct bench {
    struct peri_loop *loop;
    struct peri_host *host;
    struct peri_clock clock;
    struct peri_diag diag;
};

static void start(struct bench *b, const char *folder, const char *policy)
{
    const char *path[] = {folder, NULL};
    struct peri_error err;
    b->clock = peri_clock_system();
    peri_diag_init(&b->diag);
    if (peri_loop_create(&b->clock, &b->loop, &err))
        die(err.message);
    struct peri_host_options options = {
        .loop = b->loop, .clock = b->clock, .plugin_path = path, .approve_all = true, .policy_file = policy};
    if (peri_host_create(&options, &b->host, &err) || peri_host_load_now(b->host, &b->diag) || b->diag.errors)
        die(b->diag.count ? b->diag.items[0].message : err.message);
}

static void stop(struct bench *b)
{
    peri_host_destroy(b->host);
    peri_loop_destroy(b->loop);
    peri_diag_finish(&b->diag);
}

static void called(void *arg, const struct peri_call_result *result)
{
    *(int *)arg = result->status ? -1 : 1;
    if (result->status)
        die(result->error.message);
}

static double calls_us(struct bench *b, const char *plugin, const char *what, const char *params, struct peri_event *event, long calls)
{
    struct peri_value *v = parse(params);
    char *id = peri_asprintf("%s.%s", plugin, what);
    struct peri_error err;
    double begin = seconds();
    for (long i = 0; i < calls; i++) {
        int done = 0;
        struct peri_call call = {.operator_id = id, .params = v, .event = event};
        if (peri_host_call(b->host, &call, called, &done, &err))
            die(err.message);
        while (!done)
            peri_loop_once(b->loop, 100);
    }
    double took = seconds() - begin;
    free(id);
    peri_value_unref(v);
    return took / (double)calls * 1e6;
}

static struct peri_event *make_event(void)
{
    struct peri_event *e = peri_event_create();
    struct peri_buf buf;
    peri_buf_init(&buf, 65536);
    peri_buf_putc(&buf, '{');
    for (int i = 1; i <= EVENT_FIELDS; i++)
        peri_buf_printf(&buf, "%s\"field%d\":\"value number %d\"", i > 1 ? "," : "", i, i);
    peri_buf_putc(&buf, '}');
    e->type = peri_strdup("bench.Event");
    e->source = peri_strdup("bench");
    e->data = peri_buf_take(&buf, &e->data_len);
    e->time_ms = e->received_ms = 1;
    peri_buf_finish(&buf);
    return e;
}

static void through_host(const char *folder, const char *plugin, const char *name, long calls)
{
    struct bench b;
    struct peri_event *event = make_event();
    char *policy = peri_asprintf("%s/policy.yaml", folder);
    start(&b, folder, policy);
    calls_us(&b, plugin, "check", PARAMS, NULL, calls / 10 + 1); /* warm */
    double check = calls_us(&b, plugin, "check", PARAMS, NULL, calls);
    double plain = calls_us(&b, plugin, "event", PARAMS, event, calls);
    double none = calls_us(&b, plugin, "host", "{\"n\":0}", NULL, calls / 4);
    double hundred = calls_us(&b, plugin, "host", "{\"n\":100}", NULL, calls / 4);
    printf("\"%s_condition_us\": %.2f, \"%s_event_us\": %.2f, \"%s_host_call_us\": %.3f, ", name, check, name,
        plain - check, name, (hundred - none) / 100);
    stop(&b);
    free(policy);
    peri_event_unref(event);
}

/* --- many --- */

/* Private memory of the process, and of its children. */
static long private_kib(const char *pid)
{
    char path[64], line[256];
    long sum = 0, n;
    snprintf(path, sizeof(path), "/proc/%s/smaps_rollup", pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "Private_Clean: %ld", &n) == 1 || sscanf(line, "Private_Dirty: %ld", &n) == 1)
            sum += n;
    if (f)
        fclose(f);
    return sum;
}

static long resident_kib(void)
{
    long total, resident;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld %ld", &total, &resident) != 2)
        die("cannot read /proc/self/statm");
    fclose(f);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static long cells_kib(struct bench *b, long *ret_count)
{
    struct peri_value *rows = NULL;
    long sum = 0;
    *ret_count = 0;
    if (peri_host_plugins(b->host, &rows))
        die("no list of plugins");
    for (size_t i = 0; i < peri_value_count(rows); i++) {
        char pid[24];
        long long n = peri_map_int(peri_list_at(rows, i), "pid", 0);
        snprintf(pid, sizeof(pid), "%lld", n);
        sum += n ? private_kib(pid) : 0;
        *ret_count += n != 0;
    }
    peri_value_unref(rows);
    return sum;
}

static void many(const char *folder, const char *name, long plugins, bool process)
{
    struct bench b;
    char *dir = peri_asprintf("%s/%s", folder, name), *policy = peri_asprintf("%s/%s.yaml", folder, name);
    struct peri_buf text;
    peri_buf_init(&text, 1 << 20);
    peri_buf_puts(&text, "plugins:\n");
    mkdir(dir, 0700);
    for (long i = 0; i < plugins; i++) {
        char id[32];
        snprintf(id, sizeof(id), "plugin-%ld", i);
        write_plugin(dir, id, "");
        peri_buf_printf(&text, "  %s: {isolation: %s}\n", id, process ? "process" : "none");
    }
    char whole[64];
    snprintf(whole, sizeof(whole), "%s.yaml", name);
    put(folder, whole, peri_buf_text(&text));
    long before = resident_kib(), cells = 0;
    double begin = seconds();
    start(&b, dir, policy);
    double took = seconds() - begin;
    long after = resident_kib(), inside = cells_kib(&b, &cells);
    printf("\"%s\": %ld, \"%s_load_ms\": %.1f, \"%s_rss_kib_each\": %.1f, ", name, plugins, name, took * 1000, name,
        (double)(after - before) / (double)plugins);
    if (process)
        printf("\"%s_process_private_kib_each\": %.1f, ", name, cells ? (double)inside / (double)cells : 0);
    stop(&b);
    peri_buf_finish(&text);
    free(dir);
    free(policy);
}

int main(int argc, char **argv)
{
    long calls = argc > 1 ? strtol(argv[1], NULL, 10) : 20000, plugins = argc > 2 ? strtol(argv[2], NULL, 10) : 200;
    char folder[] = "/tmp/perigee-sandbox-XXXXXX";
    double state_us;
    size_t state_bytes = 0;
    if (calls < 100 || plugins < 1 || !mkdtemp(folder))
        die("usage: bench_sandbox [CALLS [PLUGINS]]");
    char *near = peri_asprintf("%s/near", folder), *apart = peri_asprintf("%s/apart", folder);
    mkdir(near, 0700);
    mkdir(apart, 0700);
    write_plugin(near, "near", "");
    write_plugin(apart, "apart", "");
    put(apart, "policy.yaml", "plugins: {apart: {isolation: process}}\n");
    double bare = bare_ns(calls * 10), sandboxed = sandboxed_ns(calls * 10);
    state_cost(&state_us, &state_bytes);
    printf("{\"bare_pcall_ns\": %.0f, \"sandboxed_call_ns\": %.0f, \"state_us\": %.1f, \"state_bytes\": %zu, ", bare,
        sandboxed, state_us, state_bytes);
    through_host(near, "near", "host", calls);
    through_host(apart, "apart", "process", calls);
    many(folder, "plugins", plugins, false);
    many(folder, "cells", plugins / 4 > 0 ? plugins / 4 : 1, true);
    printf("\"calls\": %ld}\n", calls);
    free(near);
    free(apart);
    char *remove = peri_asprintf("rm -rf '%s'", folder);
    int left = remove ? system(remove) : -1;
    free(remove);
    return left != 0;
}
