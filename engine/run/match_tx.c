/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "data/json.h"
#include "run/match_internal.h"
#include "run/verdict.h"

/* T2: for a batch of events in order of seq, and for each rule that hears one in order of priority, what the stored
 * state says: throttled, dropped, queued, or a run. The functions that have `tx` run on the store's thread and touch
 * only the batch; whatever they note there is begun anew by each try. */

/* --- on the store's thread --- */

enum peri_status match_tell(
    struct match_rule *mr, const char *word, uint64_t run, const char *at, const char *reason, struct peri_error *err)
{
    struct peri_value *verdict = peri_verdict_outcome(mr->verdict, word, run, at, reason);
    peri_value_unref(mr->told);
    mr->told = verdict;
    return verdict ? PERI_OK : peri_error_nomem(err);
}

char *match_wall(const struct match_tx *mt, int64_t steady_ms, char out[PERI_TIME_TEXT])
{
    return peri_time_format(mt->now_ms + (steady_ms - mt->steady_ms), out);
}

static enum peri_status insert_run(struct peri_tx *tx, const struct match_tx *mt, struct match_rule *mr,
    enum peri_run_state state, struct peri_error *err)
{
    const struct peri_rule *rule = mr->rule;
    struct peri_run_row row = {.rule = rule->id,
        .rhash = rule->hash,
        .event = mr->event->event->seq,
        .trigger = mr->fired->id,
        .state = state,
        .pos = mt->start.pos,
        .vars = mt->start.vars,
        .kprefix = mt->kprefix,
        .created_ms = mt->now_ms,
        .ckey = rule->flow.mode == PERI_MODE_NONE ? NULL : mr->key};
    enum peri_status st = peri_tx_ruleset_put(tx, rule->hash, rule->text, err);
    if (st == PERI_OK)
        st = peri_tx_run_insert(tx, &row, &mr->run, err);
    if (st == PERI_EEXIST) { /* made by an earlier try whose commit was reported as failed */
        mr->run = 0;
        mr->event->stored_before = true;
        return PERI_OK;
    }
    if (st == PERI_OK)
        mr->outcome = state == PERI_RUN_QUEUED ? MATCH_QUEUED : MATCH_STARTED;
    return st;
}

/* Its place in the lane; *ret_state is QUEUED or READY, DROPPED when there is none. */
static enum peri_status admit(struct peri_tx *tx, struct match_tx *mt, struct match_rule *mr,
    enum peri_run_state *ret_state, char *text, struct peri_error *err)
{
    struct peri_lane_decision decision;
    *ret_state = PERI_RUN_READY;
    text[0] = '\0';
    if (mr->rule->flow.mode == PERI_MODE_NONE)
        return PERI_OK;
    enum peri_status st = peri_lane_admit(tx, mr->rule, mr->key, &decision, &mt->stops, text, err);
    if (st == PERI_OK && decision.kind == PERI_LANE_QUEUE)
        *ret_state = PERI_RUN_QUEUED;
    else if (st == PERI_OK && decision.kind == PERI_LANE_DROP)
        *ret_state = PERI_RUN_DROPPED;
    return st;
}

/* The rule fired: may a run be made, and may it start? */
static enum peri_status fire(struct peri_tx *tx, struct match_tx *mt, struct match_rule *mr, struct peri_error *err)
{
    char text[PERI_LANE_TEXT];
    enum peri_run_state state = PERI_RUN_READY;
    size_t stops = mt->stops.count;
    bool stop = false;
    enum peri_status st = match_throttle(tx, mt, mr, &stop, err);
    if (st == PERI_OK && !stop)
        st = admit(tx, mt, mr, &state, text, err);
    if (st != PERI_OK || stop) {
        mr->outcome = MATCH_REFUSED;
        return st;
    }
    if (state == PERI_RUN_DROPPED) {
        mr->outcome = MATCH_REFUSED;
        return match_tell(mr, PERI_VERDICT_DROPPED, 0, "mode", text, err);
    }
    st = insert_run(tx, mt, mr, state, err);
    if (st == PERI_OK)
        st = match_throttle_fired(tx, mt, mr, err);
    for (size_t i = stops; i < mt->stops.count; i++)
        mt->stops.items[i].by = mr->run;
    if (st != PERI_OK)
        return st;
    const char *word = state == PERI_RUN_QUEUED ? PERI_VERDICT_QUEUED : PERI_VERDICT_FIRED;
    return match_tell(mr, word, mr->run, *text ? "mode" : NULL, *text ? text : NULL, err);
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
    const struct peri_value *verdict = mr->told ? mr->told : mr->verdict;
    if (!verdict && mr->text_len == 0)
        return;
    (void)peri_buf_putc(out, out->len > 0 ? ',' : '[');
    if (verdict && peri_json_write(out, verdict, PERI_JSON_COMPACT) != PERI_OK)
        return; /* the buffer remembers it */
    if (!verdict)
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
    struct peri_tx *tx, struct match_tx *mt, struct match_event *me, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    if (!me->dead && me->rule_count == 0)
        return event_done(tx, me, PERI_EVENT_MATCHED, err);
    for (size_t i = 0; st == PERI_OK && !me->dead && i < me->rule_count; i++) {
        struct match_rule *mr = &me->rules[i];
        mr->run = 0;
        mr->outcome = MATCH_NOTHING;
        peri_value_unref(mr->told);
        mr->told = NULL;
        if (mr->fired)
            st = fire(tx, mt, mr, err);
    }
    if (st == PERI_OK)
        st = write_verdicts(me, err);
    if (st == PERI_OK)
        st = event_done(tx, me, me->dead ? PERI_EVENT_DEAD : PERI_EVENT_MATCHED, err);
    return st;
}

/* The second try of a batch may find what the first has stored after all: nothing of an event is done twice. */
static enum peri_status stored_already(
    struct peri_tx *tx, struct match_tx *mt, struct match_event *me, bool *ret, struct peri_error *err)
{
    bool open = true;
    enum peri_status st = mt->tries > 1 ? peri_tx_event_open(tx, me->event->seq, &open, err) : PERI_OK;
    *ret = !open;
    if (!open) {
        me->stored_before = true;
        for (size_t i = 0; i < me->rule_count; i++)
            me->rules[i].outcome = MATCH_NOTHING;
    }
    return st;
}

static enum peri_status match_tx(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct match_tx *mt = arg;
    enum peri_status st = PERI_OK;
    mt->tries++;
    mt->stops.count = 0;
    mt->next_due = INT64_MAX;
    mt->evicted = 0;
    for (size_t i = 0; st == PERI_OK && i < mt->count; i++) {
        bool done = false;
        st = stored_already(tx, mt, mt->events[i], &done, err);
        if (st == PERI_OK && !done)
            st = finish_event(tx, mt, mt->events[i], err);
    }
    return st;
}

/* --- after the commit --- */

static void start_run(struct peri_pipeline *p, const struct match_tx *mt, struct match_rule *mr)
{
    struct match_event *me = mr->event;
    p->live_runs++;
    p->counts.runs_started++;
    peri_metric_add(p->metrics.started, 1);
    pipe_notify_run(
        p, mr->run, mr->rule->id, me->event->seq, mr->outcome == MATCH_QUEUED ? PERI_RUN_QUEUED : PERI_RUN_READY);
    if (mr->outcome == MATCH_QUEUED || peri_lane_stopped(&mt->stops, mr->run))
        return;
    struct peri_run *run = peri_run_create(mr->rule, p->kprefix, mt->now_ms);
    if (run) {
        run->id = mr->run;
        run->ckey = mr->rule->flow.mode == PERI_MODE_NONE ? NULL : peri_strdup(mr->key);
        run->event = peri_value_ref(me->payload);
        run->trigger = peri_value_ref(mr->trigger_value);
        run->run_value = peri_scope_run(mr->run, mr->rule, me->event->seq, mt->now_ms);
    }
    struct live *live = run ? live_add(p, run, me->event) : NULL;
    if (!live) { /* out of memory: once more, from the store */
        (void)resume_push(p, mr->run, 0);
        return;
    }
    live->behind = mr->behind;
    live_input(live, PERI_INPUT_GO);
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

static void count_verdict(struct peri_pipeline *p, const struct peri_value *verdict)
{
    int kind = peri_verdict_index(peri_map_text(verdict, "verdict"));
    p->counts.verdicts[kind]++;
    peri_metric_add(p->metrics.verdicts[kind], 1);
}

static void event_ended(struct peri_pipeline *p, const struct match_tx *mt, struct match_event *me)
{
    p->unmatched--;
    if (me->dead) {
        p->counts.dead++;
        peri_metric_add(p->metrics.dead, 1);
        p->counts.verdicts[peri_verdict_index(PERI_VERDICT_DEAD)]++;
        peri_metric_add(p->metrics.verdicts[peri_verdict_index(PERI_VERDICT_DEAD)], 1);
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
        count_verdict(p, mr->told ? mr->told : mr->verdict);
        if (mr->run && (mr->outcome == MATCH_STARTED || mr->outcome == MATCH_QUEUED))
            start_run(p, mt, mr);
    }
    if (me->stored_before)
        adopt_runs(p, me->event->seq);
    pipe_notify_event(p, me->event, me->dead ? "dead" : "matched");
}

static struct match_rule *rule_of_run(const struct match_tx *mt, uint64_t run)
{
    for (size_t e = 0; run && e < mt->count; e++)
        for (size_t r = 0; r < mt->events[e]->rule_count; r++)
            if (mt->events[e]->rules[r].run == run)
                return &mt->events[e]->rules[r];
    return NULL;
}

/* Whoever takes the place of a run whose call is still under way lets it end before a call of its own; also in place of
 * one that was made and stopped in this very batch. */
static void note_followers(struct match_tx *mt)
{
    for (size_t i = 0; i < mt->stops.count; i++) {
        const struct peri_lane_stop *stop = &mt->stops.items[i];
        struct match_rule *old = rule_of_run(mt, stop->run), *next = rule_of_run(mt, stop->by);
        uint64_t behind = live_stopped(mt->p, stop);
        if (!behind && old && old->behind)
            behind = live_pass_on(mt->p, old->behind, stop->by);
        if (next && behind)
            next->behind = behind;
    }
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
        note_followers(mt);
        watch_planned(p, mt->next_due);
        for (size_t i = 0; i < mt->count; i++)
            event_ended(p, mt, mt->events[i]);
        flow_sample(p);
        for (size_t i = 0; i < mt->count; i++)
            match_free(mt->events[i]);
    }
    free(mt->stops.items);
    free(mt->events);
    free(mt);
}

/* --- before it --- */

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
        struct match_event *me = match_at(p, n);
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

void match_commit(struct peri_pipeline *p)
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
        events[i] = match_at(p, i);
    *mt = (struct match_tx){.p = p,
        .start = p->start,
        .events = events,
        .count = count,
        .now_ms = pipe_now(p),
        .steady_ms = pipe_steady(p),
        .kprefix = p->kprefix};
    p->match_in_tx = count;
    if (pipe_commit(p, bytes, match_tx, match_tx_done, mt, true) != PERI_OK) {
        p->match_in_tx = 0;
        free(events);
        free(mt);
        timer_due(p, PIPE_RETRY_MS, DUE_EVALUATION, 0, 0);
    }
}
