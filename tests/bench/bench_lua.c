/* SPDX-License-Identifier: Apache-2.0 */
/* What a condition in Lua costs: calls through the host, in batches of 100, beside a bare lua_pcall of the same
 * function with the same arguments made anew for each call: from values, as the engine has them when a rule has looked
 * at its event, or (_from_text) with the event's text read first. bench_lua [ROUNDS]. One line of JSON; CPU time of the
 * whole process, so the hand-over to the worker and back counts. The alone figures are one call after the other, from
 * asking to the answer. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/str.h"
#include "data/json.h"
#include "plugin/host.h"

#define BATCH 100

static const char *const functions[][2] = {
    {"params", "function(params, ctx) return params.min > 2, {actual = params.min} end"},
    {"event", "function(params, ctx) local d = ctx.event.data return d.total > params.min and d.customer == 'c-7' end"},
};
#define FUNCTIONS (sizeof(functions) / sizeof(functions[0]))

static const char params_text[] = "{\"min\":3,\"tag\":\"vip\",\"contactId\":\"c-7\"}";
static const char data_text[] =
    "{\"customer\":\"c-7\",\"total\":120.5,\"currency\":\"EUR\",\"items\":[{\"sku\":\"a-1\",\"n\":2,\"price\":10.25},"
    "{\"sku\":\"b-2\",\"n\":1,\"price\":100}],\"address\":{\"street\":\"Long Lane "
    "3\",\"city\":\"Leeds\",\"zip\":\"LS1\"},"
    "\"notes\":[\"fragile\",\"ring twice\"],\"channel\":\"web\",\"priority\":false}";

static void die(const char *what)
{
    fprintf(stderr, "bench_lua: %s\n", what);
    exit(1);
}

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, size_t count, double part)
{
    qsort(values, count, sizeof(*values), by_size);
    return values[(size_t)((double)(count - 1) * part)];
}

/* --- bare --- */

static void push(lua_State *L, const struct peri_value *v)
{
    size_t len = 0;
    switch (peri_value_type(v)) {
    case PERI_MAP:
        lua_createtable(L, 0, (int)peri_value_count(v));
        for (void *it = peri_map_first(v); it; it = peri_map_next(v, it)) {
            const char *key = peri_map_key(it, &len);
            lua_pushlstring(L, key, len);
            push(L, peri_map_item(it));
            lua_rawset(L, -3);
        }
        return;
    case PERI_LIST:
        lua_createtable(L, (int)peri_value_count(v), 0);
        for (size_t i = 0; i < peri_value_count(v); i++) {
            push(L, peri_list_at(v, i));
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        return;
    case PERI_STRING: {
        const char *text = peri_value_textn(v, &len);
        lua_pushlstring(L, text, len);
        return;
    }
    case PERI_INT:
        lua_pushinteger(L, peri_value_as_int(v));
        return;
    case PERI_REAL:
        lua_pushnumber(L, peri_value_as_real(v));
        return;
    case PERI_BOOL:
        lua_pushboolean(L, peri_value_as_bool(v));
        return;
    default:
        lua_pushnil(L);
    }
}

/* The function and its two arguments are at 1 to 3. */
static double bare_ready(lua_State *L)
{
    double from = now(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < BATCH; i++) {
        lua_pushvalue(L, 1);
        lua_pushvalue(L, 2);
        lua_pushvalue(L, 3);
        if (lua_pcall(L, 2, 2, 0))
            die(lua_tostring(L, -1));
        lua_settop(L, 3);
    }
    return (now(CLOCK_PROCESS_CPUTIME_ID) - from) / BATCH;
}

/* With `made` the event is a tree of values already, as it is for a rule of the engine whose pattern or templates have
 * looked at it; else it is read from its text for each call. */
static double bare(
    lua_State *L, const struct peri_value *params, const struct peri_event *event, struct peri_value *made)
{
    double from = now(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < BATCH; i++) {
        struct peri_value *value = made ? peri_value_ref(made) : NULL;
        if (!made && peri_event_value(event, &value, NULL))
            die("out of memory");
        lua_pushvalue(L, 1);
        push(L, params);
        lua_createtable(L, 0, 1);
        push(L, value);
        lua_setfield(L, -2, "event");
        if (lua_pcall(L, 2, 2, 0))
            die(lua_tostring(L, -1));
        lua_settop(L, 1);
        peri_value_unref(value);
    }
    return (now(CLOCK_PROCESS_CPUTIME_ID) - from) / BATCH;
}

/* --- through the host --- */

static void answered(void *arg, const struct peri_call_result *result)
{
    if (result->status)
        die(result->error.message);
    ++*(int *)arg;
}

struct batch {
    struct peri_host *host;
    const struct peri_call *call;
    int count, done;
};

/* In a round of the loop, as the engine calls what the events of a group ask for. */
static void start_batch(void *arg)
{
    struct batch *batch = arg;
    struct peri_error err;
    for (int i = 0; i < batch->count; i++)
        if (peri_host_call(batch->host, batch->call, answered, &batch->done, &err))
            die(err.message);
}

static double calls(
    struct peri_loop *loop, struct peri_host *host, const struct peri_call *call, int count, clockid_t clock)
{
    struct batch batch = {host, call, count, 0};
    double from = now(clock);
    if (peri_loop_post(loop, start_batch, &batch))
        die("out of memory");
    while (batch.done < count)
        peri_loop_once(loop, 100);
    return (now(clock) - from) / count;
}

static void write_file(const char *folder, const char *name, const char *text)
{
    char *path = peri_asprintf("%s/%s", folder, name);
    FILE *f = path ? fopen(path, "w") : NULL;
    if (!f || fputs(text, f) < 0 || fclose(f))
        die("cannot write the plugin");
    free(path);
}

static void write_plugin(const char *folder)
{
    char lua[2048] = "return { conditions = {\n";
    for (size_t i = 0; i < FUNCTIONS; i++) {
        size_t at = strlen(lua);
        snprintf(lua + at, sizeof(lua) - at, "  ['bench.%s'] = { evaluate = %s },\n", functions[i][0], functions[i][1]);
    }
    strncat(lua, "} }\n", sizeof(lua) - strlen(lua) - 1);
    write_file(folder, "init.lua", lua);
    write_file(folder, "plugin.json",
        "{\"id\":\"bench\",\"name\":\"Bench\",\"version\":\"1.0.0\",\"type\":\"operator\",\"apiVersion\":\"1.0\","
        "\"entrypoint\":\"./init.lua\"}");
}

static void measure(struct peri_loop *loop, struct peri_host *host, struct peri_event *event,
    const struct peri_value *params, size_t which, bool made, size_t rounds)
{
    char id[32], *chunk = peri_asprintf("return %s", functions[which][1]);
    double *ours = calloc(rounds, sizeof(double)), *theirs = calloc(rounds, sizeof(double)),
           *alone = calloc(rounds, sizeof(double)), *ready = calloc(rounds, sizeof(double));
    lua_State *L = luaL_newstate(), *R = luaL_newstate();
    struct peri_value *value = NULL;
    luaL_openlibs(L);
    if (!ours || !theirs || !alone || !ready || !chunk || luaL_loadstring(L, chunk) || lua_pcall(L, 0, 1, 0) ||
        luaL_loadstring(R, chunk) || lua_pcall(R, 0, 1, 0) || peri_event_value(event, &value, NULL))
        die("the bare state");
    push(R, params);
    lua_createtable(R, 0, 1);
    push(R, value);
    lua_setfield(R, -2, "event");
    snprintf(id, sizeof(id), "bench.%s", functions[which][0]);
    struct peri_call call = {.operator_id = id,
        .params = (struct peri_value *)(uintptr_t)params,
        .event = event,
        .payload = made ? peri_map_at(value, "data") : NULL,
        .rule_id = "rule",
        .rule_name = "Rule",
        .as_of = 1};
    for (size_t i = 0; i < rounds; i++) {
        ours[i] = calls(loop, host, &call, BATCH, CLOCK_PROCESS_CPUTIME_ID);
        theirs[i] = bare(L, params, event, made ? value : NULL);
        ready[i] = bare_ready(R);
        alone[i] = calls(loop, host, &call, 1, CLOCK_MONOTONIC);
    }
    double a = median(ours, rounds, 0.5), b = median(theirs, rounds, 0.5);
    printf("%s\"%s%s\": {\"call_cpu_us\": %.2f, \"bare_cpu_us\": %.2f, \"times\": %.2f, \"bare_ready_cpu_us\": %.2f, "
           "\"alone_p50_us\": %.1f, \"alone_p99_us\": %.1f}",
        which || !made ? ", " : "{", functions[which][0], made ? "" : "_from_text", a, b, a / b,
        median(ready, rounds, 0.5), median(alone, rounds, 0.5), median(alone, rounds, 0.99));
    peri_value_unref(value);
    lua_close(L);
    lua_close(R);
    free(ready);
    free(chunk);
    free(ours);
    free(theirs);
    free(alone);
}

int main(int argc, char **argv)
{
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 500;
    char folder[] = "/tmp/perigee-bench-lua-XXXXXX";
    const char *path[] = {mkdtemp(folder), NULL};
    struct peri_clock clock = peri_clock_system();
    struct peri_loop *loop;
    struct peri_host *host;
    struct peri_diag diag;
    struct peri_error err;
    struct peri_value *params = NULL;
    struct peri_event *event = peri_event_create();
    if (!path[0] || rounds < 1 || !event)
        die("usage: bench_lua [ROUNDS]");
    write_plugin(folder);
    peri_diag_init(&diag);
    event->seq = 1;
    event->type = peri_strdup("shop.Order");
    event->source = peri_strdup("bench");
    event->data = peri_strdup(data_text);
    event->data_len = strlen(data_text);
    if (peri_json_parse(params_text, strlen(params_text), &params, &err) || peri_loop_create(&clock, &loop, &err))
        die(err.message);
    struct peri_host_options options = {.loop = loop, .clock = clock, .plugin_path = path, .approve_all = true};
    if (peri_host_create(&options, &host, &err) || peri_host_load_now(host, &diag) || diag.errors)
        die(diag.count ? diag.items[0].message : err.message);
    for (size_t i = 0; i < FUNCTIONS; i++)
        for (int made = 1; made >= 0; made--)
            measure(loop, host, event, params, i, made, (size_t)rounds);
    printf("}\n");
    peri_host_destroy(host);
    peri_loop_destroy(loop);
    peri_diag_finish(&diag);
    peri_event_unref(event);
    peri_value_unref(params);
    char *command = peri_asprintf("rm -rf '%s'", folder);
    return command && system(command) == 0 ? 0 : 1;
}
