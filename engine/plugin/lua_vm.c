/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/lua_vm_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Building and releasing a state, loading its package, and looking into the package table. */

const char peri_vm_key_package, peri_vm_key_kept, peri_vm_key_api, peri_vm_key_print, peri_vm_key_modules,
    peri_vm_key_list, peri_vm_key_secret, peri_vm_key_box, peri_vm_key_waiting, peri_vm_key_snapshots,
    peri_vm_key_original, peri_vm_key_null;

#define DEFAULT_INSTRUCTIONS 1000000
#define DEFAULT_RUNNING_MS 1000
#define DEFAULT_MEMORY (8u << 20)
#define DEFAULT_BLOCK (1u << 20)

static int on_panic(lua_State *L)
{
    peri_vm_end(peri_vm_of(L), "lua.panic", "the interpreter gave up outside of a protected call");
}

struct protected_work {
    lua_CFunction fn;
    void *arg;
    struct peri_error *err;
    int status;
};

static void run_protected(struct peri_vm *vm, void *arg)
{
    struct protected_work *work = arg;
    lua_State *L = vm->L;
    lua_settop(L, 0);
    lua_pushcfunction(L, work->fn);
    lua_pushlightuserdata(L, work->arg);
    work->status = lua_pcall(L, 1, 0, 0);
    if (work->status != LUA_OK) {
        peri_vm_caught(L, work->status);
        peri_vm_read_error(L, -1, work->err);
        lua_settop(L, 0);
    }
}

enum peri_status peri_vm_protect(struct peri_vm *vm, lua_CFunction fn, void *arg, struct peri_error *err)
{
    struct peri_error scratch;
    struct protected_work work = {.fn = fn, .arg = arg, .err = err ? err : &scratch};
    if (vm->entered)
        return peri_error_set(err, PERI_ESTATE, NULL, "the Lua state is in use");
    if (vm->spoilt)
        return peri_error_set(err, PERI_ESTATE, "plugin.reset", "the Lua state was ended by a limit");
    if (!peri_vm_enter(vm, run_protected, &work)) {
        *work.err = vm->end;
        return vm->end.status;
    }
    return work.status == LUA_OK ? PERI_OK : work.err->status;
}

static int build(lua_State *L)
{
    struct peri_vm *vm = peri_vm_of(L);
    /* liblua makes this text outside of any protection when an error handler fails: it has to exist already. */
    lua_pushliteral(L, "error in error handling");
    luaL_ref(L, LUA_REGISTRYINDEX);
    peri_vm_open_values(L);
    peri_vm_open_meta(L);
    peri_vm_open_coroutine(L);
    peri_vm_open_libs(L);
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &peri_vm_key_modules);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &peri_vm_key_api);
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &peri_vm_key_kept);
    if (vm->open_api)
        vm->open_api(L, vm->user);
    return 0;
}

static void create_state(struct peri_vm *vm, void *arg)
{
    vm->L = lua_newstate(peri_vm_alloc, vm);
    if (!vm->L)
        return;
    memcpy(lua_getextraspace(vm->L), &vm, sizeof(vm)); /* threads made later copy it */
    lua_atpanic(vm->L, on_panic);
}

static void set_options(struct peri_vm *vm, const struct peri_vm_options *options)
{
    snprintf(vm->name, sizeof(vm->name), "%s", options->name ? options->name : "plugin");
    vm->limits = options->limits;
    if (vm->limits.instructions <= 0)
        vm->limits.instructions = DEFAULT_INSTRUCTIONS;
    if (vm->limits.running_ms <= 0)
        vm->limits.running_ms = DEFAULT_RUNNING_MS;
    if (vm->limits.memory_bytes == 0)
        vm->limits.memory_bytes = DEFAULT_MEMORY;
    if (vm->limits.block_bytes == 0)
        vm->limits.block_bytes = DEFAULT_BLOCK;
    vm->open_api = options->open_api;
    vm->module = options->module;
    vm->user = options->user;
    vm->boxes.prev = vm->boxes.next = &vm->boxes;
}

enum peri_status peri_vm_create(const struct peri_vm_options *options, struct peri_vm **ret, struct peri_error *err)
{
    struct peri_vm *vm = calloc(1, sizeof(*vm));
    enum peri_status st;
    if (!vm)
        return peri_error_nomem(err);
    set_options(vm, options);
    if (getrandom(vm->mask, sizeof(vm->mask), 0) != (ssize_t)sizeof(vm->mask)) {
        st = peri_error_set(err, PERI_EINTERNAL, NULL, "no random numbers");
        goto out;
    }
    if (!peri_heap_init(&vm->heap, vm->limits.memory_bytes + PERI_VM_RESERVE)) {
        st = peri_error_nomem(err);
        goto out;
    }
    peri_vm_arm(vm, INT64_MAX, INT64_MAX);
    if (!peri_vm_enter(vm, create_state, NULL) || !vm->L) {
        st = peri_error_set(err, PERI_ENOMEM, NULL, "no memory for a Lua state");
        goto out;
    }
    st = peri_vm_protect(vm, build, NULL, err);
out:
    if (st == PERI_OK)
        *ret = vm;
    else
        peri_vm_destroy(vm);
    return st;
}

void peri_vm_destroy(struct peri_vm *vm)
{
    if (!vm)
        return;
    for (struct peri_vm_call *call = vm->calls; call; call = call->next) {
        call->vm = NULL;
        call->co = NULL;
    }
    for (struct peri_vm_box *box = vm->boxes.next; box && box != &vm->boxes; box = box->next)
        peri_value_unref(box->value);
    peri_heap_finish(&vm->heap); /* instead of lua_close, which would run finalizers */
    free(vm);
}

bool peri_vm_spoilt(const struct peri_vm *vm)
{
    return vm->spoilt;
}

size_t peri_vm_memory(const struct peri_vm *vm)
{
    return vm->heap.used;
}

void *peri_vm_user(lua_State *L)
{
    return peri_vm_of(L)->user;
}

void peri_vm_push_api(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &peri_vm_key_api);
}

void peri_vm_keep(lua_State *L, const char *name)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &peri_vm_key_kept);
    lua_pushstring(L, name);
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_pop(L, 2);
}

void peri_vm_set_print(lua_State *L)
{
    lua_rawsetp(L, LUA_REGISTRYINDEX, &peri_vm_key_print);
}

/* --- loading --- */

struct source {
    const char *text;
    size_t left;
};

/* Hands the text over in small pieces, so that the clock is looked at while it is being compiled. */
static const char *read_source(lua_State *L, void *data, size_t *ret_size)
{
    struct source *source = data;
    size_t n = source->left < 256 ? source->left : 256;
    const char *piece = source->text;
    *ret_size = n;
    if (n == 0)
        return NULL;
    source->text += n;
    source->left -= n;
    peri_vm_charge(L, (int64_t)n / 4);
    peri_vm_check_time(peri_vm_of(L));
    return piece;
}

bool peri_vm_try_compile(lua_State *L, const char *name, const char *text, size_t len)
{
    struct source source = {.text = text, .left = len};
    if (len > PERI_VM_SOURCE_MAX) {
        lua_pushfstring(
            L, "%s: a chunk may have %d bytes, this one has %I", name, PERI_VM_SOURCE_MAX, (LUAI_UACINT)len);
        return false;
    }
    peri_vm_charge(L, 50);
    int status = lua_load(L, read_source, &source, name, "t");
    if (status != LUA_OK)
        peri_vm_caught(L, status);
    return status == LUA_OK;
}

void peri_vm_compile(lua_State *L, const char *name, const char *text, size_t len)
{
    if (!peri_vm_try_compile(L, name, text, len))
        lua_error(L);
}

struct load_args {
    const char *name, *text;
    size_t len;
};

static int load_package(lua_State *L)
{
    const struct load_args *args = lua_touserdata(L, 1);
    peri_vm_watch(L);
    lua_pushfstring(L, "@%s", args->name);
    peri_vm_compile(L, lua_tostring(L, -1), args->text, args->len);
    lua_call(L, 0, 1);
    if (!lua_istable(L, -1))
        return luaL_error(L, "%s: the chunk must return a table, not %s", args->name, luaL_typename(L, -1));
    lua_rawsetp(L, LUA_REGISTRYINDEX, &peri_vm_key_package);
    return 0;
}

enum peri_status peri_vm_load(
    struct peri_vm *vm, const char *chunk_name, const char *text, size_t len, struct peri_error *err)
{
    struct load_args args = {.name = chunk_name, .text = text, .len = len};
    peri_vm_arm(vm, vm->limits.instructions, vm->limits.running_ms * 1000000);
    return peri_vm_protect(vm, load_package, &args, err);
}

/* "event.total > 5": once more with return before it. What was wrong at first is on the stack and stays there when that
 * is no Lua either. */
static bool compile_expression(lua_State *L, const char *name, const struct load_args *args)
{
    static const char lead[] = "return ";
    size_t len = sizeof(lead) - 1 + args->len;
    char *text = lua_newuserdatauv(L, len, 0);
    memcpy(text, lead, sizeof(lead) - 1);
    memcpy(text + sizeof(lead) - 1, args->text, args->len);
    if (!peri_vm_try_compile(L, name, text, len)) {
        lua_pop(L, 2);
        return false;
    }
    return true;
}

static int load_script(lua_State *L)
{
    const struct load_args *args = lua_touserdata(L, 1);
    peri_vm_watch(L);
    luaL_checkstack(L, 10, NULL);
    lua_createtable(L, 0, 1);
    const char *name = lua_pushfstring(L, "@%s", args->name);
    if (!peri_vm_try_compile(L, name, args->text, args->len) && !compile_expression(L, name, args))
        return lua_error(L);
    lua_setfield(L, 2, "run");
    lua_settop(L, 2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &peri_vm_key_package);
    return 0;
}

enum peri_status peri_vm_load_script(
    struct peri_vm *vm, const char *chunk_name, const char *text, size_t len, struct peri_error *err)
{
    struct load_args args = {.name = chunk_name, .text = text, .len = len};
    peri_vm_arm(vm, vm->limits.instructions, vm->limits.running_ms * 1000000);
    return peri_vm_protect(vm, load_script, &args, err);
}

/* --- the package table --- */

bool peri_vm_push_path(lua_State *L, const char *const *path)
{
    bool kept = *path && !strcmp(*path, PERI_VM_KEPT);
    lua_rawgetp(L, LUA_REGISTRYINDEX, kept ? &peri_vm_key_kept : &peri_vm_key_package);
    for (path += kept; *path && lua_istable(L, -1); path++) {
        lua_pushstring(L, *path);
        lua_rawget(L, -2);
        lua_remove(L, -2);
    }
    if (!*path && !lua_isnil(L, -1))
        return true;
    lua_pop(L, 1);
    return false;
}

bool peri_vm_is_handler(lua_State *L, const char *table, const char *name)
{
    const char *const path[] = {table, name, NULL};
    if (!peri_vm_push_path(L, path))
        return false;
    bool yes = lua_isfunction(L, -1);
    lua_pop(L, 1);
    return yes;
}

struct peek_args {
    const char *const *path;
    struct peri_value *value;
    bool is_function;
    char **keys;
    size_t key_count, key_cap;
    enum peri_status status;
    struct peri_error err;
};

static int peek(lua_State *L)
{
    struct peek_args *args = lua_touserdata(L, 1);
    luaL_checkstack(L, 4 * PERI_VM_DEPTH, NULL);
    if (!peri_vm_push_path(L, args->path) || lua_isfunction(L, -1))
        return 0;
    args->status = peri_vm_read_value(L, -1, PERI_VM_VALUE_MAX, PERI_VM_READ_DATA, &args->value, &args->err);
    return 0;
}

enum peri_status peri_vm_peek(
    struct peri_vm *vm, const char *const *path, struct peri_value **ret, struct peri_error *err)
{
    struct peek_args args = {.path = path};
    peri_vm_arm(vm, vm->limits.instructions, vm->limits.running_ms * 1000000);
    enum peri_status st = peri_vm_protect(vm, peek, &args, err);
    if (st != PERI_OK)
        return st;
    if (args.status != PERI_OK) {
        if (err)
            *err = args.err;
        return args.status;
    }
    *ret = args.value;
    return PERI_OK;
}

static int peek_function(lua_State *L)
{
    struct peek_args *args = lua_touserdata(L, 1);
    args->is_function = peri_vm_push_path(L, args->path) && lua_isfunction(L, -1);
    return 0;
}

bool peri_vm_has_function(struct peri_vm *vm, const char *const *path)
{
    struct peek_args args = {.path = path};
    peri_vm_arm(vm, vm->limits.instructions, vm->limits.running_ms * 1000000);
    return peri_vm_protect(vm, peek_function, &args, NULL) == PERI_OK && args.is_function;
}

/* Raises nothing once it holds memory: lua_next on an untouched table neither allocates nor fails. */
static int peek_keys(lua_State *L)
{
    struct peek_args *args = lua_touserdata(L, 1);
    luaL_checkstack(L, 8, NULL);
    if (!peri_vm_push_path(L, args->path) || !lua_istable(L, -1))
        return 0;
    size_t n = 0;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
        n += lua_type(L, -2) == LUA_TSTRING;
    args->keys = calloc(n + 1, sizeof(*args->keys));
    if (!args->keys)
        return 0;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
        if (lua_type(L, -2) == LUA_TSTRING) {
            char *key = strdup(lua_tostring(L, -2));
            if (key)
                args->keys[args->key_count++] = key;
        }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **peri_vm_keys(struct peri_vm *vm, const char *const *path)
{
    struct peek_args args = {.path = path};
    peri_vm_arm(vm, vm->limits.instructions, vm->limits.running_ms * 1000000);
    if (peri_vm_protect(vm, peek_keys, &args, NULL) != PERI_OK)
        return NULL;
    if (args.keys)
        qsort(args.keys, args.key_count, sizeof(*args.keys), by_name);
    return args.keys ? args.keys : calloc(1, sizeof(char *));
}
