/* SPDX-License-Identifier: Apache-2.0 */
/* Talking to a plugin's process: a request, what it asks in between (host functions, modules), its answer. Nothing that
 * comes from there is believed. */
#include <string.h>
#include <time.h>

#include "plugin/lua_cell_internal.h"
#include "plugin/lua_vm_internal.h"

#define HOST_RESULTS_MAX 200   /* of a host function */
#define PATIENCE_NS 2000000000 /* beyond four times the running time, which ends the call inside */

int64_t peri_cell_patience(const struct peri_plugin *p)
{
    int64_t ms = p->limits.running_ms ? p->limits.running_ms : PERI_HOST_HANDLER_MS;
    return ms * 4 * 1000000 + PATIENCE_NS;
}

enum peri_status peri_cell_lose(struct peri_plugin *p, enum peri_status st, struct peri_error *err)
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
    (void)!peri_cell_lose(p, PERI_EIO, &err);
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
    return peri_cell_push_ref(L, peri_message_get32(&job->plugin->cell->in)) && lua_isfunction(L, -1);
}

static int push_host_arguments(lua_State *L, void *user)
{
    const struct peri_job *job = user;
    struct peri_cell *cell = job->plugin->cell;
    struct peri_wire_ends ends = peri_cell_ends(cell);
    int n = peri_message_get8(&cell->in);
    luaL_checkstack(L, n + 1, NULL);
    for (int i = 0; i < n; i++)
        peri_wire_push(L, &cell->in, &ends);
    return n;
}

void peri_cell_put_values(lua_State *L, int count, void *user)
{
    struct peri_cell *cell = user;
    struct peri_wire_ends ends = peri_cell_ends(cell);
    int first = lua_gettop(L) - count + 1;
    peri_message_put8(&cell->out, (uint8_t)count);
    for (int i = 0; i < count; i++)
        peri_wire_put(L, first + i, &cell->out, &ends);
}

void peri_cell_put_outcome(
    struct peri_job *job, struct peri_vm_call *call, enum peri_vm_outcome outcome, struct peri_error *err)
{
    struct peri_cell *cell = job->plugin->cell;
    struct peri_buf *out = &cell->out;
    size_t at = out->len;
    if (call && !peri_vm_spoilt(job->plugin->vm)) {
        peri_message_put8(out, outcome == PERI_VM_DONE ? PERI_MSG_RESULT : PERI_MSG_RAISE);
        peri_message_put64(out, peri_vm_call_usage(call).instructions);
        if (!peri_vm_call_read(call, HOST_RESULTS_MAX, peri_cell_put_values, cell, err))
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
    peri_cell_put_outcome(job, call, outcome, &err);
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

enum peri_status peri_cell_converse(
    struct peri_plugin *p, struct peri_job *job, int64_t left_ns, struct peri_error *err)
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
    return peri_cell_lose(p, st, err);
}
