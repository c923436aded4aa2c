/* SPDX-License-Identifier: Apache-2.0 */
/* Plugins with a process of their own: building the state there and its mirror here, and calls. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "plugin/lua_api.h"
#include "plugin/lua_cell_internal.h"
#include "plugin/lua_vm_internal.h"

#define RESULTS_MAX 8        /* of a handler */
#define ABORT_NS 2000000000  /* for a process that is told to drop a call to take the message */
#define START_NS 10000000000 /* for the process to start on a busy machine */

static void arm(struct peri_plugin *p)
{
    int64_t ms = p->limits.running_ms ? p->limits.running_ms : PERI_HOST_HANDLER_MS;
    peri_vm_arm(p->vm, p->limits.instructions, ms * 1000000);
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
    peri_cell_forget(cell);
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
    enum peri_status st = peri_vm_protect(p->vm, peri_cell_write_load, p, err);
    if (!st && cell->out.failed)
        st = peri_error_set(err, PERI_ELIMIT, "too_large", "settings and files of the plugin are too large");
    if (!st)
        st = peri_cell_converse(p, NULL, peri_cell_patience(p) + START_NS, err);
    if (st)
        return st;
    if (cell->in.kind == PERI_MSG_FAILED) {
        for (int i = 0; i < 3; i++)
            (void)peri_message_get64(&cell->in);
        (void)peri_message_get8(&cell->in);
        peri_message_get_error(&cell->in, err);
        return cell->in.bad ? peri_cell_lose(p, PERI_EINVAL, err) : err->status;
    }
    if (cell->in.kind != PERI_MSG_LOADED)
        return peri_cell_lose(p, PERI_EINVAL, err);
    arm(p);
    return peri_vm_protect(p->vm, peri_cell_read_package, p, err);
}

enum peri_status peri_cell_build(struct peri_plugin *p, struct peri_error *err)
{
    struct peri_vm_options options = {
        .name = p->id,
        .limits = {.instructions = p->limits.instructions,
            .running_ms = p->limits.running_ms ? p->limits.running_ms : PERI_HOST_HANDLER_MS,
            .memory_bytes = p->limits.memory_bytes},
        .open_api = peri_cell_open_mirror,
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
    peri_cell_forget(cell);
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
    peri_cell_put_handler(L, &cell->out, s->job->path);
    vm->cap += PERI_VM_RESERVE;
    peri_cell_put_values(L, peri_lua_push_whole(L, s->job), cell);
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
    struct peri_wire_ends ends = peri_cell_ends(cell);
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
    (void)!peri_cell_lose(job->plugin, PERI_EINVAL, &job->error);
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
    if (peri_cell_converse(p, job, peri_cell_patience(p), &job->error)) {
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
    peri_cell_put_outcome(job, call, outcome, &err);
    peri_vm_call_destroy(call);
    peri_op_finish(&job->op);
    go_on(job);
}

void peri_cell_abort(struct peri_job *job)
{
    struct peri_cell *cell = job->plugin->cell;
    int64_t left_ns = ABORT_NS;
    peri_vm_call_destroy(job->vm_call);
    job->vm_call = NULL;
    if (!cell->process.pid || cell->spoilt || job->host->closing)
        return;
    peri_message_begin(&cell->out, PERI_MSG_ABORT);
    peri_message_put32(&cell->out, job->cell_call);
    (void)!peri_channel_send(&cell->channel, &cell->out, &left_ns); /* when it is gone, the next call notices */
}
