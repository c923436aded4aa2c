/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/lua_vm_internal.h"

#include <math.h>
#include <string.h>

/* Values across the boundary. Reading never raises and never allocates in the state, so that half a value is not lost;
 * it looks at the tables raw, so that no Lua code runs. */

#define SECRET_KEY "$secret"

/* --- host to Lua --- */

static void push_inner(lua_State *L, const struct peri_value *v, bool secrets, int depth);

static void push_list(lua_State *L, const struct peri_value *v, bool secrets, int depth)
{
    size_t n = peri_value_count(v);
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        push_inner(L, peri_list_at(v, i), secrets, depth + 1);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    peri_vm_mark_list(L, -1);
}

static void push_map(lua_State *L, const struct peri_value *v, bool secrets, int depth)
{
    size_t n = peri_value_count(v);
    const char *secret = secrets && n == 1 ? peri_map_text(v, SECRET_KEY) : NULL;
    if (secret) {
        peri_vm_push_secret(L, secret);
        return;
    }
    lua_createtable(L, 0, (int)n);
    for (void *it = peri_map_first(v); it; it = peri_map_next(v, it)) {
        size_t len;
        const char *key = peri_map_key(it, &len);
        lua_pushlstring(L, key, len);
        push_inner(L, peri_map_item(it), secrets, depth + 1);
        lua_rawset(L, -3);
    }
}

static void push_inner(lua_State *L, const struct peri_value *v, bool secrets, int depth)
{
    size_t len;
    if (depth > PERI_VM_DEPTH)
        peri_vm_raisef(L, "bad_argument", "the value is nested deeper than %d", PERI_VM_DEPTH);
    luaL_checkstack(L, 6, "value");
    peri_vm_charge(L, 2);
    switch (peri_value_type(v)) {
    case PERI_NULL:
        peri_vm_push_null(L);
        break;
    case PERI_BOOL:
        lua_pushboolean(L, peri_value_as_bool(v));
        break;
    case PERI_INT:
        lua_pushinteger(L, peri_value_as_int(v));
        break;
    case PERI_REAL:
        lua_pushnumber(L, peri_value_as_real(v));
        break;
    case PERI_STRING: {
        const char *s = peri_value_textn(v, &len);
        peri_vm_charge_bytes(L, len);
        lua_pushlstring(L, s, len);
        break;
    }
    case PERI_LIST:
        push_list(L, v, secrets, depth);
        break;
    case PERI_MAP:
        push_map(L, v, secrets, depth);
        break;
    }
}

void peri_vm_push_value(lua_State *L, const struct peri_value *v, bool secrets)
{
    if (peri_value_type(v) == PERI_NULL)
        lua_pushnil(L);
    else
        push_inner(L, v, secrets, 0);
}

/* --- Lua to host --- */

struct reader {
    lua_State *L;
    struct peri_error *err;
    enum peri_vm_read how;
    size_t left, max;
    unsigned tables;
};

static struct peri_value *read_any(struct reader *r, int idx, int depth);

static struct peri_value *refuse(struct reader *r, const char *why)
{
    (void)peri_error_set(r->err, PERI_EINVAL, "bad_argument", "%s", why);
    return NULL;
}

static bool take(struct reader *r, size_t n)
{
    if (n <= r->left) {
        r->left -= n;
        return true;
    }
    (void)peri_error_set(r->err, PERI_ELIMIT, "limit.output", "the value has more than %zu bytes", r->max);
    return false;
}

static struct peri_value *nomem(struct reader *r, struct peri_value *v)
{
    if (!v)
        (void)peri_error_nomem(r->err);
    return v;
}

static struct peri_value *read_string(struct reader *r, int idx)
{
    size_t len;
    const char *s = lua_tolstring(r->L, idx, &len);
    if (!take(r, len + 2))
        return NULL;
    struct peri_value *v = peri_value_strn(s, len);
    return v ? v : refuse(r, "a string is not valid UTF-8");
}

static struct peri_value *read_number(struct reader *r, int idx)
{
    if (!take(r, 8))
        return NULL;
    if (lua_isinteger(r->L, idx))
        return nomem(r, peri_value_int(lua_tointeger(r->L, idx)));
    double d = lua_tonumber(r->L, idx);
    return isfinite(d) ? nomem(r, peri_value_real(d)) : refuse(r, "a number is NaN or infinite");
}

static struct peri_value *read_secret(struct reader *r, int idx)
{
    const char *name = peri_vm_secret_name(r->L, idx);
    if (!name)
        return refuse(r, "a userdata is not a value");
    struct peri_value *v = peri_value_map();
    if (!v || peri_map_put_text(v, SECRET_KEY, name) != PERI_OK) {
        peri_value_unref(v);
        return nomem(r, NULL);
    }
    return v;
}

/* Functions are left out when only the data of a table is asked for. */
static bool absent(const struct reader *r, int idx)
{
    return r->how == PERI_VM_READ_DATA && lua_isfunction(r->L, idx);
}

static struct peri_value *read_list(struct reader *r, int idx, int depth)
{
    lua_State *L = r->L;
    struct peri_value *list = peri_value_list();
    size_t n = lua_rawlen(L, idx);
    for (size_t i = 1; list && i <= n; i++) {
        lua_rawgeti(L, idx, (lua_Integer)i);
        struct peri_value *item = absent(r, -1) ? peri_value_null() : read_any(r, lua_gettop(L), depth + 1);
        lua_pop(L, 1);
        if (!item || peri_list_push(list, item) != PERI_OK) {
            peri_value_unref(list);
            return item ? nomem(r, NULL) : NULL;
        }
    }
    return nomem(r, list);
}

static bool read_member(struct reader *r, struct peri_value *map, int depth)
{
    lua_State *L = r->L;
    size_t len;
    if (lua_type(L, -2) != LUA_TSTRING)
        return refuse(r, "the keys of a table must be all strings, or 1 to n without a gap") != NULL;
    const char *key = lua_tolstring(L, -2, &len);
    if (memchr(key, '\0', len))
        return refuse(r, "a key holds a NUL byte") != NULL;
    if (len == sizeof(SECRET_KEY) - 1 && memcmp(key, SECRET_KEY, len) == 0)
        return refuse(r, "the key \"$secret\" is reserved") != NULL;
    if (!take(r, len + 4))
        return false;
    struct peri_value *item = read_any(r, lua_gettop(L), depth + 1);
    if (!item)
        return false;
    if (peri_map_putn(map, key, len, item) == PERI_OK)
        return true;
    return refuse(r, "a key is not valid UTF-8") != NULL;
}

static struct peri_value *read_map(struct reader *r, int idx, int depth)
{
    lua_State *L = r->L;
    struct peri_value *map = peri_value_map();
    if (!map)
        return nomem(r, NULL);
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        if (!absent(r, -1) && !read_member(r, map, depth)) {
            lua_pop(L, 2);
            peri_value_unref(map);
            return NULL;
        }
        lua_pop(L, 1);
    }
    if (peri_map_sort(map) == PERI_OK) /* Lua walks over a table in another order each time */
        return map;
    peri_value_unref(map);
    return nomem(r, NULL);
}

/* An unmarked table is a list when its keys are 1 ... n. */
static bool has_list_keys(struct reader *r, int idx)
{
    lua_State *L = r->L;
    size_t n = lua_rawlen(L, idx), count = 0;
    if (n == 0)
        return false;
    bool ok = true;
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        lua_Integer i = lua_isinteger(L, -2) ? lua_tointeger(L, -2) : 0;
        lua_pop(L, 1);
        if (i < 1 || (size_t)i > n) {
            lua_pop(L, 1);
            ok = false;
            break;
        }
        count++;
    }
    return ok && count == n;
}

static struct peri_value *read_table(struct reader *r, int idx, int depth)
{
    struct peri_vm *vm = peri_vm_of(r->L);
    if (depth >= PERI_VM_DEPTH)
        return refuse(r, "the value is nested deeper than 64, or holds itself");
    if (!take(r, 2))
        return NULL;
    if (++r->tables % 16 == 0 && peri_vm_late(vm)) { /* a table may have thousands of empty slots to walk over */
        (void)peri_error_set(r->err, PERI_ELIMIT, "limit.time", "the running time limit is reached");
        return NULL;
    }
    if (peri_vm_is_list(r->L, idx) || has_list_keys(r, idx))
        return read_list(r, idx, depth);
    return read_map(r, idx, depth);
}

static struct peri_value *read_any(struct reader *r, int idx, int depth)
{
    lua_State *L = r->L;
    switch (lua_type(L, idx)) {
    case LUA_TNIL:
        return peri_value_null();
    case LUA_TBOOLEAN:
        return take(r, 5) ? peri_value_bool(lua_toboolean(L, idx)) : NULL;
    case LUA_TNUMBER:
        return read_number(r, idx);
    case LUA_TSTRING:
        return read_string(r, idx);
    case LUA_TTABLE:
        return read_table(r, idx, depth);
    case LUA_TUSERDATA:
        return read_secret(r, idx);
    case LUA_TLIGHTUSERDATA:
        if (peri_vm_is_null(L, idx))
            return take(r, 4) ? peri_value_null() : NULL;
        return refuse(r, "a light userdata is not a value");
    case LUA_TFUNCTION:
        return refuse(r, "a function is not a value");
    default:
        return refuse(r, "a coroutine is not a value");
    }
}

enum peri_status peri_vm_read_value(
    lua_State *L, int idx, size_t max_bytes, enum peri_vm_read how, struct peri_value **ret, struct peri_error *err)
{
    struct peri_vm *vm = peri_vm_of(L);
    struct peri_error scratch;
    struct reader r = {.L = L, .err = err ? err : &scratch, .how = how, .left = max_bytes, .max = max_bytes};
    vm->reading = true;
    struct peri_value *v = read_any(&r, lua_absindex(L, idx), 0);
    vm->reading = false;
    /* Charged without the jump that would lose v: the next hook sees it. */
    vm->budget -= (int64_t)((max_bytes - r.left) / 8);
    if (!v)
        return r.err->status;
    *ret = v;
    return PERI_OK;
}

struct peri_value *peri_vm_check_value(lua_State *L, int idx, size_t max_bytes)
{
    struct peri_error err = {0};
    struct peri_value *v = NULL;
    luaL_checkstack(L, 4 * PERI_VM_DEPTH, "value");
    if (peri_vm_read_value(L, idx, max_bytes, PERI_VM_READ_ALL, &v, &err) != PERI_OK)
        peri_vm_raise(L, &err);
    return v;
}

/* --- null, lists, boxes, secrets --- */

void peri_vm_push_null(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)(uintptr_t)&peri_vm_key_null);
}

bool peri_vm_is_null(lua_State *L, int idx)
{
    return lua_islightuserdata(L, idx) && lua_touserdata(L, idx) == &peri_vm_key_null;
}

void peri_vm_mark_list(lua_State *L, int idx)
{
    idx = lua_absindex(L, idx);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &peri_vm_key_list);
    lua_setmetatable(L, idx);
}

void peri_vm_check_plain(lua_State *L, int idx)
{
    if (lua_getmetatable(L, idx) && !peri_vm_is_list(L, idx))
        peri_vm_raisef(L, "bad_argument", "a table with a metatable of its own can not be marked as a list");
    lua_settop(L, idx);
}

/* True when the metatable of the value at idx is the one kept under key. */
static bool has_kind(lua_State *L, int idx, const void *key)
{
    if (!lua_getmetatable(L, idx))
        return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, key);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

bool peri_vm_is_list(lua_State *L, int idx)
{
    return has_kind(L, idx, &peri_vm_key_list);
}

struct peri_value **peri_vm_push_box(lua_State *L)
{
    struct peri_vm *vm = peri_vm_of(L);
    struct peri_vm_box *box = lua_newuserdatauv(L, sizeof(*box), 0);
    box->value = NULL;
    box->prev = vm->boxes.prev;
    box->next = &vm->boxes;
    box->prev->next = box->next->prev = box;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &peri_vm_key_box);
    lua_setmetatable(L, -2);
    return &box->value;
}

static int collect_box(lua_State *L)
{
    struct peri_vm_box *box = lua_touserdata(L, 1);
    box->prev->next = box->next;
    box->next->prev = box->prev;
    box->prev = box->next = box;
    peri_value_unref(box->value);
    box->value = NULL;
    return 0;
}

void peri_vm_push_secret(lua_State *L, const char *name)
{
    size_t len = strlen(name);
    char *copy = lua_newuserdatauv(L, len + 1, 0);
    memcpy(copy, name, len + 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &peri_vm_key_secret);
    lua_setmetatable(L, -2);
}

const char *peri_vm_secret_name(lua_State *L, int idx)
{
    return lua_type(L, idx) == LUA_TUSERDATA && has_kind(L, idx, &peri_vm_key_secret) ? lua_touserdata(L, idx) : NULL;
}

static void make_kind(lua_State *L, const void *key, const char *name, lua_CFunction gc)
{
    lua_createtable(L, 0, 3);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    if (gc) {
        lua_pushcfunction(L, gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

void peri_vm_open_values(lua_State *L)
{
    make_kind(L, &peri_vm_key_secret, "secret", NULL);
    make_kind(L, &peri_vm_key_box, "value", collect_box);
    lua_newtable(L); /* empty: getmetatable hides it, setmetatable may replace it */
    lua_rawsetp(L, LUA_REGISTRYINDEX, &peri_vm_key_list);
}
