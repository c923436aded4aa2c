/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"
#include "lang/rule_warn.h"
#include "run/exec_internal.h"
#include "run/slots.h"
#include "run/lane.h"
#include "run/ledger.h"
#include "run/scope.h"
#include "run/system.h"
#include "run/wait.h"

/* Runs in memory, and their way there from the store: at start, when a wait ends, when a person asks for a change. */

static char *id_key(uint64_t id, char out[24])
{
    snprintf(out, 24, "%llu", (unsigned long long)id);
    return out;
}

struct live *live_find(struct peri_pipeline *p, uint64_t id)
{
    char key[24];
    return peri_map_get(p->lives, id_key(id, key));
}

struct live *live_add(struct peri_pipeline *p, struct peri_run *run, struct peri_event *event)
{
    char key[24];
    struct live *live = calloc(1, sizeof(*live));
    if (!live || !peri_map_set(p->lives, id_key(run->id, key), live, NULL)) {
        free(live);
        peri_run_destroy(run);
        return NULL;
    }
    live->p = p;
    live->run = run;
    live->event = peri_event_ref(event);
    live->stored = run->state;
    live->inbox_end = &live->inbox;
    live->unstarted = run->last_n == 0;
    p->live_memory++;
    return live;
}

/* --- what tracks need --- */

struct live_task *live_task(struct live *live, int track)
{
    for (size_t i = 0; i < live->task_count; i++)
        if (live->tasks[i]->track == track)
            return live->tasks[i];
    struct live_task *task = calloc(1, sizeof(*task));
    if (!task || !peri_vec_grow(&live->tasks, &live->task_cap, live->task_count + 1, sizeof(struct live_task *))) {
        free(task);
        return NULL;
    }
    task->live = live;
    task->track = track;
    task->next = PERI_NEXT_NOTHING;
    live->tasks[live->task_count++] = task;
    return task;
}

struct live_task *live_task_of(struct live *live, uint64_t serial)
{
    for (size_t i = 0; i < live->task_count; i++)
        if (live->tasks[i]->serial == serial)
            return live->tasks[i];
    return NULL;
}

void live_end_call(struct live_task *task)
{
    if (!task->calling)
        return;
    task->calling = false;
    task->serial = 0;
    task->live->p->calls--;
    slots_leave(task);
}

void live_quit(struct live_task *task)
{
    live_end_call(task);
    live_unhold(task);
    pipe_evaluation_cancel(task->evaluation);
    task->evaluation = NULL;
    task->pending = false;
    task->next = PERI_NEXT_NOTHING;
    task->serial = 0;
}

bool live_calling(const struct live *live)
{
    for (size_t i = 0; i < live->task_count; i++)
        if (live->tasks[i]->calling)
            return true;
    return false;
}

/* --- what happens to it --- */

void message_free(struct live_message *message)
{
    peri_value_unref(message->value);
    free(message->reason);
    free(message);
}

static void drop_inbox(struct live *live)
{
    while (live->inbox) {
        struct live_message *message = live->inbox;
        live->inbox = message->next;
        message_free(message);
    }
    live->inbox_end = &live->inbox;
}

void live_post(struct live *live, const struct live_message *message)
{
    struct live_message *copy = malloc(sizeof(*copy));
    if (!copy) {
        peri_value_unref(message->value);
        free(message->reason);
        live_reread(live);
        return;
    }
    *copy = *message;
    copy->next = NULL;
    *live->inbox_end = copy;
    live->inbox_end = &copy->next;
    live_lead(live);
}

void live_free(struct live *live)
{
    for (size_t i = 0; i < live->task_count; i++) {
        slots_leave(live->tasks[i]);
        free(live->tasks[i]);
    }
    free(live->tasks);
    drop_inbox(live);
    peri_run_destroy(live->run);
    peri_event_unref(live->event);
    free(live->trigger);
    free(live);
}

void change_answer(struct change *change, enum peri_status st, uint64_t run, const struct peri_error *err)
{
    char id[PERI_ID_TEXT];
    struct peri_value *value = NULL;
    if (st == PERI_OK) {
        value = peri_value_map();
        if (!value || peri_map_put_text(value, "id", peri_run_id(run, id)) != PERI_OK) {
            peri_value_unref(value);
            value = NULL;
        }
    }
    if (change->done)
        change->done(change->arg, st, value, err);
    peri_value_unref(value);
    peri_value_unref(change->value);
    free(change->actor);
    free(change);
}

static void refuse_changes(struct live *live, const char *why)
{
    struct peri_error err = {0};
    while (live->changes) {
        struct change *change = live->changes;
        live->changes = change->next;
        (void)peri_error_set(&err, PERI_ESTATE, "state", "%s", why);
        change_answer(change, PERI_ESTATE, live->run->id, &err);
    }
}

/* The call that a run waited for has ended. */
static void let_follow(struct peri_pipeline *p, uint64_t follower)
{
    struct live *live = follower ? live_find(p, follower) : NULL;
    if (!live)
        return;
    live->behind = 0;
    for (size_t i = 0; i < live->task_count; i++)
        if (live->tasks[i]->next == PERI_NEXT_HELD && !live->tasks[i]->held)
            live->tasks[i]->pending = true;
    live_lead(live);
}

void live_forget(struct live *live)
{
    struct peri_pipeline *p = live->p;
    uint64_t follower = live->follower;
    char key[24];
    if (live->leading) {
        live->gone = true;
        return;
    }
    if (live->changes) {
        char why[96];
        snprintf(why, sizeof(why), "the run is %s", peri_run_state_name(live->run->state));
        refuse_changes(live, why);
    }
    for (size_t i = 0; i < live->task_count; i++)
        live_quit(live->tasks[i]);
    (void)peri_map_remove(p->lives, id_key(live->run->id, key));
    p->live_memory--;
    live_free(live);
    let_follow(p, follower);
}

/* Another run may have taken over the wait for that call in the meantime. */
uint64_t live_pass_on(struct peri_pipeline *p, uint64_t behind, uint64_t by)
{
    struct live *ghost = behind ? live_find(p, behind) : NULL;
    if (!ghost)
        return 0;
    ghost->follower = by;
    return behind;
}

uint64_t live_stopped(struct peri_pipeline *p, const struct peri_lane_stop *stop)
{
    struct live *live = live_find(p, stop->run);
    int slot = (stop->state - PERI_RUN_SUCCEEDED) & 3;
    p->live_runs--;
    p->counts.runs_ended[slot]++;
    peri_metric_add(p->metrics.ended[slot], 1);
    if (!live)
        return 0;
    uint64_t behind = live_pass_on(p, live->behind, stop->by);
    live->stopped = true;
    for (size_t i = 0; i < live->task_count; i++)
        if (!live->tasks[i]->calling || live->tasks[i]->pending)
            live_quit(live->tasks[i]);
    if (live->committing && !live_calling(live)) /* the store will say that the run has ended */
        return behind;
    if (!live_calling(live)) {
        live_forget(live);
        return behind;
    }
    live->follower = stop->by;
    return stop->run;
}

void live_promoted(struct peri_pipeline *p, const struct peri_run_ids *ids)
{
    for (size_t i = 0; i < ids->count; i++)
        (void)resume_push(p, ids->items[i], 0);
}

void live_reread(struct live *live)
{
    struct peri_pipeline *p = live->p;
    uint64_t id = live->run->id;
    peri_err(p->options.log, "run", "run-%llu: out of memory; it is read again", (unsigned long long)id);
    live_forget(live);
    timer_due(p, PIPE_RETRY_MS, DUE_WAKE, id, 0);
}

static bool collect(const char *key, void *value, void *arg)
{
    struct live ***next = arg;
    *(*next)++ = value;
    return true;
}

void exec_finish(struct peri_pipeline *p)
{
    size_t count = peri_map_count(p->lives);
    struct live **all = calloc(count ? count : 1, sizeof(struct live *)), **next = all;
    if (!all)
        return;
    peri_map_each(p->lives, collect, &next);
    for (size_t i = 0; i < count; i++) {
        struct live *live = all[i];
        refuse_changes(live, "the service is stopping");
        for (size_t k = 0; k < live->task_count; k++) {
            pipe_evaluation_cancel(live->tasks[k]->evaluation);
            live->tasks[k]->evaluation = NULL;
        }
        if (!live->committing) /* else its transaction frees it */
            live_free(live);
    }
    free(all);
    peri_map_destroy(p->lives, NULL);
    p->lives = NULL;
    held_finish(p);
}

/* --- from the store --- */

struct row_copy {
    struct peri_run_row row;
    char *texts[8];
};

static enum peri_status copy_row(void *arg, const struct peri_run_row *row)
{
    struct row_copy *copy = arg;
    const char *const from[] = {
        row->rule, row->rhash, row->trigger, row->pos, row->vars, row->kprefix, row->error, row->ckey};
    copy->row = *row;
    for (size_t i = 0; i < 8; i++) {
        copy->texts[i] = peri_strdup(from[i]);
        if (from[i] && !copy->texts[i])
            return PERI_ENOMEM;
    }
    copy->row.rule = copy->texts[0];
    copy->row.rhash = copy->texts[1];
    copy->row.trigger = copy->texts[2];
    copy->row.pos = copy->texts[3];
    copy->row.vars = copy->texts[4];
    copy->row.kprefix = copy->texts[5];
    copy->row.error = copy->texts[6];
    copy->row.ckey = copy->texts[7];
    return PERI_OK;
}

static void free_row(struct row_copy *copy)
{
    for (size_t i = 0; i < 8; i++)
        free(copy->texts[i]);
}

/* The journal keeps the events of live runs. Should one be gone or damaged all the same, templates that need it say so.
 */
static enum peri_status load_event(
    struct peri_pipeline *p, uint64_t seq, struct peri_event **ret, struct peri_error *err)
{
    struct peri_event *event = NULL;
    enum peri_status st = peri_reader_event(p->reader, seq, &event, err);
    if (st == PERI_OK)
        pipe_saw(p, event);
    if (st == PERI_OK)
        *ret = event;
    if (st != PERI_ENOTFOUND) /* what cannot be read now is not taken for one that is gone */
        return st;
    event = peri_event_create();
    if (!event)
        return peri_error_nomem(err);
    event->seq = seq;
    event->source = peri_strdup("perigee:unknown");
    event->type = peri_strdup("unknown");
    event->data = peri_strdup("null");
    event->data_len = 4;
    if (!event->source || !event->type || !event->data) {
        peri_event_unref(event);
        return peri_error_nomem(err);
    }
    *ret = event;
    return PERI_OK;
}

struct links {
    struct peri_pipeline *p;
    struct peri_value *map; /* {step: address}; NULL: none yet */
    uint64_t run;
    bool failed;
};

static void add_link(const struct peri_step *step, void *arg)
{
    struct links *links = arg;
    struct peri_pipeline *p = links->p;
    if (step->kind != PERI_STEP_APPROVE || !step->id || links->failed)
        return;
    if (!links->map)
        links->map = peri_value_map();
    char *address = p->options.link(p->options.link_ctx, links->run, step->id);
    links->failed = !links->map || !address || peri_map_put_text(links->map, step->id, address) != PERI_OK;
    free(address);
}

static struct peri_value *run_value(
    struct peri_pipeline *p, uint64_t run, const struct peri_rule *rule, uint64_t event, int64_t created_ms)
{
    struct peri_value *value = peri_scope_run(run, rule, event, created_ms);
    struct links links = {.p = p, .run = run};
    if (value && p->options.link)
        peri_rule_each_step(rule, add_link, &links);
    if (links.map && !links.failed)
        links.failed = peri_map_put_ref(value, "approve", links.map) != PERI_OK;
    peri_value_unref(links.map);
    if (!links.failed)
        return value;
    peri_value_unref(value);
    return NULL;
}

static struct peri_value *make_root(void *ctx, enum peri_run_root root)
{
    struct live *live = ctx;
    const struct peri_run *run = live->run;
    if (root == PERI_ROOT_TRIGGER)
        return peri_scope_trigger(live->event, run->event, live->trigger);
    return run_value(live->p, run->id, run->rule, live->event->seq, run->created_ms);
}

bool live_roots(struct live *live, const char *trigger)
{
    live->trigger = peri_strdup(trigger);
    live->run->make_root = make_root;
    live->run->root_ctx = live;
    return live->trigger != NULL;
}

static enum peri_status add_track(void *arg, int track, const char *pos)
{
    struct peri_error err;
    return peri_track_read(arg, track, pos, &err);
}

static enum peri_status build(
    struct peri_pipeline *p, const struct peri_run_row *row, struct live **ret, struct peri_error *err)
{
    struct peri_rule *rule = NULL;
    struct peri_run *run = NULL;
    enum peri_status st = pipe_rule_by_hash(p, row->rhash, &rule, err);
    if (st == PERI_OK)
        st = peri_run_read(row, rule, &run, err);
    if (st == PERI_OK && run->track.phase == PERI_PHASE_JOIN) {
        st = peri_reader_tracks(p->reader, row->id, add_track, run, err);
        if (st == PERI_OK && run->branch_count == 0)
            st = peri_error_set(
                err, PERI_ECORRUPT, "run.position", "the branches of run-%llu are gone", (unsigned long long)row->id);
    }
    if (st != PERI_OK) {
        peri_run_destroy(run);
        return st;
    }
    struct peri_event *event = NULL;
    st = load_event(p, row->event, &event, err);
    if (st != PERI_OK) {
        peri_run_destroy(run);
        return st;
    }
    if (event)
        run->event = peri_scope_event(event);
    if (!event || !run->event) {
        peri_run_destroy(run);
        peri_event_unref(event);
        return peri_error_nomem(err);
    }
    struct live *live = live_add(p, run, event);
    peri_event_unref(event);
    if (live && !live_roots(live, row->trigger)) {
        live_forget(live);
        live = NULL;
    }
    if (!live)
        return peri_error_nomem(err);
    live->armed_ms = run->wake_ms; /* whoever has brought it to sleep has seen to that */
    *ret = live;
    return PERI_OK;
}

enum peri_status live_load(struct peri_pipeline *p, uint64_t id, struct live **ret, struct peri_error *err)
{
    struct row_copy copy = {.row = {0}};
    *ret = NULL;
    enum peri_status st = peri_reader_run_row(p->reader, id, copy_row, &copy, err);
    if (st == PERI_OK && !peri_run_is_final(copy.row.state)) {
        st = build(p, &copy.row, ret, err);
        if (st != PERI_OK && st != PERI_ENOMEM && st != PERI_EIO && st != PERI_ETIMEOUT)
            exec_bury(p, id, copy.row.state, err);
    }
    free_row(&copy);
    return st;
}

/* --- a run that cannot go on --- */

struct burial {
    struct peri_pipeline *p;
    uint64_t run;
    enum peri_run_state stored;
    struct peri_error error;
    int64_t now_ms;
    struct peri_lane_stops stops; /* only what is told */
};

static enum peri_status bury_tx(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct burial *b = arg;
    struct peri_value *value = peri_value_map();
    peri_lane_stops_begin(&b->stops);
    bool bad = !value || peri_map_put_text(value, "code", b->error.code) != PERI_OK ||
               peri_map_put_text(value, "message", b->error.message) != PERI_OK;
    char *text = bad ? NULL : peri_json_text(value, PERI_JSON_COMPACT);
    enum peri_status st = text ? PERI_OK : peri_error_nomem(err);
    if (st == PERI_OK) {
        struct peri_run_row row = {
            .id = b->run, .state = PERI_RUN_FAILED, .pos = "{}", .vars = "{}", .ended_ms = b->now_ms, .error = text};
        st = peri_tx_run_update(tx, &row, b->stored, err);
        if (st == PERI_OK)
            st = ledger_run(tx, &row, NULL, 0, err);
    }
    if (st == PERI_OK)
        st = peri_tx_tracks_drop(tx, b->run, err);
    if (st == PERI_OK)
        st = peri_tx_waits_drop(tx, b->run, err);
    if (st == PERI_OK)
        st = system_tell_stopped(tx, b->run, PERI_RUN_FAILED, b->error.code, b->error.message, &b->stops, err);
    free(text);
    peri_value_unref(value);
    PERI_FAILPOINT("bury.rows");
    return st;
}

static void bury_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    PERI_FAILPOINT("bury.done");
    struct burial *b = arg;
    if (!b->p->dead && st == PERI_OK) {
        b->p->live_runs--;
        b->p->counts.runs_ended[1]++;
        peri_metric_add(b->p->metrics.ended[1], 1);
        lanes_sweep(b->p, NULL, NULL);
        system_stops_told(b->p, &b->stops);
    }
    peri_lane_stops_finish(&b->stops);
    free(b);
}

void exec_bury(struct peri_pipeline *p, uint64_t run, enum peri_run_state stored, const struct peri_error *error)
{
    struct burial *b = calloc(1, sizeof(*b));
    peri_err(p->options.log, "run", "run-%llu cannot go on: %s", (unsigned long long)run, error->message);
    if (!b)
        return;
    *b = (struct burial){.p = p, .run = run, .stored = stored, .error = *error, .now_ms = pipe_now(p)};
    system_stops_prepare(p, &b->stops);
    if (pipe_commit(p, 512, bury_tx, bury_done, b, true) != PERI_OK)
        free(b);
}

/* --- resuming --- */

enum peri_status resume_push(struct peri_pipeline *p, uint64_t run, int64_t wake_ms)
{
    if (p->resume_head > 0 && p->resume_head >= p->resume_count / 2) {
        p->resume_count -= p->resume_head;
        memmove(p->resume, p->resume + p->resume_head, p->resume_count * sizeof(*p->resume));
        p->resume_head = 0;
    }
    if (!peri_vec_grow(&p->resume, &p->resume_cap, p->resume_count + 1, sizeof(*p->resume)))
        return PERI_ENOMEM;
    p->resume[p->resume_count++] = (struct resume_item){.run = run, .wake_ms = wake_ms};
    return PERI_OK;
}

static enum peri_status take_params(void *arg, const struct peri_step_row *row)
{
    struct peri_track *track = arg;
    if (row->params && !track->params &&
        peri_json_parse(row->params, strlen(row->params), &track->params, NULL) != PERI_OK)
        return PERI_ECORRUPT;
    return PERI_OK;
}

/* Of an attempt that was under way its row has the parameters. */
static void open_params(struct peri_pipeline *p, struct peri_run *run)
{
    for (size_t i = 0; i <= run->branch_count; i++) {
        struct peri_track *track = i == 0 ? &run->track : run->branches[i - 1];
        if (track->phase == PERI_PHASE_CALL)
            (void)(peri_reader_attempt(p->reader, run->id, track->n, track->attempt, take_params, track, NULL) ==
                   PERI_OK);
    }
}

/* What it waits for is a time of the wall clock, which was set. */
static void ask_again(struct live *live)
{
    const struct peri_run *run = live->run;
    for (size_t i = 0; i <= run->branch_count; i++) {
        const struct peri_track *track = i == 0 ? &run->track : run->branches[i - 1];
        if (track->phase == PERI_PHASE_GATED && track->wall)
            live_post(live, &(struct live_message){.kind = PERI_INPUT_TIMER, .due_ms = track->wake_ms});
    }
}

static bool in_memory(const char *key, void *value, void *arg)
{
    const struct live *live = value;
    if (live->run->wall && resume_push(live->p, live->run->id, RESUME_WALL) != PERI_OK)
        timer_due(live->p, PIPE_RETRY_MS, DUE_WAKE, live->run->id, (uint64_t)RESUME_WALL);
    return true;
}

static enum peri_status in_store(void *arg, uint64_t run)
{
    struct peri_pipeline *p = arg;
    return live_find(p, run) ? PERI_OK : resume_push(p, run, RESUME_WALL);
}

void live_clock_set(struct peri_pipeline *p)
{
    struct peri_error err = {0};
    peri_map_each(p->lives, in_memory, NULL);
    if (peri_reader_wall_runs(p->reader, in_store, p, &err) != PERI_OK)
        peri_err(p->options.log, "clock", "runs that wait for a time of the wall clock: %s", err.message);
}

static void resume_one(struct peri_pipeline *p, const struct resume_item *item)
{
    struct peri_error err = {0};
    struct live *live = NULL;
    if ((live = live_find(p, item->run)) != NULL) { /* somebody else brought it in */
        if (item->wake_ms == RESUME_HEARD)
            live_take_hits(live);
        else if (item->wake_ms == RESUME_WALL)
            ask_again(live);
        return;
    }
    enum peri_status st = live_load(p, item->run, &live, &err);
    if (st == PERI_ENOMEM || st == PERI_EIO || st == PERI_ETIMEOUT) {
        peri_err(p->options.log, "run", "run-%llu: %s; it is read again", (unsigned long long)item->run, err.message);
        timer_due(p, PIPE_RETRY_MS, DUE_WAKE, item->run, (uint64_t)item->wake_ms);
        return;
    }
    if (!live)
        return;
    live_resume(live, item);
}

/* take value; NULL: the event is gone or damaged, and it has come all the same. */
static void post_event(struct live *live, int n, struct peri_value *value)
{
    live_post(live, &(struct live_message){.kind = PERI_INPUT_EVENT, .n = n, .value = value});
}

static enum peri_status event_value(
    struct peri_pipeline *p, uint64_t seq, struct peri_value **ret, struct peri_error *err)
{
    struct peri_event *event = NULL;
    enum peri_status st = load_event(p, seq, &event, err);
    *ret = NULL;
    if (st == PERI_OK && peri_event_value(event, ret, NULL) == PERI_ENOMEM)
        st = peri_error_nomem(err);
    peri_event_unref(event);
    return st;
}

static enum peri_status take_hit(void *arg, uint64_t run, int n, uint64_t seq)
{
    struct live *live = arg;
    struct peri_value *value = NULL;
    enum peri_status st = event_value(live->p, seq, &value, NULL);
    if (st == PERI_OK)
        post_event(live, n, value);
    return st;
}

/* What it has heard while it was not in memory comes before anything else. */
void live_take_hits(struct live *live)
{
    struct peri_error err;
    if (!peri_run_track_in(live->run, PERI_PHASE_WAIT))
        return;
    if (peri_reader_waits_hit(live->p->reader, live->run->id, take_hit, live, &err) != PERI_OK)
        live_reread(live);
}

void live_heard(struct peri_pipeline *p, const struct peri_wait_hits *hits)
{
    for (size_t i = 0; i < hits->count; i++) {
        const struct peri_wait_hit *hit = &hits->items[i];
        struct live *live = live_find(p, hit->run);
        struct peri_value *value = NULL;
        if (live && event_value(p, hit->seq, &value, NULL) == PERI_OK)
            post_event(live, hit->n, value);
        else if (live)
            live_reread(live);
        else if (resume_push(p, hit->run, RESUME_HEARD) != PERI_OK)
            timer_due(p, PIPE_RETRY_MS, DUE_WAKE, hit->run, (uint64_t)RESUME_HEARD);
    }
}

static void resume(struct live *live, const struct resume_item *item)
{
    struct peri_run *run = live->run;
    live_take_hits(live);
    if (item->wake_ms == RESUME_WALL)
        ask_again(live);
    if (item->wake_ms == RESUME_LATE) /* shortens what it waits for */
        live_input(live, PERI_INPUT_RESTARTED, PERI_TRACK_ALL);
    if (item->wake_ms != 0 && item->wake_ms <= RESUME_LATE)
        return;
    if (item->wake_ms != 0) {
        live_post(live, &(struct live_message){.kind = PERI_INPUT_TIMER, .due_ms = item->wake_ms});
    } else if (run->state != PERI_RUN_QUEUED) { /* of queued ones their lane takes care */
        live->armed_ms = 0;
        if (run->state == PERI_RUN_READY || run->state == PERI_RUN_RUNNING) {
            open_params(live->p, run);
            live_input(live, PERI_INPUT_RESTARTED, PERI_TRACK_ALL);
        }
    }
}

void live_resume(struct live *live, const struct resume_item *item)
{
    live->leading = true; /* several things may have happened: they are taken in behind each other */
    resume(live, item);
    live->leading = false;
    live_lead(live);
}

void resume_pump(struct peri_pipeline *p)
{
    while (p->resume_head < p->resume_count && p->live_memory < PIPE_LIVES && !p->draining) {
        struct resume_item item = p->resume[p->resume_head++];
        resume_one(p, &item);
    }
}
