/* SPDX-License-Identifier: Apache-2.0 */
#include "run/pipeline.h"

#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/str.h"
#include "lang/index.h"
#include "run/gate.h"
#include "run/slots.h"
#include "run/system.h"

/* One event, start to end, and where each part stands:
 *
 *   peri_pipeline_submit  ingest.c   checks, T1 (event rows); the sender's answer after it
 *   match_offer, _pump    match.c    which rules hear it; conditions (evaluate.c); T2 (verdicts and runs)
 *   live_add, live_input  exec.c     run.c says what follows; T3/T4 (state, step rows, emitted events); then the effect
 *   timer_due             timer.c    sleeping runs leave memory; one heap entry brings each back
 *   schedules_tick        schedules.c  occurrences enter at the top as events
 *
 * Whenever something ends, pipe_pump looks what has become possible. */

int64_t pipe_now(const struct peri_pipeline *p)
{
    return peri_clock_wall_ms(&p->options.clock);
}

int64_t pipe_mono_ms(const struct peri_pipeline *p)
{
    return peri_clock_mono(&p->options.clock).ns / 1000000;
}

int64_t pipe_steady(const struct peri_pipeline *p)
{
    return pipe_mono_ms(p) + p->steady_base;
}

/* xorshift: jitter needs spread, not secrecy. */
uint32_t pipe_random(struct peri_pipeline *p)
{
    uint32_t x = p->random;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    p->random = x;
    return x;
}

/* --- life --- */

void pipe_hold(struct peri_pipeline *p)
{
    p->refs++;
}

static void free_pipeline(struct peri_pipeline *p)
{
    pipe_rules_finish(p);
    peri_index_destroy(p->off);
    match_hear_finish(p);
    schedules_finish(p);
    system_finish(p);
    peri_due_heap_finish(&p->heap);
    peri_map_destroy(p->lives, NULL);
    flow_finish(p);
    gate_destroy(p->gate);
    slots_destroy(p->slots);
    peri_map_destroy(p->lines, NULL);
    peri_map_destroy(p->parked, NULL);
    free(p->window);
    free(p->resume);
    free(p->kprefix);
    free(p->start.pos);
    free(p->start.vars);
    free(p);
}

void pipe_release(struct peri_pipeline *p)
{
    if (--p->refs == 0)
        free_pipeline(p);
}

enum peri_status peri_pipeline_create(
    const struct peri_pipeline_options *options, struct peri_pipeline **ret, struct peri_error *err)
{
    struct peri_pipeline *p = calloc(1, sizeof(*p));
    if (!p)
        return peri_error_nomem(err);
    p->refs = 1;
    p->options = *options;
    if (p->options.max_event_bytes == 0)
        p->options.max_event_bytes = 64 * 1024;
    if (p->options.max_backlog == 0)
        p->options.max_backlog = 50000;
    if (p->options.max_live_runs == 0)
        p->options.max_live_runs = 100000;
    p->batch_limit = PIPE_MATCH_BATCH;
    p->timer_at = INT64_MAX;
    p->watch_next = INT64_MAX;
    clock_init(p);
    p->window = calloc(PIPE_WINDOW, sizeof(*p->window));
    p->lives = peri_map_create();
    p->lines = peri_map_create();
    p->parked = peri_map_create();
    p->rules_by_id = peri_map_create();
    p->rules_by_hash = peri_map_create();
    p->gate = gate_create(p);
    p->slots = slots_create(p);
    enum peri_status st = PERI_ENOMEM;
    if (!p->window || !p->lives || !p->lines || !p->parked || !p->rules_by_id || !p->rules_by_hash || !p->gate ||
        !p->slots)
        (void)peri_error_nomem(err);
    else
        st = peri_random(&p->random, sizeof(p->random));
    if (st == PERI_OK)
        st = options->reader ? PERI_OK : peri_store_reader(options->store, &p->reader, err);
    if (options->reader)
        p->reader = options->reader;
    if (st == PERI_OK)
        st = peri_reader_meta(p->reader, "instance", &p->kprefix, err);
    if (st == PERI_OK)
        st = flow_init(p, err);
    if (st != PERI_OK) {
        peri_pipeline_destroy(p);
        return st;
    }
    p->random |= 1;
    pipe_metrics_init(p);
    *ret = p;
    return PERI_OK;
}

void peri_pipeline_destroy(struct peri_pipeline *p)
{
    if (!p)
        return;
    p->dead = true;
    peri_timer_cancel(p->timer);
    p->timer = NULL;
    owners_finish(p);
    match_finish(p);
    exec_finish(p);
    pipe_evaluations_retry(p); /* frees those that wait */
    pipe_drop_failed(p);
    if (!p->options.reader)
        peri_reader_close(p->reader);
    p->reader = NULL;
    pipe_release(p);
}

enum peri_status peri_pipeline_start_ops(
    struct peri_pipeline *p, const struct peri_run_ops *ops, struct peri_error *err)
{
    p->ops = *ops;
    enum peri_status st = recover(p, err);
    if (st != PERI_OK)
        return st;
    p->started = true;
    owners_begin(p);
    edits_sweep(p);
    cancel_keys(p);
    lanes_sweep(p, NULL, NULL);
    system_started(p);
    watch_set(p);
    pipe_pump(p);
    return PERI_OK;
}

bool pipe_host_stops(struct peri_pipeline *p, enum peri_status st, const struct peri_error *error)
{
    if (st != PERI_ESTATE || !peri_streq(error->code, "stopping"))
        return false;
    p->draining = true;
    return true;
}

bool pipe_writable(const struct peri_pipeline *p)
{
    return peri_store_state(p->options.store, NULL) == PERI_STORE_GOOD;
}

void peri_pipeline_wake(struct peri_pipeline *p)
{
    p->failed_at = 0; /* transactions that waited for the store are tried at once */
    pipe_retry_failed(p);
    pipe_pump(p);
}

static bool idle(const struct peri_pipeline *p)
{
    return p->calls == 0 && p->committing == 0 && p->submitting == 0 && match_idle(p);
}

bool peri_pipeline_is_quiet(const struct peri_pipeline *p)
{
    return idle(p) && p->unmatched == 0 && p->live_memory == 0 && p->evaluating == 0;
}

void peri_pipeline_drain(struct peri_pipeline *p, void (*done)(void *arg), void *arg)
{
    if (p->started && pipe_writable(p))
        clock_tick(p); /* what the next start has to know */
    p->draining = true;
    p->drained = done;
    p->drained_arg = arg;
    pipe_pump(p);
}

static void check_drained(struct peri_pipeline *p)
{
    void (*done)(void *arg) = p->drained;
    if (!p->draining || !done || !idle(p))
        return;
    p->drained = NULL;
    done(p->drained_arg);
}

void pipe_pump(struct peri_pipeline *p)
{
    if (p->dead)
        return;
    pipe_hold(p);
    if (p->started && !p->draining)
        caution_pump(p);
    if (p->started && !p->draining && p->caution.left == 0 && pipe_writable(p)) {
        exec_release_held(p);
        resume_pump(p);
    }
    if (p->started)
        match_pump(p);
    if (p->started && !p->draining && !p->dead)
        watch_pump(p);
    if (!p->dead) {
        pipe_metrics_update(p);
        timer_arm(p);
        check_drained(p);
    }
    pipe_release(p);
}

static void pump_now(void *arg)
{
    struct peri_pipeline *p = arg;
    p->pump_waits = false;
    pipe_pump(p);
    pipe_release(p);
}

void pipe_pump_later(struct peri_pipeline *p)
{
    if (p->held_first && p->calls < PIPE_CALLS) { /* whose turn it is does not wait for others to take the room */
        pipe_pump(p);
        return;
    }
    if (p->pump_waits)
        return;
    p->pump_waits = true;
    pipe_hold(p);
    peri_loop_later(p->options.loop, &p->pump, pump_now, p);
}

/* --- transactions --- */

struct pipe_op {
    struct peri_pipeline *p;
    size_t bytes;
    peri_store_fn fn;
    peri_store_done done;
    void *arg;
    bool stubborn, repeatable;
    struct pipe_op *next;
};

bool pipe_store_trouble(enum peri_status st)
{
    return st == PERI_EBUSY || st == PERI_EIO || st == PERI_EFULL || st == PERI_ENOMEM || st == PERI_ECORRUPT;
}

static void fail_op(struct peri_pipeline *p, struct pipe_op *op, enum peri_status st, const struct peri_error *err)
{
    op->next = NULL;
    if (p->failed_last)
        p->failed_last->next = op;
    else
        p->failed_first = op;
    p->failed_last = op;
    p->failed_at = pipe_mono_ms(p) + (st == PERI_EBUSY ? PIPE_BUSY_MS : PIPE_RETRY_MS);
    peri_metric_add(p->metrics.store_retries, 1);
    if (st != p->failed_status && st != PERI_EBUSY)
        peri_err(p->options.log, "run", "the store failed (%s): %s; the same is tried again each second",
            peri_status_name(st), err ? err->message : "");
    p->failed_status = st;
    timer_arm(p);
}

static void finish_op(struct pipe_op *op, enum peri_status st, const struct peri_error *err)
{
    struct peri_pipeline *p = op->p;
    op->done(op->arg, st, err);
    free(op);
    if (!p->dead && p->options.worked)
        p->options.worked(p->options.worked_ctx);
    if (!p->dead)
        pipe_pump_later(p);
    pipe_release(p);
}

static enum peri_status op_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct pipe_op *op = arg;
    return op->fn(tx, op->arg, err);
}

static void op_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct pipe_op *op = arg;
    if (op->stubborn && pipe_store_trouble(st) && !op->p->dead) {
        fail_op(op->p, op, st, err);
        return;
    }
    if (st == PERI_OK)
        op->p->failed_status = PERI_OK;
    finish_op(op, st, err);
}

static enum peri_status submit_op(struct peri_pipeline *p, struct pipe_op *op)
{
    if (op->repeatable)
        return peri_store_submit_repeatable(p->options.store, op->bytes, op_fn, op_done, op);
    return peri_store_submit(p->options.store, op->bytes, op_fn, op_done, op);
}

/* take op; NULL: memory is out */
static enum peri_status commit(struct pipe_op *op)
{
    if (!op)
        return PERI_ENOMEM;
    struct peri_pipeline *p = op->p;
    bool stubborn = op->stubborn;
    pipe_hold(p);
    enum peri_status st = submit_op(p, op);
    if (st == PERI_OK)
        return PERI_OK;
    if (stubborn && pipe_store_trouble(st)) {
        fail_op(p, op, st, NULL);
        return PERI_OK;
    }
    free(op);
    pipe_release(p); /* the caller has a reference of its own */
    return st;
}

static struct pipe_op *new_op(const struct pipe_op *values)
{
    struct pipe_op *op = malloc(sizeof(*op));
    if (op)
        *op = *values;
    return op;
}

enum peri_status pipe_commit(
    struct peri_pipeline *p, size_t bytes, peri_store_fn fn, peri_store_done done, void *arg, bool stubborn)
{
    return commit(
        new_op(&(struct pipe_op){.p = p, .bytes = bytes, .fn = fn, .done = done, .arg = arg, .stubborn = stubborn}));
}

enum peri_status pipe_commit_repeatable(
    struct peri_pipeline *p, size_t bytes, peri_store_fn fn, peri_store_done done, void *arg, bool stubborn)
{
    return commit(new_op(&(struct pipe_op){
        .p = p, .bytes = bytes, .fn = fn, .done = done, .arg = arg, .stubborn = stubborn, .repeatable = true}));
}

void pipe_retry_failed(struct peri_pipeline *p)
{
    if (!p->failed_first || pipe_mono_ms(p) < p->failed_at)
        return;
    struct pipe_op *op = p->failed_first;
    p->failed_first = p->failed_last = NULL;
    while (op) {
        struct pipe_op *next = op->next;
        enum peri_status st = submit_op(p, op);
        if (st != PERI_OK && pipe_store_trouble(st))
            fail_op(p, op, st, NULL);
        else if (st != PERI_OK)
            finish_op(op, st, NULL);
        op = next;
    }
}

void pipe_drop_failed(struct peri_pipeline *p)
{
    while (p->failed_first) {
        struct pipe_op *op = p->failed_first;
        p->failed_first = op->next;
        finish_op(op, PERI_ESTATE, NULL);
    }
    p->failed_last = NULL;
}

/* --- what others see --- */

void peri_pipeline_on_change(struct peri_pipeline *p, peri_notify fn, void *ctx)
{
    p->notify = fn;
    p->notify_ctx = ctx;
}

void pipe_saw(struct peri_pipeline *p, const struct peri_event *event)
{
    if (p->options.seen)
        p->options.seen(p->options.seen_ctx, event);
}

void pipe_notify(struct peri_pipeline *p, const char *kind, struct peri_value *value)
{
    if (p->notify && value)
        p->notify(p->notify_ctx, kind, value);
    peri_value_unref(value);
}

void pipe_notify_run(struct peri_pipeline *p, uint64_t id, const char *rule, uint64_t event, enum peri_run_state state)
{
    char text[PERI_ID_TEXT];
    if (!p->notify)
        return;
    struct peri_value *map = peri_value_map();
    if (!map)
        return;
    bool bad = peri_map_put_text(map, "id", peri_run_id(id, text)) != PERI_OK;
    bad = bad || peri_map_put_text(map, "rule", rule) != PERI_OK;
    bad = bad || peri_map_put_text(map, "event", peri_event_id(event, text)) != PERI_OK;
    bad = bad || peri_map_put_text(map, "state", peri_run_state_name(state)) != PERI_OK;
    if (bad)
        peri_value_unref(map);
    else
        pipe_notify(p, "run", map);
}

void pipe_notify_event(struct peri_pipeline *p, const struct peri_event *event, const char *state)
{
    struct peri_value *map = NULL;
    if (!p->notify || peri_event_value(event, &map, NULL) != PERI_OK)
        return;
    if (peri_map_put_text(map, "state", state) != PERI_OK)
        peri_value_unref(map);
    else
        pipe_notify(p, "event", map);
}

static struct peri_value *schedule_value(const struct schedule_item *item)
{
    struct peri_value *map = peri_value_map();
    bool bad = !map || peri_map_put_text(map, "id", item->id) != PERI_OK;
    if (!bad && item->next_ms != INT64_MAX)
        bad = peri_map_put_time(map, "next", item->next_ms) != PERI_OK;
    if (!bad && item->last_ms)
        bad = peri_map_put_time(map, "last", item->last_ms) != PERI_OK;
    if (bad) {
        peri_value_unref(map);
        return NULL;
    }
    return map;
}

enum peri_status peri_pipeline_status(struct peri_pipeline *p, struct peri_value **ret)
{
    const struct {
        const char *name;
        int64_t n;
    } numbers[] = {{"unmatched", p->unmatched}, {"live_runs", p->live_runs}, {"in_flight", (int64_t)p->calls},
        {"in_memory", (int64_t)p->live_memory}, {"evaluating", (int64_t)p->evaluating},
        {"conditions_waiting", (int64_t)p->waiting}, {"accepted", p->counts.accepted},
        {"duplicate", p->counts.duplicate}, {"matched", p->counts.matched}, {"unheard", p->counts.unheard},
        {"dead", p->counts.dead}, {"orphans", p->counts.orphans}, {"runs_started", p->counts.runs_started},
        {"runs_succeeded", p->counts.runs_ended[0]}, {"runs_failed", p->counts.runs_ended[1]},
        {"runs_cancelled", p->counts.runs_ended[2]}, {"steps", p->counts.steps}, {"rules", (int64_t)p->rule_count}};
    struct peri_value *map = peri_value_map(), *list = peri_value_list();
    bool bad = !map || !list;
    for (size_t i = 0; !bad && i < sizeof(numbers) / sizeof(numbers[0]); i++)
        bad = peri_map_put_int(map, numbers[i].name, numbers[i].n) != PERI_OK;
    const struct peri_due *due = peri_due_heap_top(&p->heap);
    if (!bad && due)
        bad = peri_map_put_time(map, "next_wake", pipe_now(p) + due->at - pipe_mono_ms(p)) != PERI_OK;
    for (size_t i = 0; !bad && i < p->schedule_count; i++)
        bad = peri_list_push(list, schedule_value(&p->schedules[i])) != PERI_OK;
    struct peri_value *start = NULL;
    bad = bad || start_value(p, &start) != PERI_OK || peri_map_put_ref(map, "start", start) != PERI_OK;
    peri_value_unref(start);
    bad = bad || peri_map_put_bool(map, "draining", p->draining) != PERI_OK;
    bad = bad || peri_map_put_ref(map, "schedules", list) != PERI_OK;
    bad = bad || peri_map_put(map, "circuits", gate_circuits(p->gate)) != PERI_OK;
    bad = bad || peri_map_put(map, "crowded", slots_value(p->slots)) != PERI_OK;
    peri_value_unref(list);
    if (bad) {
        peri_value_unref(map);
        return PERI_ENOMEM;
    }
    *ret = map;
    return PERI_OK;
}
