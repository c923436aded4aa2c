/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/lua_cell.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "plugin/cell.h"
#include "plugin/lua_api.h"
#include "plugin/lua_vm_internal.h"
#include "plugin/lua_wire.h"

#define REFS_MAX 100000        /* things of the API that the plugin may hold */
#define RELEASED_MAX 65536     /* functions of the plugin that nobody keeps any more, not told yet */
#define RESULTS_MAX 8          /* of a handler */
#define HOST_RESULTS_MAX 200   /* of a host function */
#define PATIENCE_NS 2000000000 /* beyond four times the running time, which ends the call inside */
#define START_NS 10000000000   /* for the process to start on a busy machine */

struct peri_cell {
    struct peri_cell_process process;
    struct peri_channel channel;
    struct peri_buf out;
    struct peri_message in; /* what is being served */
    uint32_t calls;         /* number of the last one */
    uint32_t refs;          /* things of the API that have a number */
    bool spoilt;
    char **secrets; /* names that the plugin was given */
    size_t secret_count, secret_cap;
    uint32_t *released;
    size_t released_count, released_cap;
};

/* Registry keys of a mirror: number -> thing and thing -> number; the metatable of guards. */
static const char key_refs, key_guard;

/* --- what both ends know by a number --- */

static bool put_ref(lua_State *L, int idx, struct peri_buf *out, void *user)
{
    struct peri_cell *cell = user;
    idx = lua_absindex(L, idx);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &key_refs);
    lua_pushvalue(L, idx);
    bool known = lua_rawget(L, -2) == LUA_TNUMBER;
    uint32_t number = known ? (uint32_t)lua_tointeger(L, -1) : cell->refs + 1;
    lua_pop(L, 1);
    if (!known && lua_isfunction(L, idx) && cell->refs < REFS_MAX) { /* of one call's ctx only */
        lua_pushvalue(L, idx);
        lua_rawseti(L, -2, (lua_Integer)number);
        lua_pushvalue(L, idx);
        lua_pushinteger(L, (lua_Integer)number);
        lua_rawset(L, -3);
        cell->refs = number;
        known = true;
    }
    lua_pop(L, 1);
    if (known) {
        peri_message_put8(out, PERI_WIRE_REF);
        peri_message_put32(out, number);
    }
    return known;
}

static struct peri_cell *cell_of(lua_State *L)
{
    const struct peri_plugin *p = peri_vm_user(L);
    return p->cell;
}

/* A function of the plugin. upvalues: its number, a guard that tells when the mirror has forgotten it. */
static int handle(lua_State *L)
{
    return peri_vm_raisef(L, "bad_argument", "a function of the plugin can not be called from here");
}

static int collect_guard(lua_State *L)
{
    struct peri_cell *cell = cell_of(L);
    if (cell && cell->released_count < RELEASED_MAX &&
        peri_vec_grow(&cell->released, &cell->released_cap, cell->released_count + 1, sizeof(*cell->released)))
        memcpy(&cell->released[cell->released_count++], lua_touserdata(L, 1), sizeof(uint32_t));
    return 0;
}

static bool push_numbered(lua_State *L, uint8_t tag, uint32_t number, void *user)
{
    if (tag == PERI_WIRE_REF) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &key_refs);
        bool known = lua_rawgeti(L, -1, (lua_Integer)number) != LUA_TNIL;
        lua_remove(L, -2);
        return known;
    }
    lua_pushinteger(L, (lua_Integer)number);
    memcpy(lua_newuserdatauv(L, sizeof(number), 0), &number, sizeof(number));
    lua_rawgetp(L, LUA_REGISTRYINDEX, &key_guard);
    lua_setmetatable(L, -2);
    lua_pushcclosure(L, handle, 2);
    return true;
}

static bool may_name(const char *secret, void *user)
{
    const struct peri_cell *cell = user;
    for (size_t i = 0; i < cell->secret_count; i++)
        if (!strcmp(cell->secrets[i], secret))
            return true;
    return false;
}

static void named(const char *secret, void *user)
{
    struct peri_cell *cell = user;
    if (may_name(secret, cell) ||
        !peri_vec_grow(&cell->secrets, &cell->secret_cap, cell->secret_count + 1, sizeof(*cell->secrets)))
        return;
    char *copy = peri_strdup(secret);
    if (copy)
        cell->secrets[cell->secret_count++] = copy;
}

static struct peri_wire_ends ends_of(struct peri_cell *cell)
{
    return (struct peri_wire_ends){
        .put = put_ref, .push = push_numbered, .may_name = may_name, .named = named, .user = cell};
}

/* --- the mirror --- */

static int open_mirror(lua_State *L, void *user)
{
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key_refs);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, collect_guard);
    lua_setfield(L, -2, "__gc");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key_guard);
    return peri_lua_api_open(L, user);
}

static void forget(struct peri_cell *cell)
{
    for (size_t i = 0; i < cell->secret_count; i++)
        free(cell->secrets[i]);
    cell->secret_count = 0;
    cell->released_count = 0;
    cell->refs = 0;
}

/* The table or function at the top gets a number. */
static uint32_t number_top(lua_State *L, struct peri_cell *cell)
{
    uint32_t number = ++cell->refs;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &key_refs);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, (lua_Integer)number);
    lua_pushvalue(L, -2);
    lua_pushinteger(L, (lua_Integer)number);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    return number;
}

/* The function or table at the top, with all that is in it, each with its number: 'f' number; 't' number flags
 * [number of __call] (key thing)... nil; 'v' value. */
static void put_thing(lua_State *L, struct peri_cell *cell, const struct peri_wire_ends *ends)
{
    luaL_checkstack(L, 10, "API");
    if (lua_isfunction(L, -1)) {
        peri_message_put8(&cell->out, 'f');
        peri_message_put32(&cell->out, number_top(L, cell));
        return;
    }
    if (!lua_istable(L, -1)) {
        peri_message_put8(&cell->out, 'v');
        peri_wire_put(L, -1, &cell->out, ends);
        return;
    }
    peri_message_put8(&cell->out, 't');
    peri_message_put32(&cell->out, number_top(L, cell));
    bool list = peri_vm_is_list(L, -1), callable = luaL_getmetafield(L, -1, "__call") == LUA_TFUNCTION;
    peri_message_put8(&cell->out, (uint8_t)(list | callable << 1));
    if (callable) {
        peri_message_put32(&cell->out, number_top(L, cell));
        lua_pop(L, 1);
    }
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        peri_wire_put(L, -2, &cell->out, ends);
        put_thing(L, cell, ends);
    }
    lua_pushnil(L);
    peri_wire_put(L, -1, &cell->out, ends);
    lua_pop(L, 1);
}

static int write_load(lua_State *L)
{
    const struct peri_plugin *p = lua_touserdata(L, 1);
    struct peri_cell *cell = p->cell;
    struct peri_wire_ends ends = ends_of(cell);
    size_t len = 0;
    const char *text = peri_package_text(p->package, p->manifest->entrypoint, &len);
    peri_message_begin(&cell->out, PERI_MSG_LOAD);
    peri_message_put_text(&cell->out, p->id);
    peri_message_put64(&cell->out, p->limits.instructions);
    peri_message_put64(&cell->out, p->limits.running_ms ? p->limits.running_ms : PERI_HOST_HANDLER_MS);
    peri_message_put64(&cell->out, (int64_t)p->limits.memory_bytes);
    peri_message_put_text(&cell->out, p->manifest->entrypoint);
    peri_message_put_bytes(&cell->out, text, len);
    peri_vm_push_api(L);
    put_thing(L, cell, &ends);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &peri_vm_key_print);
    peri_message_put32(&cell->out, lua_isfunction(L, -1) ? number_top(L, cell) : 0);
    return 0;
}

static int read_package(lua_State *L)
{
    const struct peri_plugin *p = lua_touserdata(L, 1);
    struct peri_wire_ends ends = ends_of(p->cell);
    peri_vm_of(L)->cap += PERI_VM_RESERVE;
    peri_wire_push(L, &p->cell->in, &ends);
    if (!lua_istable(L, -1))
        return peri_vm_raisef(L, "plugin.crashed", "the plugin's process sent no package");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &peri_vm_key_package);
    return 0;
}

static void arm(struct peri_plugin *p)
{
    int64_t ms = p->limits.running_ms ? p->limits.running_ms : PERI_HOST_HANDLER_MS;
    peri_vm_arm(p->vm, p->limits.instructions, ms * 1000000);
}

/* --- talking --- */

static int64_t patience(const struct peri_plugin *p)
{
    int64_t ms = p->limits.running_ms ? p->limits.running_ms : PERI_HOST_HANDLER_MS;
    return ms * 4 * 1000000 + PATIENCE_NS;
}

/* The process is of no use any more. st: what talking to it came to. */
static enum peri_status lose(struct peri_plugin *p, enum peri_status st, struct peri_error *err)
{
    struct peri_cell *cell = p->cell;
    struct peri_error how = {0};
    cell->spoilt = true;
    if (st == PERI_EIO && !peri_cell_gone(&cell->process)) { /* its socket closes before it can be reaped */
        struct timespec pause = {.tv_nsec = 1000000};
        for (int i = 0; i < 100 && !peri_cell_gone(&cell->process); i++)
            nanosleep(&pause, NULL);
    }
    peri_cell_kill(&cell->process, &how);
    peri_channel_finish(&cell->channel);
    if (how.status)
        *err = how;
    else if (st == PERI_ETIMEOUT)
        peri_error_set(err, PERI_ELIMIT, "limit.time", "the plugin's process did not answer within its running time");
    else
        peri_error_set(err, PERI_EIO, "plugin.crashed", "the plugin's process sent what is no answer");
    err->retryable = !strcmp(err->code, "plugin.crashed");
    atomic_store(&p->pid, 0);
    atomic_fetch_add(&p->restarts, 1);
    if (p->crashes)
        peri_metric_add(p->crashes, 1);
    peri_warn(p->host->options.log, p->area, "%s", err->message);
    return err->status;
}

bool peri_cell_lost(struct peri_plugin *p, int pid)
{
    struct peri_error err = {0};
    if (p->cell->process.pid != pid || !peri_cell_gone(&p->cell->process))
        return false;
    (void)!lose(p, PERI_EIO, &err);
    return true;
}

static enum peri_status serve_module(struct peri_plugin *p)
{
    struct peri_cell *cell = p->cell;
    struct peri_error err = {0};
    char name[256];
    const char *text = "";
    size_t len = 0;
    peri_message_get_text(&cell->in, name, sizeof(name));
    if (cell->in.bad)
        return PERI_EINVAL;
    enum peri_status st = peri_lua_module(p, name, &text, &len, &err);
    peri_message_begin(&cell->out, PERI_MSG_TEXT);
    peri_message_put8(&cell->out, st == PERI_OK);
    if (st)
        peri_message_put_error(&cell->out, &err);
    else
        peri_message_put_bytes(&cell->out, text, len);
    return PERI_OK;
}

static bool find_host_function(lua_State *L, void *user)
{
    const struct peri_job *job = user;
    return push_numbered(L, PERI_WIRE_REF, peri_message_get32(&job->plugin->cell->in), NULL) && lua_isfunction(L, -1);
}

static int push_host_arguments(lua_State *L, void *user)
{
    const struct peri_job *job = user;
    struct peri_cell *cell = job->plugin->cell;
    struct peri_wire_ends ends = ends_of(cell);
    int n = peri_message_get8(&cell->in);
    luaL_checkstack(L, n + 1, NULL);
    for (int i = 0; i < n; i++)
        peri_wire_push(L, &cell->in, &ends);
    return n;
}

/* Results and error objects travel as the values that they are. */
static void put_values(lua_State *L, int count, void *user)
{
    struct peri_cell *cell = user;
    struct peri_wire_ends ends = ends_of(cell);
    int first = lua_gettop(L) - count + 1;
    peri_message_put8(&cell->out, (uint8_t)count);
    for (int i = 0; i < count; i++)
        peri_wire_put(L, first + i, &cell->out, &ends);
}

/* What a host function came to, appended to out: kind, charge, values; or why the call is over for good. */
static void put_outcome(
    struct peri_job *job, struct peri_vm_call *call, enum peri_vm_outcome outcome, struct peri_error *err)
{
    struct peri_cell *cell = job->plugin->cell;
    struct peri_buf *out = &cell->out;
    size_t at = out->len;
    if (call && !peri_vm_spoilt(job->plugin->vm)) {
        peri_message_put8(out, outcome == PERI_VM_DONE ? PERI_MSG_RESULT : PERI_MSG_RAISE);
        peri_message_put64(out, peri_vm_call_usage(call).instructions);
        if (!peri_vm_call_read(call, HOST_RESULTS_MAX, put_values, cell, err))
            return;
        out->len = at;
    }
    job->error = *err; /* what counts, whatever the plugin's process says about it */
    peri_message_put8(out, PERI_MSG_STOP);
    peri_message_put_error(out, err);
}

static enum peri_status serve_host(struct peri_job *job)
{
    struct peri_plugin *p = job->plugin;
    struct peri_cell *cell = p->cell;
    struct peri_error err = {0};
    struct peri_vm_call *call = NULL;
    bool can_wait = peri_message_get8(&cell->in);
    struct peri_vm_start start = {
        .find = find_host_function, .push = push_host_arguments, .user = job, .no_wait = !can_wait};
    enum peri_vm_outcome outcome = peri_vm_call_start(p->vm, &start, &call, &err);
    if (cell->in.bad) {
        peri_vm_call_destroy(call);
        return PERI_EINVAL;
    }
    if (outcome == PERI_VM_SUSPENDED) {
        job->vm_call = call;
        peri_message_begin(&cell->out, PERI_MSG_WAIT);
        return PERI_OK;
    }
    peri_message_begin(&cell->out, PERI_MSG_HOST);
    cell->out.len--; /* the outcome begins with the message's kind */
    put_outcome(job, call, outcome, &err);
    peri_vm_call_destroy(call);
    return PERI_OK;
}

/* Functions that the mirror has dropped. */
static void tell_released(struct peri_cell *cell, int64_t *left_ns)
{
    struct peri_buf out;
    if (cell->released_count == 0)
        return;
    peri_buf_init(&out, PERI_MSG_MAX);
    peri_message_begin(&out, PERI_MSG_RELEASE);
    peri_message_put32(&out, (uint32_t)cell->released_count);
    for (size_t i = 0; i < cell->released_count; i++)
        peri_message_put32(&out, cell->released[i]);
    (void)!peri_channel_send(&cell->channel, &out, left_ns);
    peri_buf_finish(&out);
    cell->released_count = 0;
}

/* Sends what is in out and serves the cell until it has answered; the answer is in cell->in. job NULL: while it loads.
 * Whatever goes wrong, the process is gone then and err says why. */
static enum peri_status converse(struct peri_plugin *p, struct peri_job *job, int64_t left_ns, struct peri_error *err)
{
    struct peri_cell *cell = p->cell;
    enum peri_status st = PERI_OK;
    if (!cell->process.pid)
        return peri_error_set(err, PERI_ESTATE, "plugin_reset", "plugin %s was reset", p->id);
    tell_released(cell, &left_ns);
    peri_cell_top_up(&cell->process);
    for (int64_t asked = 0; !st; asked++) {
        st = peri_channel_send(&cell->channel, &cell->out, &left_ns);
        if (!st)
            st = peri_channel_receive(&cell->channel, &cell->in, &left_ns);
        if (st)
            break;
        bool asks = cell->in.kind == PERI_MSG_MODULE || cell->in.kind == PERI_MSG_HOST;
        if (!asks)
            return PERI_OK;
        if (asked > 2 * PERI_HOST_CALLS || (job && (job->vm_call || job->error.status)))
            st = PERI_EINVAL; /* after a wait, or a stop, only an end may follow */
        else if (cell->in.kind == PERI_MSG_MODULE)
            st = serve_module(p);
        else
            st = job ? serve_host(job) : PERI_EINVAL;
    }
    return lose(p, st, err);
}

/* --- building --- */

static enum peri_status start_process(struct peri_plugin *p, struct peri_error *err)
{
    struct peri_cell *cell = p->cell;
    if (!cell) {
        cell = p->cell = calloc(1, sizeof(*cell));
        if (!cell)
            return peri_error_nomem(err);
        cell->process.fd = -1;
        peri_buf_init(&cell->out, PERI_MSG_MAX);
    }
    forget(cell);
    cell->spoilt = false;
    if (cell->process.pid)
        return PERI_OK;
    enum peri_status st = peri_cell_spawn(p->host->options.cell_program, p->limits.memory_bytes, &cell->process, err);
    if (!st) {
        peri_channel_init(&cell->channel, cell->process.fd, false);
        atomic_store(&p->pid, (int)cell->process.pid);
    }
    return st;
}

static enum peri_status load(struct peri_plugin *p, struct peri_error *err)
{
    struct peri_cell *cell = p->cell;
    arm(p);
    enum peri_status st = peri_vm_protect(p->vm, write_load, p, err);
    if (!st && cell->out.failed)
        st = peri_error_set(err, PERI_ELIMIT, "too_large", "settings and files of the plugin are too large");
    if (!st)
        st = converse(p, NULL, patience(p) + START_NS, err);
    if (st)
        return st;
    if (cell->in.kind == PERI_MSG_FAILED) {
        for (int i = 0; i < 3; i++)
            (void)peri_message_get64(&cell->in);
        (void)peri_message_get8(&cell->in);
        peri_message_get_error(&cell->in, err);
        return cell->in.bad ? lose(p, PERI_EINVAL, err) : err->status;
    }
    if (cell->in.kind != PERI_MSG_LOADED)
        return lose(p, PERI_EINVAL, err);
    arm(p);
    return peri_vm_protect(p->vm, read_package, p, err);
}

enum peri_status peri_cell_build(struct peri_plugin *p, struct peri_error *err)
{
    struct peri_vm_options options = {
        .name = p->id,
        .limits = {.instructions = p->limits.instructions,
            .running_ms = p->limits.running_ms ? p->limits.running_ms : PERI_HOST_HANDLER_MS,
            .memory_bytes = p->limits.memory_bytes},
        .open_api = open_mirror,
        .user = p,
    };
    if (!peri_package_has(p->package, p->manifest->entrypoint))
        return peri_error_set(
            err, PERI_ENOTFOUND, "manifest.entrypoint", "entrypoint %s is not in the folder", p->manifest->entrypoint);
    enum peri_status st = start_process(p, err);
    peri_vm_destroy(p->vm);
    p->vm = NULL;
    if (!st)
        st = peri_vm_create(&options, &p->vm, err);
    if (!st)
        st = load(p, err);
    if (st) {
        peri_vm_destroy(p->vm);
        p->vm = NULL;
        atomic_store(&p->pid, 0);
        if (p->cell)
            peri_cell_kill(&p->cell->process, NULL);
    }
    return st;
}

void peri_cell_destroy(struct peri_cell *cell)
{
    if (!cell)
        return;
    peri_cell_kill(&cell->process, NULL);
    peri_channel_finish(&cell->channel);
    peri_buf_finish(&cell->out);
    forget(cell);
    free(cell->secrets);
    free(cell->released);
    free(cell);
}

bool peri_cell_spoilt(const struct peri_cell *cell)
{
    return cell->spoilt || !cell->process.pid;
}

void peri_cell_end(struct peri_plugin *p)
{
    atomic_store(&p->pid, 0);
    peri_cell_destroy(p->cell);
    p->cell = NULL;
    peri_vm_destroy(p->vm);
    p->vm = NULL;
}

/* --- calls --- */

struct starting {
    struct peri_job *job;
    int64_t running_ms;
};

/* The handler: a function that the plugin gave away, by its number; else its path in the package. */
static void put_handler(lua_State *L, struct peri_buf *out, const char *const *path)
{
    int n = 0;
    if (*path && !strcmp(*path, PERI_VM_KEPT)) {
        if (!peri_vm_push_path(L, path) || lua_tocfunction(L, -1) != handle)
            peri_vm_raisef(L, "plugin.no_handler", "the plugin has no such handler");
        lua_getupvalue(L, -1, 1);
        peri_message_put8(out, 0);
        peri_message_put32(out, (uint32_t)lua_tointeger(L, -1));
        lua_pop(L, 2);
        return;
    }
    while (path[n])
        n++;
    peri_message_put8(out, (uint8_t)n);
    for (int i = 0; i < n; i++)
        peri_message_put_text(out, path[i]);
}

static int write_start(lua_State *L)
{
    const struct starting *s = lua_touserdata(L, 1);
    struct peri_plugin *p = s->job->plugin;
    struct peri_cell *cell = p->cell;
    struct peri_vm *vm = peri_vm_of(L);
    peri_message_begin(&cell->out, PERI_MSG_START);
    peri_message_put32(&cell->out, s->job->cell_call);
    peri_message_put64(&cell->out, p->limits.instructions);
    peri_message_put64(&cell->out, s->running_ms);
    put_handler(L, &cell->out, s->job->path);
    vm->cap += PERI_VM_RESERVE;
    put_values(L, peri_lua_push_whole(L, s->job), cell);
    vm->cap -= PERI_VM_RESERVE;
    peri_message_put64(&cell->out, vm->budget_start - vm->budget);
    return 0;
}

static int same(lua_State *L)
{
    return lua_gettop(L);
}

static bool find_same(lua_State *L, void *user)
{
    lua_pushcfunction(L, same);
    return true;
}

static int push_results(lua_State *L, void *user)
{
    const struct peri_job *job = user;
    struct peri_cell *cell = job->plugin->cell;
    struct peri_wire_ends ends = ends_of(cell);
    int n = peri_message_get8(&cell->in);
    if (n > RESULTS_MAX)
        cell->in.bad = true;
    for (int i = 0; i < n; i++)
        peri_wire_push(L, &cell->in, &ends);
    return n;
}

static struct peri_usage read_usage(struct peri_message *in)
{
    int64_t n[3];
    for (int i = 0; i < 3; i++) {
        n[i] = peri_message_get64(in);
        if (n[i] < 0 || n[i] > INT64_C(1) << 50)
            in->bad = true;
    }
    return (struct peri_usage){.instructions = n[0], .running_us = n[1], .memory_bytes = (size_t)n[2]};
}

static void fail(struct peri_job *job)
{
    struct peri_usage usage = job->usage;
    peri_lua_settle(job, PERI_VM_FAILED);
    job->usage = usage;
}

static void lost(struct peri_job *job)
{
    (void)!lose(job->plugin, PERI_EINVAL, &job->error);
    fail(job);
}

/* The results stand in a call of the mirror, from where they are read as ever. */
static void done(struct peri_job *job)
{
    struct peri_plugin *p = job->plugin;
    struct peri_cell *cell = p->cell;
    struct peri_vm_start start = {.find = find_same, .push = push_results, .user = job};
    struct peri_usage usage = read_usage(&cell->in);
    enum peri_vm_outcome outcome = peri_vm_call_start(p->vm, &start, &job->vm_call, &job->error);
    if (cell->in.bad || outcome == PERI_VM_SUSPENDED) {
        lost(job);
        return;
    }
    peri_lua_settle(job, outcome);
    job->usage = usage;
}

static void failed(struct peri_job *job)
{
    struct peri_cell *cell = job->plugin->cell;
    struct peri_error err;
    bool stopped = job->error.status != PERI_OK; /* by a host function: its word counts */
    job->usage = read_usage(&cell->in);
    cell->spoilt = peri_message_get8(&cell->in) != 0 || cell->spoilt;
    peri_message_get_error(&cell->in, &err);
    if (cell->in.bad) {
        lost(job);
        return;
    }
    if (cell->spoilt && err.status != PERI_ESTATE)
        err.status = PERI_ELIMIT;
    if (!stopped)
        job->error = err;
    fail(job);
}

/* Sends what is in out and takes what the call comes to. */
static void go_on(struct peri_job *job)
{
    struct peri_plugin *p = job->plugin;
    struct peri_cell *cell = p->cell;
    if (converse(p, job, patience(p), &job->error)) {
        fail(job);
        return;
    }
    switch (cell->in.kind) {
    case PERI_MSG_DONE:
        if (job->vm_call || job->error.status)
            lost(job);
        else
            done(job);
        break;
    case PERI_MSG_SUSPENDED:
        if (job->vm_call)
            peri_lua_settle(job, PERI_VM_SUSPENDED);
        else
            lost(job);
        break;
    case PERI_MSG_FAILED:
        failed(job);
        break;
    default:
        lost(job);
    }
}

void peri_cell_start(struct peri_job *job)
{
    struct peri_plugin *p = job->plugin;
    int64_t standard = job->kind == PERI_JOB_CONDITION ? PERI_HOST_CONDITION_MS : PERI_HOST_HANDLER_MS;
    struct starting s = {job, p->limits.running_ms ? p->limits.running_ms : standard};
    job->cell_call = ++p->cell->calls;
    arm(p);
    enum peri_status st = peri_vm_protect(p->vm, write_start, &s, &job->error);
    if (!st && p->cell->out.failed)
        st = peri_error_set(&job->error, PERI_ELIMIT, "limit.memory", "the arguments of the call are too large");
    if (st)
        fail(job);
    else
        go_on(job);
}

static int push_answer(lua_State *L, void *user)
{
    return peri_lua_push_answer(L, user);
}

void peri_cell_resume(struct peri_job *job)
{
    struct peri_plugin *p = job->plugin;
    struct peri_error err = {0};
    struct peri_vm_call *call = job->vm_call;
    enum peri_vm_outcome outcome = peri_vm_call_resume(call, push_answer, job, &err);
    if (outcome == PERI_VM_SUSPENDED) { /* the same function waits once more */
        peri_lua_settle(job, outcome);
        return;
    }
    job->vm_call = NULL;
    peri_message_begin(&p->cell->out, PERI_MSG_RESUME);
    peri_message_put32(&p->cell->out, job->cell_call);
    put_outcome(job, call, outcome, &err);
    peri_vm_call_destroy(call);
    peri_op_finish(&job->op);
    go_on(job);
}

void peri_cell_abort(struct peri_job *job)
{
    struct peri_cell *cell = job->plugin->cell;
    int64_t left_ns = PATIENCE_NS;
    peri_vm_call_destroy(job->vm_call);
    job->vm_call = NULL;
    if (!cell->process.pid || cell->spoilt || job->host->closing)
        return;
    peri_message_begin(&cell->out, PERI_MSG_ABORT);
    peri_message_put32(&cell->out, job->cell_call);
    (void)!peri_channel_send(&cell->channel, &cell->out, &left_ns); /* when it is gone, the next call notices */
}
