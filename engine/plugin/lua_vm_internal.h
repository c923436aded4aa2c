/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_LUA_VM_INTERNAL_H
#define PERI_PLUGIN_LUA_VM_INTERNAL_H

#include <setjmp.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include "plugin/lua_heap.h"
#include "plugin/lua_vm.h"

/* What the lua_vm_*.c files share. See engine/doc/sandbox.md for the ideas.
 *
 * Every use of a state happens inside peri_vm_enter. When a limit is hit, peri_vm_end jumps from wherever it is (hook,
 * allocator, charge) straight back to there: nothing of Lua runs after the decision, and the state is never used again.
 * C code that runs inside must therefore own nothing that the jump would lose. */

#define PERI_VM_INTERVAL 100         /* instructions between two hooks */
#define PERI_VM_SOURCE_MAX 65536     /* bytes of one chunk: the compiler is quadratic in several ways */
#define PERI_VM_RESULTS_MAX 8000     /* values that one library call may return */
#define PERI_VM_CLOSE_MAX 8          /* nested coroutine.close: liblua 5.4.4 does not count C stack there */
#define PERI_VM_REFUSALS_MAX 32      /* collections forced by the memory cap that freed little, a call */
#define PERI_VM_RESERVE (1u << 20)   /* above the memory cap, for arguments that the host hands over */
#define PERI_VM_POOL 8               /* finished coroutines kept for later calls */
#define PERI_VM_DEPTH 64             /* nesting of values that cross the boundary */
#define PERI_VM_VALUE_MAX (1u << 20) /* bytes of what peek reads */

/* Library functions taken from liblua and called through a wrapper that charges for their arguments. */
#define PERI_VM_STOCK_MAX 64

struct peri_vm_box {
    struct peri_value *value; /* first: peri_vm_push_box gives its address */
    struct peri_vm_box *prev, *next;
};

struct peri_vm {
    lua_State *L; /* the main thread: loads, and stands for every call's own thread in coroutine.running */
    char name[128];
    struct peri_vm_limits limits;
    int (*open_api)(lua_State *L, void *user);
    enum peri_status (*module)(
        void *user, const char *name, const char **ret_text, size_t *ret_len, struct peri_error *err);
    void *user;

    struct peri_heap heap;
    size_t cap; /* memory allowed now */
    /* A refused request is repeated by liblua after a full collection; what asks only once is luaL_Buffer. */
    const void *refused_block;
    size_t refused_size;
    bool refused;
    int refusals;
    unsigned allocations; /* for looking at the clock now and then */

    bool entered, spoilt;
    volatile bool reading; /* a value is being read: the signal of the watch must not lose it */
    sigjmp_buf jump;
    struct peri_error end;
    int64_t budget, budget_start;            /* instructions left, and what it was at entry */
    int64_t start_ns, limit_ns, deadline_ns; /* monotonic; start -1: not looked at yet, as is the deadline then */
    int64_t cpu_start_ns;                    /* -1: not looked at yet */
    int uncharged;                           /* instructions charged since the clock was looked at */

    struct peri_vm_call *current;
    struct peri_vm_call *calls; /* all of this state that exist */
    bool waiting;               /* a host wait passes outward through coroutine.resume */
    int blocked;                /* resumers on the C stack that can not be yielded across */
    int closing;                /* nested closes under way */
    int (*resume_push)(lua_State *L, void *user);
    void *resume_user;

    struct peri_vm_box boxes; /* ring */
    struct {
        lua_State *co;
        int ref;
    } pool[PERI_VM_POOL];
    int pooled;
    lua_CFunction stock[PERI_VM_STOCK_MAX];
    uint64_t mask[2]; /* key that hides addresses in tostring */
};

struct peri_vm_call {
    struct peri_vm *vm; /* NULL after the state is gone */
    struct peri_vm_call *prev, *next;
    lua_State *co;
    int ref;
    const struct peri_vm_start *start; /* only during peri_vm_call_start */
    void *user;
    int64_t budget, budget_limit; /* left, and at the start */
    int64_t running_ns, limit_ns;
    int status;        /* of the handler */
    int base, results; /* results stand at base + 1 ... in co */
    bool suspended, finished;
    size_t memory;
};

static inline struct peri_vm *peri_vm_of(lua_State *L)
{
    struct peri_vm *vm;
    __builtin_memcpy(&vm, lua_getextraspace(L), sizeof(vm));
    return vm;
}

/* Runs work(vm, arg) with the current limits. False when a limit ended it: the state is spoilt then and vm->end says
 * why. */
bool peri_vm_enter(struct peri_vm *vm, void (*work)(struct peri_vm *vm, void *arg), void *arg);
/* The same for a C function called in protected mode on the main thread with arg as its light userdata; PERI_OK or err
 * set. */
enum peri_status peri_vm_protect(struct peri_vm *vm, lua_CFunction fn, void *arg, struct peri_error *err);
/* The time begins with the first look at a clock. */
void peri_vm_arm(struct peri_vm *vm, int64_t instructions, int64_t running_ns);
void peri_vm_begin_time(struct peri_vm *vm, int64_t now_ns);
void peri_vm_hook(lua_State *L, lua_Debug *ar);
void peri_vm_watch(lua_State *L); /* installs the hook on a thread */
_Noreturn void peri_vm_end(struct peri_vm *vm, const char *code, const char *fmt, ...) PERI_PRINTF(3, 4);
/* From the signal of the watch: returns when the time is not over. */
void peri_vm_end_late(struct peri_vm *vm);
/* True when the running time is over; for code that must not be jumped out of. */
bool peri_vm_late(struct peri_vm *vm);
_Noreturn void peri_vm_end_memory(struct peri_vm *vm);
_Noreturn void peri_vm_end_block(struct peri_vm *vm); /* above the largest block */
void peri_vm_check_time(struct peri_vm *vm);
void *peri_vm_alloc(void *ud, void *ptr, size_t osize, size_t nsize);
/* Makes room for about n more bytes by collecting when the cap is near: for work that goes through luaL_Buffer. */
void peri_vm_room(lua_State *L, size_t n);
/* Charges for work on n bytes. */
void peri_vm_charge_bytes(lua_State *L, size_t n);
/* After a protected call that failed inside the sandbox: ends the call when memory was the reason, or time is over. */
void peri_vm_caught(lua_State *L, int status);

/* Builds the globals from the allow-list. */
void peri_vm_open_libs(lua_State *L);
struct peri_vm_function {
    const char *lib; /* "" for the globals */
    const char *name;
    lua_CFunction own; /* ours; NULL: liblua's */
    bool charged;      /* liblua's is kept in vm->stock: called through a wrapper, or by own (peri_vm_stock) */
};
extern const struct peri_vm_function peri_vm_functions[]; /* ends with a NULL name */

/* lua_vm_lib_*.c: the functions of the allow-list. */
int peri_vm_lib_collectgarbage(lua_State *L);
int peri_vm_lib_load(lua_State *L);
int peri_vm_lib_ipairs(lua_State *L);
int peri_vm_lib_pcall(lua_State *L);
int peri_vm_lib_print(lua_State *L);
int peri_vm_lib_require(lua_State *L);
int peri_vm_lib_tostring(lua_State *L);
int peri_vm_lib_xpcall(lua_State *L);
int peri_vm_lib_randomseed(lua_State *L);
int peri_vm_lib_getmetatable(lua_State *L);
int peri_vm_lib_setmetatable(lua_State *L);
int peri_vm_lib_byte(lua_State *L);
int peri_vm_lib_find(lua_State *L);
int peri_vm_lib_format(lua_State *L);
int peri_vm_lib_gmatch(lua_State *L);
int peri_vm_lib_gsub(lua_State *L);
int peri_vm_lib_match(lua_State *L);
int peri_vm_lib_pack(lua_State *L);
int peri_vm_lib_rep(lua_State *L);
int peri_vm_lib_codepoint(lua_State *L);
int peri_vm_lib_concat(lua_State *L);
int peri_vm_lib_insert(lua_State *L);
int peri_vm_lib_move(lua_State *L);
int peri_vm_lib_remove(lua_State *L);
int peri_vm_lib_sort(lua_State *L);
int peri_vm_lib_unpack(lua_State *L);
int peri_vm_lib_co_close(lua_State *L);
int peri_vm_lib_co_create(lua_State *L);
int peri_vm_lib_co_isyieldable(lua_State *L);
int peri_vm_lib_co_resume(lua_State *L);
int peri_vm_lib_co_running(lua_State *L);
int peri_vm_lib_co_status(lua_State *L);
int peri_vm_lib_co_wrap(lua_State *L);
int peri_vm_lib_co_yield(lua_State *L);
void peri_vm_open_coroutine(lua_State *L);
void peri_vm_open_meta(lua_State *L);
void peri_vm_push_setmetatable(lua_State *L); /* a closure: it keeps the names of the events */
void peri_vm_open_values(lua_State *L);
/* The liblua function that an own, charged one replaces: called in the frame of that one. */
int peri_vm_stock(lua_State *L);
/* Compiles a text chunk and pushes the function, or false with a message. */
bool peri_vm_try_compile(lua_State *L, const char *name, const char *text, size_t len);
/* The same, but raises. */
void peri_vm_compile(lua_State *L, const char *name, const char *text, size_t len);
/* True when the table at idx carries the list mark. */
bool peri_vm_is_list(lua_State *L, int idx);

/* Reads the value at idx without raising; needs 3 * (depth + 2) free stack slots. */
enum peri_vm_read { PERI_VM_READ_ALL, PERI_VM_READ_DATA /* functions count as absent */ };
enum peri_status peri_vm_read_value(
    lua_State *L, int idx, size_t max_bytes, enum peri_vm_read how, struct peri_value **ret, struct peri_error *err);
/* What an error object says, read raw. */
void peri_vm_read_error(lua_State *L, int idx, struct peri_error *err);
/* Pushes what the package table holds at path, raw; false (and nothing pushed) when there is nothing. */
bool peri_vm_push_path(lua_State *L, const char *const *path);

/* Registry keys: the address of one of these. */
extern const char peri_vm_key_package, peri_vm_key_kept, peri_vm_key_api, peri_vm_key_print, peri_vm_key_modules,
    peri_vm_key_list, peri_vm_key_secret, peri_vm_key_box, peri_vm_key_waiting, peri_vm_key_snapshots,
    peri_vm_key_original, peri_vm_key_null;

#endif
