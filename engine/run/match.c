/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "data/json.h"
#include "io/store_runs.h"
#include "run/match_internal.h"
#include "run/scope.h"
#include "run/verdict.h"

/* From the journal to runs. Events wait in a window in order of seq; up to PIPE_EVALUATING of them are evaluated at the
 * same time, and whatever is complete at the front of the window becomes one T2 transaction: verdicts, runs, event
 * state. One T2 is under way at a time, so that the batches grow with the load. When more events come in than the
 * window holds, they stay in the journal and are read back once there is room. An event that many rules hear has as many
 * verdicts, so what is begun is bounded by (event, rule) pairs too. */

#define MATCH_TEXT_MAX (32 << 20) /* bytes of an event's verdicts of patterns that do not match */

/* --- the window --- */

static struct match_event *window_at(const struct peri_pipeline *p, size_t i)
{
    return p->window[(p->window_head + i) % PIPE_WINDOW];
}

static bool window_push(struct peri_pipeline *p, struct peri_event *event)
{
    if (p->window_count == PIPE_WINDOW)
        return false;
    struct match_event *me = calloc(1, sizeof(*me));
    if (!me)
        return false;
    me->p = p;
    me->event = peri_event_ref(event);
    peri_buf_init(&me->texts, MATCH_TEXT_MAX);
    p->window[(p->window_head + p->window_count++) % PIPE_WINDOW] = me;
    p->taken_seq = event->seq;
    return true;
}

void match_offer(struct peri_pipeline *p, struct peri_event *event)
{
    if (event->seq <= p->taken_seq) /* was read from the journal in the meantime */
        return;
    if (!p->started || p->behind || !window_push(p, event))
        p->behind = true;
}

static enum peri_status refill_one(void *arg, struct peri_event *event)
{
    struct peri_pipeline *p = arg;
    return window_push(p, event) ? PERI_OK : PERI_ENOMEM;
}

static void refill(struct peri_pipeline *p)
{
    struct peri_error err = {0};
    size_t room = PIPE_WINDOW - p->window_count, before = p->window_count;
    if (!p->behind || room < PIPE_WINDOW / 2)
        return;
    if (peri_reader_unmatched(p->reader, p->taken_seq, room, refill_one, p, &err) != PERI_OK) {
        peri_err(p->options.log, "match", "reading unmatched events: %s", err.message);
        timer_due(p, PIPE_RETRY_MS, DUE_EVALUATION, 0, 0);
        return;
    }
    p->behind = p->window_count - before == room;
}

bool match_idle(const struct peri_pipeline *p)
{
    return p->evaluating == 0 && p->match_in_tx == 0;
}

void match_finish(struct peri_pipeline *p)
{
    /* The events of a T2 under way are at the front; it frees them when it ends. */
    for (size_t i = p->match_in_tx; i < p->window_count; i++)
        match_free(window_at(p, i));
    p->window_count = 0;
    p->window_begun = 0;
}

/* --- T2 --- */

struct match_tx {
    struct peri_pipeline *p;
    struct pipe_start start;
    struct match_event **events;
    size_t count;
    int64_t now_ms;
    const char *kprefix;
};

static enum peri_status insert_run(
    struct peri_tx *tx, const struct match_tx *mt, struct match_rule *mr, struct peri_error *err)
{
    struct peri_run_row row = {.rule = mr->rule->id,
        .rhash = mr->rule->hash,
        .event = mr->event->event->seq,
        .trigger = mr->fired->id,
        .state = PERI_RUN_READY,
        .pos = mt->start.pos,
        .vars = mt->start.vars,
        .kprefix = mt->kprefix,
        .created_ms = mt->now_ms};
    char id[PERI_ID_TEXT];
    enum peri_status st = peri_tx_ruleset_put(tx, mr->rule->hash, mr->rule->text, err);
    if (st != PERI_OK)
        return st;
    mr->run = 0;
    st = peri_tx_run_insert(tx, &row, &mr->run, err);
    if (st == PERI_EEXIST) { /* made by an earlier try whose commit was reported as failed */
        mr->run = 0;
        mr->event->stored_before = true;
        return PERI_OK;
    }
    if (st != PERI_OK)
        return st;
    return peri_map_put_text(mr->verdict, "run", peri_run_id(mr->run, id));
}

/* An event that is not journaled any more was ended by an earlier try whose commit was reported as failed. */
static enum peri_status event_done(
    struct peri_tx *tx, const struct match_event *me, enum peri_event_state state, struct peri_error *err)
{
    enum peri_status st = peri_tx_event_done(tx, me->event->seq, state, me->verdicts, err);
    return st == PERI_ESTATE ? PERI_OK : st;
}

static void write_verdict(struct peri_buf *out, const struct match_event *me, const struct match_rule *mr)
{
    if (!mr->verdict && mr->text_len == 0)
        return;
    (void)peri_buf_putc(out, out->len > 0 ? ',' : '[');
    if (mr->verdict && peri_json_write(out, mr->verdict, PERI_JSON_COMPACT) != PERI_OK)
        return; /* the buffer remembers it */
    if (!mr->verdict)
        (void)peri_buf_append(out, me->texts.data + mr->text_at, mr->text_len);
}

/* The list of all verdicts as JSON. */
static enum peri_status write_verdicts(struct match_event *me, struct peri_error *err)
{
    struct peri_buf out;
    struct peri_value *dead = me->dead ? peri_verdict_dead(me->dead) : NULL;
    peri_buf_init(&out, 2 * MATCH_TEXT_MAX);
    if (me->dead)
        write_verdict(&out, me, &(struct match_rule){.verdict = dead});
    for (size_t i = 0; !me->dead && i < me->rule_count; i++)
        write_verdict(&out, me, &me->rules[i]);
    (void)peri_buf_puts(&out, out.len > 0 ? "]" : "[]");
    free(me->verdicts);
    me->verdicts = out.failed ? NULL : peri_buf_take(&out, NULL);
    enum peri_status st = out.failed;
    peri_buf_finish(&out);
    peri_value_unref(dead);
    if (st == PERI_ELIMIT)
        return peri_error_set(err, st, NULL, "the verdicts of one event are larger than %d MiB", MATCH_TEXT_MAX >> 19);
    return me->verdicts && (dead || !me->dead) ? PERI_OK : peri_error_nomem(err);
}

static enum peri_status finish_event(
    struct peri_tx *tx, const struct match_tx *mt, struct match_event *me, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    if (!me->dead && me->rule_count == 0)
        return event_done(tx, me, PERI_EVENT_MATCHED, err);
    for (size_t i = 0; st == PERI_OK && !me->dead && i < me->rule_count; i++)
        if (me->rules[i].fired)
            st = insert_run(tx, mt, &me->rules[i], err);
    if (st == PERI_OK)
        st = write_verdicts(me, err);
    if (st == PERI_OK)
        st = event_done(tx, me, me->dead ? PERI_EVENT_DEAD : PERI_EVENT_MATCHED, err);
    return st;
}

static enum peri_status match_tx(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct match_tx *mt = arg;
    enum peri_status st = PERI_OK;
    for (size_t i = 0; st == PERI_OK && i < mt->count; i++)
        st = finish_event(tx, mt, mt->events[i], err);
    return st;
}

static void start_run(struct peri_pipeline *p, struct match_rule *mr, int64_t now_ms)
{
    struct match_event *me = mr->event;
    struct peri_run *run = peri_run_create(mr->rule, p->kprefix, now_ms);
    p->live_runs++;
    p->counts.runs_started++;
    peri_metric_add(p->metrics.started, 1);
    pipe_notify_run(p, mr->run, mr->rule->id, me->event->seq, PERI_RUN_READY);
    if (run) {
        run->id = mr->run;
        run->event = peri_value_ref(me->payload);
        run->trigger = peri_value_ref(mr->trigger_value);
        run->run_value = peri_scope_run(mr->run, mr->rule, me->event->seq, now_ms);
    }
    struct live *live = run ? live_add(p, run, me->event) : NULL;
    if (live)
        live_input(live, PERI_INPUT_GO);
    else
        (void)resume_push(p, mr->run, 0); /* out of memory: once more, from the store */
}

/* Runs that were made without our hearing of it. */
static void adopt_runs(struct peri_pipeline *p, uint64_t seq)
{
    struct peri_run_filter filter = {.event = seq, .state = "live", .limit = 1000};
    struct peri_value *list = NULL;
    struct peri_error err = {0};
    if (peri_reader_runs(p->reader, &filter, &list, &err) != PERI_OK)
        peri_err(p->options.log, "match", "ev-%llu: its runs could not be read, they wait for the next start: %s",
            (unsigned long long)seq, err.message);
    for (size_t i = 0; i < peri_value_count(list); i++) {
        const char *text = peri_map_text(peri_list_at(list, i), "id");
        uint64_t id;
        if (!text || !peri_run_id_parse(text, &id) || live_find(p, id))
            continue;
        p->live_runs++;
        (void)resume_push(p, id, 0);
    }
    peri_value_unref(list);
}

static void event_ended(struct peri_pipeline *p, struct match_event *me, int64_t now_ms)
{
    p->unmatched--;
    if (me->dead) {
        p->counts.dead++;
        p->counts.verdicts[3]++;
        peri_metric_add(p->metrics.dead, 1);
        peri_metric_add(p->metrics.verdicts[3], 1);
    } else {
        p->counts.matched++;
        peri_metric_add(p->metrics.matched, 1);
    }
    if (!me->dead && me->rule_count == 0) {
        p->counts.unheard++;
        peri_metric_add(p->metrics.unheard, 1);
    }
    for (size_t i = 0; !me->dead && i < me->rule_count; i++) {
        struct match_rule *mr = &me->rules[i];
        int kind = pipe_verdict_index(peri_map_text(mr->verdict, "verdict"));
        p->counts.verdicts[kind]++;
        peri_metric_add(p->metrics.verdicts[kind], 1);
        if (mr->fired && mr->run)
            start_run(p, mr, now_ms);
    }
    if (me->stored_before)
        adopt_runs(p, me->event->seq);
    pipe_notify_event(p, me->event, me->dead ? "dead" : "matched");
}

int pipe_verdict_index(const char *word)
{
    if (peri_streq(word, PERI_VERDICT_FIRED))
        return 0;
    return peri_streq(word, PERI_VERDICT_ERROR) ? 2 : 1;
}

/* A batch that the store refuses for a reason of its own is tried again event by event; the one that is refused alone
 * is set aside, so that it holds up nobody. */
static void batch_refused(
    struct peri_pipeline *p, struct match_tx *mt, enum peri_status st, const struct peri_error *err)
{
    const char *text = err ? err->message : peri_status_name(st);
    if (mt->count > 1) {
        p->batch_limit = 1;
        return;
    }
    struct match_event *me = mt->events[0];
    peri_err(
        p->options.log, "match", "ev-%llu cannot be stored as matched: %s", (unsigned long long)me->event->seq, text);
    if (!me->dead) {
        me->dead = "its verdicts or runs could not be stored";
        return;
    }
    p->window_head =
        (p->window_head + 1) % PIPE_WINDOW; /* not even that: it stays in the journal until the next start */
    p->window_count--;
    p->window_begun--;
    match_free(me);
}

static void match_tx_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct match_tx *mt = arg;
    struct peri_pipeline *p = mt->p;
    p->match_in_tx = 0;
    if (p->dead) {
        for (size_t i = 0; i < mt->count; i++)
            match_free(mt->events[i]);
    } else if (st != PERI_OK) {
        batch_refused(p, mt, st, err);
    } else {
        p->window_head = (p->window_head + mt->count) % PIPE_WINDOW;
        p->window_count -= mt->count;
        p->window_begun -= mt->count;
        p->batch_limit = PIPE_MATCH_BATCH;
        for (size_t i = 0; i < mt->count; i++) {
            event_ended(p, mt->events[i], mt->now_ms);
            match_free(mt->events[i]);
        }
    }
    free(mt->events);
    free(mt);
}

/* Position and variables of a run that has not begun: the same for all, so they are written once. */
static bool prepare_start(struct peri_pipeline *p, const struct match_rule *mr)
{
    char *error = NULL;
    if (p->start.pos)
        return true;
    struct peri_run *run = peri_run_create(mr->rule, p->kprefix, 0);
    bool ok = run && peri_run_write(run, &p->start.pos, &p->start.vars, &error) == PERI_OK;
    free(error);
    peri_run_destroy(run);
    return ok;
}

static size_t complete_prefix(struct peri_pipeline *p, size_t *ret_bytes)
{
    size_t n = 0;
    *ret_bytes = 0;
    while (n < p->window_begun && n < p->batch_limit) {
        struct match_event *me = window_at(p, n);
        bool ok = me->undecided == 0;
        for (size_t i = 0; ok && i < me->rule_count; i++) {
            if (me->rules[i].fired)
                ok = prepare_start(p, &me->rules[i]);
            *ret_bytes += 512;
        }
        if (!ok)
            break;
        *ret_bytes += 128;
        n++;
    }
    return n;
}

static void commit_prefix(struct peri_pipeline *p)
{
    size_t bytes, count = p->match_in_tx ? 0 : complete_prefix(p, &bytes);
    if (count == 0)
        return;
    struct match_tx *mt = calloc(1, sizeof(*mt));
    struct match_event **events = calloc(count, sizeof(*events));
    if (!mt || !events) {
        free(mt);
        free(events);
        timer_due(p, PIPE_RETRY_MS, DUE_EVALUATION, 0, 0);
        return;
    }
    for (size_t i = 0; i < count; i++)
        events[i] = window_at(p, i);
    *mt = (struct match_tx){
        .p = p, .start = p->start, .events = events, .count = count, .now_ms = pipe_now(p), .kprefix = p->kprefix};
    p->match_in_tx = count;
    if (pipe_commit(p, bytes, match_tx, match_tx_done, mt, true) != PERI_OK) {
        p->match_in_tx = 0;
        free(events);
        free(mt);
        timer_due(p, PIPE_RETRY_MS, DUE_EVALUATION, 0, 0);
    }
}

static bool may_begin(const struct peri_pipeline *p)
{
    return !p->draining && pipe_writable(p) && p->window_begun < p->window_count && p->evaluating < PIPE_EVALUATING &&
           p->pairs < PIPE_PAIRS && p->live_memory < PIPE_LIVES && p->live_runs < PIPE_LIVE_RUNS;
}

void match_pump(struct peri_pipeline *p)
{
    refill(p);
    while (may_begin(p)) {
        struct match_event *me = window_at(p, p->window_begun++);
        match_begin(p, me);
    }
    commit_prefix(p);
}
