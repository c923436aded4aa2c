/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_LUA_VM_H
#define PERI_PLUGIN_LUA_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <lua.h>
#include "base/error.h"
#include "data/value.h"

/* One restricted Lua state: allow-listed globals, its own library functions that charge for their work, a counted
 * instruction budget that stays exhausted, a memory cap, a running-time deadline. Only files of engine/plugin include
 * this.
 *
 * A state is used by one thread at a time (any thread with at least 8 MiB of stack). Every entry is a call object with
 * a coroutine of its own, so several calls of one plugin may be suspended at once. After an end by a limit the state is
 * spoilt (peri_vm_spoilt): its owner destroys it and builds a new one; other suspended calls of that state are lost. */
struct peri_vm;
struct peri_vm_call;

struct peri_vm_limits {
    int64_t instructions; /* a call */
    int64_t running_ms;   /* a call, only while Lua runs */
    size_t memory_bytes;  /* the state */
    size_t block_bytes;   /* largest single allocation; default 1 MiB */
};

struct peri_vm_options {
    const char *name; /* for messages: the plugin id */
    struct peri_vm_limits limits;
    /* Called while the state is built, outside any limit but memory, with the state's API table on top of the stack:
     * see lua_api.h, which fills what every handler's ctx is made from. peri_vm_push_api finds the table again. May be
     * NULL. */
    int (*open_api)(lua_State *L, void *user);
    /* require(name) inside the sandbox: the text of a module (a file of the package, or lua/perigee/<name>.lua). borrow
     * until it returns; PERI_ENOTFOUND. NULL: no require. */
    enum peri_status (*module)(
        void *user, const char *name, const char **ret_text, size_t *ret_len, struct peri_error *err);
    void *user;
};

/* Builds the state. PERI_ENOMEM, PERI_EINTERNAL. */
enum peri_status peri_vm_create(
    const struct peri_vm_options *options, struct peri_vm **ret, struct peri_error *err) PERI_MUST_CHECK;
/* Releases the whole state at once; runs no Lua code. Suspended calls end without their done. */
void peri_vm_destroy(struct peri_vm *vm);
bool peri_vm_spoilt(const struct peri_vm *vm);
size_t peri_vm_memory(const struct peri_vm *vm); /* bytes in use */
void *peri_vm_user(lua_State *L);                /* options.user, from inside a host function */

/* Compiles and runs a chunk (text only, at most 64 KiB) under the call limits and keeps the one value it returns, which
 * must be a table, as the state's package table. Errors carry "init.lua:LINE: ...". */
enum peri_status peri_vm_load(
    struct peri_vm *vm, const char *chunk_name, const char *text, size_t len, struct peri_error *err) PERI_MUST_CHECK;

/* Compiles a script without running it: the function "run" of a package table of its own. A text that is one expression
 * is as good as `return` with it. Errors carry "<chunk_name>:LINE: ...". */
enum peri_status peri_vm_load_script(
    struct peri_vm *vm, const char *chunk_name, const char *text, size_t len, struct peri_error *err) PERI_MUST_CHECK;

/* What the package table holds at a path of raw keys ("conditions", "comms.missedCalls", "params"): a new value with
 * functions left out as absent, or NULL in *ret when there is nothing. */
enum peri_status peri_vm_peek(
    struct peri_vm *vm, const char *const *path, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;
/* True when the value at path is a function. */
bool peri_vm_has_function(struct peri_vm *vm, const char *const *path);
/* Keys of the table at path, NULL-ended malloc'ed array of malloc'ed strings; for finding operators and webhooks. */
char **peri_vm_keys(struct peri_vm *vm, const char *const *path);

enum peri_vm_outcome {
    PERI_VM_DONE,      /* results can be read */
    PERI_VM_SUSPENDED, /* a host function waits: resume later */
    PERI_VM_FAILED     /* error is set */
};

struct peri_vm_start {
    const char *const *path; /* of the handler in the package table; NULL-ended */
    /* Instead of path: pushes the handler, or pushes nothing and returns false. */
    bool (*find)(lua_State *L, void *user);
    bool no_wait; /* whoever this is for can not wait: host functions that would, raise */
    /* Pushes the arguments (runs protected, inside the budget); returns how many. */
    int (*push)(lua_State *L, void *user);
    void *user;                   /* peri_vm_call_user(L) in host functions during this call */
    struct peri_vm_limits limits; /* instructions and running_ms of this call; 0 takes the state's */
};

/* Starts a call and runs it until it ends or waits. The caller owns *ret in every outcome and destroys it. */
enum peri_vm_outcome peri_vm_call_start(struct peri_vm *vm, const struct peri_vm_start *start,
    struct peri_vm_call **ret, struct peri_error *err) PERI_MUST_CHECK;
/* Goes on after a wait: push (protected) pushes what the waiting host function returns. To make that function raise,
 * push an error by calling peri_vm_raise inside push. */
enum peri_vm_outcome peri_vm_call_resume(struct peri_vm_call *call, int (*push)(lua_State *L, void *user), void *user,
    struct peri_error *err) PERI_MUST_CHECK;
/* The i-th result (0-based) as a value, read raw, checked against depth 64 and max_bytes; NULL in *ret when there is
 * none. Functions, userdata other than secrets, NaN, cycles, text that is not UTF-8: PERI_EINVAL; too big: PERI_ELIMIT
 * with "limit.output". A secret reads as {"$secret": name}; a plain table with that key is refused. An empty table
 * without the list mark is a map. */
enum peri_status peri_vm_call_result(struct peri_vm_call *call, int i, size_t max_bytes, struct peri_value **ret,
    struct peri_error *err) PERI_MUST_CHECK;
/* Runs fn protected, under the state's limits, with the results of a call that is over on top of L's stack: count of
 * them, or the error object of one that failed (count 1). At most most are pushed. */
enum peri_status peri_vm_call_read(struct peri_vm_call *call, int most, void (*fn)(lua_State *L, int count, void *user),
    void *user, struct peri_error *err) PERI_MUST_CHECK;
void peri_vm_call_destroy(struct peri_vm_call *call);

struct peri_vm_usage {
    int64_t instructions, running_us;
    size_t memory_bytes; /* of the state, now */
};
struct peri_vm_usage peri_vm_call_usage(const struct peri_vm_call *call);

/* --- for host functions (lua_CFunctions that lua_api_*.c registers) ---
 * Every function of Lua and of this header that is given an L may end the call: it does not return then. The caller
 * must not own memory that nobody else knows of, nor hold a lock, across such a call. */

void *peri_vm_call_user(lua_State *L); /* NULL outside a call (while loading) */
/* Charges n instructions (C work); ends the call at the limit. */
void peri_vm_charge(lua_State *L, int64_t n);
/* Ends the call for good, as a limit does ("limit.calls", "limit.output"): no Lua code runs after it, the state is
 * spoilt. Does not return. */
void peri_vm_stop(lua_State *L, const char *code, const char *fmt, ...) PERI_PRINTF(3, 4);
/* Raises when a wait is not possible here (while loading, inside a metamethod, a sort comparison, a gsub callback). To
 * be called before the work that a wait is for is begun. */
void peri_vm_check_wait(lua_State *L);
/* return peri_vm_wait(L); suspends the call from a host function, through nested coroutines of the plugin. Everything
 * the host function needs later must already be handed over: nothing of its C stack survives. Not callable while
 * loading: raises. */
int peri_vm_wait(lua_State *L);
/* Pushes the API table that open_api filled. */
void peri_vm_push_api(lua_State *L);
/* Keeps the function on top of the stack (which is popped) under a name, for a start.path of {PERI_VM_KEPT, name,
 * NULL}; nil forgets it. */
#define PERI_VM_KEPT "\1kept"
void peri_vm_keep(lua_State *L, const char *name);
/* Is package[table][name] a function? From inside a host function. */
bool peri_vm_is_handler(lua_State *L, const char *table, const char *name);
/* Pops a function: what print() calls with its one line of text. Without it print does nothing. */
void peri_vm_set_print(lua_State *L);
/* Raises a coded error table {code=, message=, retryable=}. Does not return. */
int peri_vm_raise(lua_State *L, const struct peri_error *err);
int peri_vm_raisef(lua_State *L, const char *code, const char *fmt, ...) PERI_PRINTF(3, 4);
/* Values across the boundary, for push callbacks and host functions (may raise). {"$secret": name} maps become opaque
 * secret userdata when secrets is true (only for values that come from the configuration), else stay maps. */
void peri_vm_push_value(lua_State *L, const struct peri_value *v, bool secrets);
/* JSON's null: a value of its own, as nil can not stand in a table. nil at the top level is read as null too. */
void peri_vm_push_null(lua_State *L);
bool peri_vm_is_null(lua_State *L, int idx);
/* Marks the table at idx as a list, so that it stays one when it is empty. Lists that come from the host are marked. */
void peri_vm_mark_list(lua_State *L, int idx);
/* Raises when the table at idx, the top, has a metatable that the mark would take away (a ctx has one). */
void peri_vm_check_plain(lua_State *L, int idx);
/* Pushes what tostring() gives: __tostring and __name are honoured, no address is shown. May run Lua code. */
const char *peri_vm_tostring(lua_State *L, int idx, size_t *ret_len);
/* Reads the value at idx (raw) by the rules of peri_vm_call_result; raises bad_argument when it can not be one. New
 * reference. The caller must not raise while it holds it, or keep it in a userdata made by peri_vm_push_box. */
struct peri_value *peri_vm_check_value(lua_State *L, int idx, size_t max_bytes);
/* A userdata that unrefs *box when it is collected or the state goes: keeps a value safe across raises. */
struct peri_value **peri_vm_push_box(lua_State *L);
/* The name inside a secret userdata at idx, or NULL when it is none. */
const char *peri_vm_secret_name(lua_State *L, int idx);
void peri_vm_push_secret(lua_State *L, const char *name);

#endif
