/* SPDX-License-Identifier: Apache-2.0 */
/* The process of a plugin, from within: the sandbox as ever, with an API whose functions ask the host (lua_cell.h).
 * Nothing here is trusted by the other side. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "plugin/cell.h"
#include "plugin/lua_connector.h"
#include "plugin/lua_vm_internal.h"
#include "plugin/lua_vm_watch.h"
#include "plugin/lua_wire.h"

#define CODE_LIST 1   /* json.array: marks the table that it is given */
#define CODE_LOG 2    /* the first argument becomes text here, where its metatable is */
#define CODE_PRINT 4  /* does nothing while the plugin is loaded */
#define CODE_JOB 8    /* (name, when, run): whether `jobs` has it is seen here, where the plugin may have changed it */
#define RESULTS_MAX 8 /* of a handler */
#define ARGUMENTS_MAX 50

struct call {
    struct call *next;
    struct inside *inside;
    uint32_t number;
    struct peri_vm_call *vm_call;
};

struct inside {
    struct peri_channel channel;
    struct peri_buf out;
    struct peri_message in;
    struct peri_vm *vm;
    struct call *calls;
    uint32_t handles; /* functions given away, counted */
    bool alone;       /* the host is gone */
};

/* Registry keys: number -> thing of the API and back; number -> function that was given away. */
static const char key_refs, key_handles;

/* --- what both ends know by a number --- */

static bool put_ref(lua_State *L, int idx, struct peri_buf *out, void *user)
{
    idx = lua_absindex(L, idx);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &key_refs);
    lua_pushvalue(L, idx);
    bool known = lua_rawget(L, -2) == LUA_TNUMBER;
    if (known) {
        peri_message_put8(out, PERI_WIRE_REF);
        peri_message_put32(out, (uint32_t)lua_tointeger(L, -1));
    }
    lua_pop(L, 2);
    return known;
}

static int stub(lua_State *L);

static void push_stub(lua_State *L, uint32_t number, int code)
{
    lua_pushinteger(L, (lua_Integer)number);
    lua_pushinteger(L, code);
    lua_pushcclosure(L, stub, 2);
}

static bool push_ref(lua_State *L, uint8_t tag, uint32_t number, void *user)
{
    if (tag != PERI_WIRE_REF)
        return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &key_refs);
    bool known = lua_rawgeti(L, -1, (lua_Integer)number) != LUA_TNIL;
    lua_remove(L, -2);
    if (!known) { /* a function of this call's ctx */
        lua_pop(L, 1);
        push_stub(L, number, 0);
        peri_wire_number(L, &key_refs, number);
    }
    return true;
}

static const struct peri_wire_ends ends = {.put = put_ref, .push = push_ref};

/* --- host functions --- */

/* What the host answered: results, or an error to raise, or the end of the call. */
static int push_outcome(lua_State *L, int kind, struct peri_message *in)
{
    struct peri_error err;
    if (kind == PERI_MSG_STOP) {
        peri_message_get_error(in, &err);
        peri_vm_stop(L, err.code, "%s", err.message);
    }
    peri_vm_charge(L, peri_message_get64(in));
    int n = peri_message_get8(in);
    luaL_checkstack(L, n + 1, NULL);
    for (int i = 0; i < n; i++)
        peri_wire_push(L, in, &ends);
    if (kind == PERI_MSG_RAISE)
        return n > 0 ? lua_error(L) : luaL_error(L, "the host function failed");
    return n;
}

/* A function goes to the host to be kept. */
static void put_handle(lua_State *L, struct inside *inside, int idx)
{
    uint32_t number = ++inside->handles;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &key_handles);
    lua_pushvalue(L, idx);
    lua_rawseti(L, -2, (lua_Integer)number);
    lua_pop(L, 1);
    peri_message_put8(&inside->out, PERI_WIRE_HANDLE);
    peri_message_put32(&inside->out, number);
}

static bool exchange(struct inside *inside)
{
    int64_t left_ns = INT64_MAX;
    if (peri_channel_send(&inside->channel, &inside->out, &left_ns) ||
        peri_channel_receive(&inside->channel, &inside->in, &left_ns))
        inside->alone = true;
    return !inside->alone;
}

static int ask(lua_State *L, struct inside *inside, uint32_t number)
{
    struct peri_vm *vm = inside->vm;
    int n = lua_gettop(L);
    if (n > ARGUMENTS_MAX)
        lua_settop(L, n = ARGUMENTS_MAX);
    luaL_checkstack(L, 10, NULL);
    peri_message_begin(&inside->out, PERI_MSG_HOST);
    peri_message_put8(&inside->out, vm->blocked == 0 && lua_isyieldable(L));
    peri_message_put32(&inside->out, number);
    peri_message_put8(&inside->out, (uint8_t)n);
    for (int i = 1; i <= n; i++)
        if (lua_isfunction(L, i))
            put_handle(L, inside, i);
        else
            peri_wire_put(L, i, &inside->out, &ends);
    if (inside->out.failed)
        return peri_vm_raisef(L, "limit.output", "the value has more than %zu bytes", PERI_MSG_MAX);
    if (!exchange(inside))
        peri_vm_stop(L, "plugin.reset", "the host is gone");
    if (inside->in.kind == PERI_MSG_WAIT)
        return peri_vm_wait(L);
    return push_outcome(L, inside->in.kind, &inside->in);
}

static void check_job(lua_State *L)
{
    int at = lua_isnoneornil(L, 3) ? 1 : 3;
    if (lua_type(L, at) == LUA_TSTRING && !peri_vm_is_handler(L, "jobs", lua_tostring(L, at)))
        peri_vm_raisef(L, "bad_argument", "the package has no jobs[\"%s\"]", lua_tostring(L, at));
}

static int stub(lua_State *L)
{
    struct inside *inside = peri_vm_user(L);
    int code = (int)lua_tointeger(L, lua_upvalueindex(2));
    bool loading = !peri_vm_call_user(L);
    if (code & CODE_LIST && (lua_isnoneornil(L, 1) || lua_istable(L, 1))) {
        if (!lua_istable(L, 1)) {
            lua_settop(L, 0);
            lua_newtable(L);
        }
        lua_settop(L, 1);
        peri_vm_check_plain(L, 1);
        peri_vm_mark_list(L, 1);
        return 1;
    }
    if (loading && code & CODE_PRINT)
        return 0;
    if (loading)
        return peri_vm_raisef(L, "not_now", "not available while the plugin is loaded");
    if (code & CODE_JOB)
        check_job(L);
    if (code & CODE_LOG) {
        lua_settop(L, 2);
        peri_vm_tostring(L, 1, NULL);
        lua_replace(L, 1);
    }
    peri_vm_charge(L, 20);
    return ask(L, inside, (uint32_t)lua_tointeger(L, lua_upvalueindex(1)));
}

/* --- the API --- */

/* What is done on this side, by the names in ctx. */
static int code_of(const char *area, const char *name)
{
    if (area && !strcmp(area, "json") && !strcmp(name, "array"))
        return CODE_LIST;
    if (area && !strcmp(area, "schedule") && strcmp(name, "cancel") && strcmp(name, "list"))
        return CODE_JOB;
    return area && !strcmp(area, "log") ? CODE_LOG : 0;
}

/* See put_thing in lua_cell.c. area: the name of the table that holds it, NULL for ctx itself. */
static void read_thing(lua_State *L, struct peri_message *in, const char *area, const char *name)
{
    char kind = (char)peri_message_get8(in);
    luaL_checkstack(L, 10, "API");
    if (kind == 'v') {
        peri_wire_push(L, in, &ends);
        return;
    }
    uint32_t number = peri_message_get32(in);
    if (kind == 'f') {
        push_stub(L, number, code_of(area, name));
        peri_wire_number(L, &key_refs, number);
        return;
    }
    lua_newtable(L);
    peri_wire_number(L, &key_refs, number);
    int flags = peri_message_get8(in);
    if (flags & 1)
        peri_vm_mark_list(L, -1);
    if (flags & 2) {
        lua_createtable(L, 0, 2);
        push_stub(L, peri_message_get32(in), 0);
        lua_setfield(L, -2, "__call");
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
        lua_setmetatable(L, -2);
    }
    for (;;) {
        peri_wire_push(L, in, &ends);
        if (lua_isnil(L, -1))
            break;
        read_thing(L, in, name, lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "");
        lua_rawset(L, -3);
    }
    lua_pop(L, 1);
}

static int open_api(lua_State *L, void *user)
{
    struct inside *inside = user;
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key_refs);
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key_handles);
    read_thing(L, &inside->in, NULL, NULL);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &peri_vm_key_api);
    uint32_t print = peri_message_get32(&inside->in);
    if (print) {
        push_stub(L, print, CODE_LOG | CODE_PRINT);
        peri_wire_number(L, &key_refs, print);
        peri_vm_set_print(L);
    }
    return 0;
}

/* --- answers --- */

static void reply(struct inside *inside)
{
    int64_t left_ns = INT64_MAX;
    if (peri_channel_send(&inside->channel, &inside->out, &left_ns))
        inside->alone = true;
}

static void put_usage(struct inside *inside, const struct call *call)
{
    struct peri_vm_usage usage = {0};
    if (call && call->vm_call)
        usage = peri_vm_call_usage(call->vm_call);
    peri_message_put64(&inside->out, usage.instructions);
    peri_message_put64(&inside->out, usage.running_us);
    peri_message_put64(&inside->out, (int64_t)usage.memory_bytes);
}

static void reply_failed(struct inside *inside, const struct call *call, const struct peri_error *err)
{
    peri_message_begin(&inside->out, PERI_MSG_FAILED);
    put_usage(inside, call);
    peri_message_put8(&inside->out, inside->vm && peri_vm_spoilt(inside->vm));
    peri_message_put_error(&inside->out, err);
    reply(inside);
}

static void put_results(lua_State *L, int count, void *user)
{
    struct inside *inside = user;
    int first = lua_gettop(L) - count + 1;
    peri_message_put8(&inside->out, (uint8_t)count);
    for (int i = 0; i < count; i++)
        peri_wire_put(L, first + i, &inside->out, &ends);
}

static void drop_call(struct inside *inside, struct call *call)
{
    for (struct call **at = &inside->calls; *at; at = &(*at)->next)
        if (*at == call) {
            *at = call->next;
            break;
        }
    peri_vm_call_destroy(call->vm_call);
    free(call);
}

static void drop_all(struct inside *inside)
{
    while (inside->calls)
        drop_call(inside, inside->calls);
    peri_vm_destroy(inside->vm);
    inside->vm = NULL;
    inside->handles = 0;
}

static void settle(struct inside *inside, struct call *call, enum peri_vm_outcome outcome, struct peri_error *err)
{
    if (outcome == PERI_VM_SUSPENDED) {
        peri_message_begin(&inside->out, PERI_MSG_SUSPENDED);
        reply(inside);
        return;
    }
    bool done = outcome == PERI_VM_DONE;
    if (done) {
        peri_message_begin(&inside->out, PERI_MSG_DONE);
        put_usage(inside, call);
        done = !peri_vm_call_read(call->vm_call, RESULTS_MAX, put_results, inside, err);
        if (done && inside->out.failed) {
            peri_error_set(err, PERI_ELIMIT, "limit.output", "the value has more than %zu bytes", PERI_MSG_MAX);
            done = false;
        }
    }
    if (done)
        reply(inside);
    else
        reply_failed(inside, call, err);
    drop_call(inside, call);
}

/* --- requests --- */

static enum peri_status module(
    void *user, const char *name, const char **ret_text, size_t *ret_len, struct peri_error *err)
{
    struct inside *inside = user;
    peri_message_begin(&inside->out, PERI_MSG_MODULE);
    peri_message_put_text(&inside->out, name);
    if (!exchange(inside))
        return peri_error_set(err, PERI_EIO, NULL, "the host is gone");
    if (!peri_message_get8(&inside->in)) {
        peri_message_get_error(&inside->in, err);
        return err->status = PERI_ENOTFOUND;
    }
    *ret_text = peri_message_get_bytes(&inside->in, ret_len);
    return PERI_OK;
}

static char *text_of(const char *data, size_t len)
{
    char *copy = malloc(len + 1);
    if (copy) {
        memcpy(copy, data, len);
        copy[len] = '\0';
    }
    return copy;
}

static int put_package(lua_State *L)
{
    struct inside *inside = peri_vm_user(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &peri_vm_key_package);
    peri_wire_put(L, -1, &inside->out, &ends);
    return 0;
}

static void load(struct inside *inside)
{
    struct peri_message *in = &inside->in;
    struct peri_vm_options options = {.open_api = open_api, .module = module, .user = inside};
    struct peri_error err = {0};
    char name[128], chunk[512];
    size_t len;
    drop_all(inside);
    peri_message_get_text(in, name, sizeof(name));
    options.name = name;
    options.limits.instructions = peri_message_get64(in);
    options.limits.running_ms = peri_message_get64(in);
    options.limits.memory_bytes = (size_t)peri_message_get64(in);
    peri_message_get_text(in, chunk, sizeof(chunk));
    const char *data = peri_message_get_bytes(in, &len);
    char *text = text_of(data, len); /* require() receives over it */
    enum peri_status st = text ? peri_vm_create(&options, &inside->vm, &err) : peri_error_nomem(&err);
    if (!st)
        st = peri_vm_load(inside->vm, chunk, text, len, &err);
    free(text);
    if (!st) {
        peri_message_begin(&inside->out, PERI_MSG_LOADED);
        peri_vm_arm(inside->vm, options.limits.instructions, options.limits.running_ms * 1000000);
        st = peri_vm_protect(inside->vm, put_package, NULL, &err);
        if (!st && inside->out.failed)
            st = peri_error_set(&err, PERI_ELIMIT, "limit.output", "the package table is too large");
    }
    if (st)
        reply_failed(inside, NULL, &err);
    else
        reply(inside);
}

static bool find_handler(lua_State *L, void *user)
{
    const struct call *call = user;
    struct peri_message *in = &call->inside->in;
    int n = peri_message_get8(in);
    if (n == 0) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &key_handles);
        lua_rawgeti(L, -1, (lua_Integer)peri_message_get32(in));
        lua_remove(L, -2);
        return lua_isfunction(L, -1);
    }
    bool sync = n == 2;
    luaL_checkstack(L, 6, NULL);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &peri_vm_key_package);
    for (int i = 0; i < n; i++) {
        size_t len;
        const char *key = peri_message_get_bytes(in, &len), *wanted = i == 0 ? "connector" : "sync";
        sync = sync && len == strlen(wanted) && !memcmp(key, wanted, len);
        if (!lua_istable(L, -1))
            lua_pushnil(L);
        else {
            lua_pushlstring(L, key, len);
            lua_rawget(L, -2);
        }
        lua_remove(L, -2);
    }
    if (!lua_isfunction(L, -1))
        return false;
    if (sync)
        peri_lua_wrap_sync(L);
    return true;
}

static int push_arguments(lua_State *L, void *user)
{
    const struct call *call = user;
    struct peri_message *in = &call->inside->in;
    int n = peri_message_get8(in);
    luaL_checkstack(L, n + 1, NULL);
    for (int i = 0; i < n; i++)
        peri_wire_push(L, in, &ends);
    peri_vm_charge(L, peri_message_get64(in));
    return n;
}

static void start(struct inside *inside)
{
    struct peri_error err = {0};
    struct call *call = calloc(1, sizeof(*call));
    if (!call || !inside->vm) {
        free(call);
        peri_error_set(&err, PERI_ESTATE, "plugin_reset", "the plugin is not loaded");
        reply_failed(inside, NULL, &err);
        return;
    }
    call->inside = inside;
    call->next = inside->calls;
    inside->calls = call;
    call->number = peri_message_get32(&inside->in);
    struct peri_vm_start s = {.find = find_handler, .push = push_arguments, .user = call};
    s.limits.instructions = peri_message_get64(&inside->in);
    s.limits.running_ms = peri_message_get64(&inside->in);
    settle(inside, call, peri_vm_call_start(inside->vm, &s, &call->vm_call, &err), &err);
}

static struct call *find_call(const struct inside *inside, uint32_t number)
{
    struct call *call = inside->calls;
    while (call && call->number != number)
        call = call->next;
    return call;
}

static int push_resumed(lua_State *L, void *user)
{
    struct inside *inside = user;
    int kind = peri_message_get8(&inside->in);
    return push_outcome(L, kind, &inside->in);
}

static void resume(struct inside *inside)
{
    struct peri_error err = {0};
    struct call *call = find_call(inside, peri_message_get32(&inside->in));
    if (!call) {
        peri_error_set(&err, PERI_ESTATE, "plugin_reset", "the call is not there");
        reply_failed(inside, NULL, &err);
        return;
    }
    settle(inside, call, peri_vm_call_resume(call->vm_call, push_resumed, inside, &err), &err);
}

static void abort_call(struct inside *inside)
{
    struct call *call = find_call(inside, peri_message_get32(&inside->in));
    if (call)
        drop_call(inside, call);
}

static int release_handles(lua_State *L)
{
    struct inside *inside = peri_vm_user(L);
    uint32_t n = peri_message_get32(&inside->in);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &key_handles);
    while (n-- > 0 && !inside->in.bad) {
        lua_pushnil(L);
        lua_rawseti(L, -2, (lua_Integer)peri_message_get32(&inside->in));
    }
    return 0;
}

static void release(struct inside *inside)
{
    if (!inside->vm)
        return;
    peri_vm_arm(inside->vm, INT64_MAX, INT64_MAX);
    (void)!peri_vm_protect(inside->vm, release_handles, NULL, NULL);
}

static void obey(struct inside *inside)
{
    switch (inside->in.kind) {
    case PERI_MSG_LOAD:
        load(inside);
        break;
    case PERI_MSG_START:
        start(inside);
        break;
    case PERI_MSG_RESUME:
        resume(inside);
        break;
    case PERI_MSG_ABORT:
        abort_call(inside);
        break;
    case PERI_MSG_RELEASE:
        release(inside);
        break;
    default:
        inside->alone = true;
    }
}

int peri_cell_main(int fd, size_t memory, pid_t parent)
{
    struct inside inside = {0};
    int64_t left_ns = INT64_MAX;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
        return 1;
    (void)peri_vm_watch_works(); /* its signal handler is set up while that is still possible */
    if (!peri_jail_enter(memory))
        return PERI_CELL_NO_JAIL;
    peri_channel_init(&inside.channel, fd, true);
    peri_buf_init(&inside.out, PERI_MSG_MAX);
    while (!inside.alone && !peri_channel_receive(&inside.channel, &inside.in, &left_ns))
        obey(&inside);
    drop_all(&inside);
    peri_channel_finish(&inside.channel);
    peri_buf_finish(&inside.out);
    return 0;
}
