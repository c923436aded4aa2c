/* SPDX-License-Identifier: Apache-2.0 */
/* Scripts of rules (`lua:`). Each call has a fresh state, made and thrown away by the worker: 30 us buy that nothing
 * stays from one call to the next, so that a script gives the same for the same values, also after a restart. */
#include <lauxlib.h>
#include <lua.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "plugin/host_internal.h"
#include "plugin/lua_vm.h"

#define CHUNK "lua"
#define STACK_BYTES ((size_t)16 << 20)
#define CHECK_MS 250
#define CHECK_MEMORY ((size_t)8 << 20)

/* "lua:3: text" -> 3 and text; 0 when the message names no line. */
static int line_of(const char *message, const char **ret_text)
{
    int line = 0, used = 0;
    *ret_text = message;
    if (sscanf(message, CHUNK ":%d:%n", &line, &used) == 1 && used > 0) {
        *ret_text = message + used;
        *ret_text += strspn(*ret_text, " ");
    }
    return line;
}

/* --- the check at load --- */

struct checking {
    const char *text;
    size_t len;
    int line;
    enum peri_status status;
    struct peri_error err;
};

static void *check(void *arg)
{
    struct checking *c = arg;
    struct peri_vm *vm = NULL;
    struct peri_vm_options options = {
        .name = CHUNK, .limits = {.instructions = 1000000, .running_ms = CHECK_MS, .memory_bytes = CHECK_MEMORY}};
    const char *text;
    c->status = peri_vm_create(&options, &vm, &c->err);
    if (c->status == PERI_OK)
        c->status = peri_vm_load_script(vm, CHUNK, c->text, c->len, &c->err);
    peri_vm_destroy(vm);
    if (c->status != PERI_OK && (c->line = line_of(c->err.message, &text)) > 0)
        memmove(c->err.message, text, strlen(text) + 1);
    return NULL;
}

enum peri_status peri_host_check_lua(const char *text, size_t len, int *ret_line, struct peri_error *err)
{
    struct checking c = {.text = text, .len = len};
    pthread_t thread;
    pthread_attr_t attr;
    if (pthread_attr_init(&attr))
        return peri_error_nomem(err);
    int failed = pthread_attr_setstacksize(&attr, STACK_BYTES);
    if (!failed)
        failed = pthread_create(&thread, &attr, check, &c);
    pthread_attr_destroy(&attr);
    if (failed)
        return peri_error_set(err, PERI_EIO, NULL, "can not start a thread: %s", strerror(failed));
    pthread_join(thread, NULL);
    if (c.status == PERI_OK)
        return PERI_OK;
    if (c.line > 0)
        *ret_line = c.line;
    if (err)
        *err = c.err;
    return c.status;
}

/* --- running --- */

/* The names that the script uses become its globals; it has no ctx. */
static int push_names(lua_State *L, void *user)
{
    const struct peri_job *job = user;
    const struct peri_value *names = peri_map_at(job->params, "names");
    luaL_checkstack(L, 10, NULL);
    for (void *it = peri_map_first(names); it; it = peri_map_next(names, it)) {
        const struct peri_value *v = peri_map_item(it);
        if (peri_value_is(v, PERI_NULL))
            continue;
        peri_vm_push_value(L, v, false);
        lua_setglobal(L, peri_map_key(it, NULL));
    }
    return 0;
}

/* "lua:3: text" becomes "rules/x.yaml:14: text". */
static void place_error(struct peri_job *job)
{
    const char *at = peri_map_text(job->params, "at"), *text;
    int64_t first = peri_map_int(job->params, "line", 1);
    int line = line_of(job->error.message, &text);
    char *placed = line > 0 && at ? peri_asprintf("%s:%lld: %s", at, (long long)(first + line - 1), text) : NULL;
    if (placed)
        snprintf(job->error.message, sizeof(job->error.message), "%s", placed);
    free(placed);
}

void peri_lua_script(struct peri_job *job)
{
    static const char *const path[] = {"run", NULL};
    const struct peri_limits *limits = &job->plugin->limits;
    int64_t standard = job->kind == PERI_JOB_CONDITION ? PERI_HOST_CONDITION_MS : PERI_HOST_HANDLER_MS;
    int64_t running_ms = limits->running_ms ? limits->running_ms : standard;
    struct peri_vm_options options = {.name = CHUNK,
        .limits = {
            .instructions = limits->instructions, .running_ms = running_ms, .memory_bytes = limits->memory_bytes}};
    struct peri_vm_start start = {.path = path, .push = push_names, .user = job};
    const char *code = peri_map_text(job->params, "code");
    struct peri_vm *vm = NULL;
    enum peri_status st = code ? peri_vm_create(&options, &vm, &job->error)
                               : peri_error_set(&job->error, PERI_EINVAL, "params", "there is no script");
    if (st == PERI_OK)
        st = peri_vm_load_script(vm, CHUNK, code, strlen(code), &job->error);
    if (st == PERI_OK)
        peri_lua_settle(job, peri_vm_call_start(vm, &start, &job->vm_call, &job->error));
    else
        job->outcome = PERI_JOB_FAILED;
    if (job->outcome == PERI_JOB_FAILED)
        place_error(job);
    peri_vm_destroy(vm);
}
