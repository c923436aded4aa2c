/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/str.h"
#include "data/json.h"
#include "run/exec_internal.h"
#include "run/ledger.h"
#include "run/match_internal.h"
#include "run/verdict.h"

/* T2, on the store's thread: for a batch of events in order of seq, and for each of their pairs that is to be stored in
 * order of priority, what the stored state says: throttled, dropped, queued, or a run. It touches only what the batch
 * holds, and of an event only what its item names: the other pairs go on meanwhile. Whatever is noted there is begun
 * anew by each try. */

#define NAMED_AHEAD 4096 /* of so many more events it is not said again what they heard */

enum peri_status match_tell(
    struct match_rule *mr, const char *word, uint64_t run, const char *at, const char *reason, struct peri_error *err)
{
    struct peri_value *fired = mr->verdict ? peri_value_ref(mr->verdict) : peri_verdict_fired(mr->rule, mr->fired);
    struct peri_value *verdict = fired ? peri_verdict_outcome(fired, word, run, at, reason) : NULL;
    peri_value_unref(fired);
    peri_value_unref(mr->told);
    mr->told = verdict;
    return verdict ? PERI_OK : peri_error_nomem(err);
}

char *match_wall(const struct match_tx *mt, int64_t steady_ms, char out[PERI_TIME_TEXT])
{
    return peri_time_format(mt->now_ms + (steady_ms - mt->steady_ms), out);
}

/* The rows of the steps of a run that has ended already. */
static enum peri_status put_steps(struct peri_tx *tx, const struct match_rule *mr, struct peri_error *err)
{
    const struct peri_run_effects *effects = &mr->ahead->effects;
    enum peri_status st = PERI_OK;
    for (size_t i = 0; st == PERI_OK && i < effects->record_count; i++)
        st = exec_put_record(tx, mr->run, &effects->records[i], err);
    PERI_FAILPOINT("t2.ended");
    return st;
}

static enum peri_status insert_run(struct peri_tx *tx, const struct match_tx *mt, struct match_rule *mr,
    enum peri_run_state state, struct peri_error *err)
{
    const struct peri_rule *rule = mr->rule;
    const struct match_ahead *ahead = state == PERI_RUN_READY ? mr->ahead : NULL;
    struct peri_flow flow;
    struct peri_run_row row = {.rule = rule->id,
        .rhash = rule->hash,
        .event = mr->event->event->seq,
        .trigger = mr->fired->id,
        .state = ahead ? PERI_RUN_SUCCEEDED : state,
        .pos = ahead ? PERI_RUN_OVER : mt->start.pos,
        .vars = ahead ? ahead->vars : mt->start.vars,
        .kprefix = mt->kprefix,
        .created_ms = mt->now_ms,
        .ended_ms = ahead ? ahead->ended_ms : 0,
        .ckey = peri_lane_of(rule, mr->fired, mr->key, &flow),
        .change = (int)rule->flow.on_change};
    enum peri_status st = peri_tx_ruleset_put(tx, rule->hash, rule->text, rule->id, err);
    if (st == PERI_OK)
        st = peri_tx_run_insert(tx, &row, &mr->run, err);
    if (st == PERI_EEXIST) { /* made by an earlier try whose commit was reported as failed */
        mr->run = 0;
        mr->event->stored_before = true;
        return PERI_OK;
    }
    if (st == PERI_OK)
        mr->outcome = ahead ? MATCH_ENDED : state == PERI_RUN_QUEUED ? MATCH_QUEUED : MATCH_STARTED;
    return st == PERI_OK && ahead ? put_steps(tx, mr, err) : st;
}

/* Its place in the lane; *ret_state is QUEUED or READY, DROPPED when there is none. */
static enum peri_status admit(struct peri_tx *tx, struct match_tx *mt, struct match_rule *mr,
    enum peri_run_state *ret_state, char *text, struct peri_error *err)
{
    struct peri_lane_decision decision;
    *ret_state = PERI_RUN_READY;
    text[0] = '\0';
    struct peri_flow flow;
    const char *lane = peri_lane_of(mr->rule, mr->fired, mr->key, &flow);
    if (!lane)
        return PERI_OK;
    enum peri_status st = peri_lane_admit(tx, mr->rule, &flow, lane, &decision, &mt->stops, text, err);
    if (st == PERI_OK && decision.kind == PERI_LANE_QUEUE)
        *ret_state = PERI_RUN_QUEUED;
    else if (st == PERI_OK && decision.kind == PERI_LANE_DROP)
        *ret_state = PERI_RUN_DROPPED;
    mr->above_max = *ret_state == PERI_RUN_DROPPED && decision.above_max;
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
    if (st == PERI_OK && mr->run && mr->rule->flow.cancel_count > 0)
        st = match_cancelled_since(tx, mt, mr, err);
    if (st != PERI_OK)
        return st;
    if (state != PERI_RUN_QUEUED && !*text && !mr->verdict) { /* that it fired, and what its run is */
        peri_value_unref(mr->told);
        mr->told = NULL;
        return PERI_OK;
    }
    const char *word = state == PERI_RUN_QUEUED ? PERI_VERDICT_QUEUED : PERI_VERDICT_FIRED;
    return match_tell(mr, word, mr->run, *text ? "mode" : NULL, *text ? text : NULL, err);
}

/* An event that is not journaled any more was ended by an earlier try whose commit was reported as failed. */
static enum peri_status event_done(struct peri_tx *tx, const struct match_item *item, enum peri_event_state state,
    const char *verdicts, struct peri_error *err)
{
    const struct peri_event *event = item->event->event;
    if (item->event->at_once)
        return peri_tx_verdicts_put(tx, event->seq, verdicts, err);
    enum peri_status st = peri_tx_event_done_of(tx, event->seq, event->source, state, verdicts, err);
    return st == PERI_ESTATE ? PERI_OK : st;
}

static void write_verdict(struct peri_buf *out, const struct match_event *me, const struct match_rule *mr)
{
    const struct peri_value *verdict = mr->told ? mr->told : mr->verdict;
    if (!verdict && mr->text_len == 0 && !mr->fired && !mr->no)
        return;
    if (out->len > 1)
        (void)peri_buf_putc(out, ',');
    if (verdict) /* the buffer remembers what fails */
        (void)!peri_json_write(out, verdict, PERI_JSON_COMPACT);
    else if (mr->fired)
        (void)!peri_verdict_write_fired(out, mr->rule, mr->fired, mr->run);
    else if (mr->no)
        peri_buf_puts(out, mr->no);
    else
        (void)peri_buf_append(out, me->texts.data + mr->text_at, mr->text_len);
}

/* Of those that do not match: how many, and who heard it. */
static void write_unmatched(struct peri_buf *out, const struct match_event *me)
{
    if (out->len > 1)
        (void)peri_buf_putc(out, ',');
    peri_buf_puts(out, "{\"unmatched\":");
    (void)peri_buf_put_uint(out, me->unmatched);
    peri_buf_puts(out, ",\"heard\":\"");
    peri_buf_puts(out, me->hearing->hash);
    peri_buf_puts(out, "\"}");
}

/* The list of all verdicts as JSON. */
static enum peri_status write_verdicts(struct match_item *item, struct peri_error *err)
{
    struct peri_buf out;
    const struct match_event *me = item->event;
    struct peri_value *dead = me->dead ? peri_verdict_dead(me->dead) : NULL;
    peri_buf_init(&out, 2 * MATCH_TEXT_MAX);
    (void)peri_buf_putc(&out, '[');
    if (me->stored)
        peri_buf_puts(&out, me->stored);
    if (me->dead)
        write_verdict(&out, me, &(struct match_rule){.verdict = dead});
    for (size_t i = 0; i < item->count; i++)
        write_verdict(&out, me, item->pairs[i]);
    if (item->last && me->unmatched > 0)
        write_unmatched(&out, me);
    (void)peri_buf_putc(&out, ']');
    free(item->verdicts);
    item->verdicts = out.failed ? NULL : peri_buf_take(&out, NULL);
    enum peri_status st = out.failed;
    peri_buf_finish(&out);
    peri_value_unref(dead);
    if (st == PERI_ELIMIT)
        return peri_error_set(err, st, NULL, "the verdicts of one event are larger than %d MiB", MATCH_TEXT_MAX >> 19);
    return item->verdicts && (dead || !me->dead) ? PERI_OK : peri_error_nomem(err);
}

/* What it takes to tell later why the others did not match: which rules they were, and their texts. */
static enum peri_status put_hearing(struct peri_tx *tx, struct match_item *item, struct peri_error *err)
{
    const struct peri_hearing *h = item->event->hearing;
    uint64_t seq = item->event->event->seq;
    enum peri_status st = PERI_OK;
    item->names = 0;
    if (item->new_hearing || seq > item->named) {
        item->names = seq + NAMED_AHEAD;
        st = peri_tx_heard(tx, h->hash, item->names, err);
    }
    if (st == PERI_OK && item->new_hearing)
        st = peri_tx_ruleset_put(tx, h->hash, h->text, NULL, err);
    for (size_t i = 0; st == PERI_OK && item->new_hearing && i < h->count; i++)
        if (i == 0 || h->hits[i].rule != h->hits[i - 1].rule)
            st = peri_tx_ruleset_put(tx, h->hits[i].rule->hash, h->hits[i].rule->text, NULL, err);
    return st;
}

/* Memory was out when its verdict was to be made: it is made now, or the batch is tried again. */
static enum peri_status make_up(struct match_rule *mr, struct peri_error *err)
{
    if (mr->verdict || mr->text_len > 0 || mr->no || mr->told || mr->fired)
        return PERI_OK;
    mr->verdict = peri_verdict_error(mr->rule, mr->triggers[0], "match", "out of memory");
    return mr->verdict ? PERI_OK : peri_error_nomem(err);
}

void match_drop_found(struct match_tx *mt)
{
    for (size_t i = 0; i < mt->found_count; i++)
        peri_event_unref(mt->found[i]);
    mt->found_count = 0;
}

static enum peri_status finish_item(
    struct peri_tx *tx, struct match_tx *mt, struct match_item *item, struct peri_error *err)
{
    const struct match_event *me = item->event;
    enum peri_status st = PERI_OK;
    if (!mt->began)
        match_drop_found(mt); /* of a try that is not stored */
    mt->began = true;
    if (me->cancel_count > 0)
        st = match_cancels_store(tx, mt, me, err);
    if (st == PERI_OK && !me->dead && !me->heard)
        return event_done(tx, item, PERI_EVENT_MATCHED, NULL, err);
    for (size_t i = 0; st == PERI_OK && i < item->count; i++) {
        struct match_rule *mr = item->pairs[i];
        mr->run = 0;
        mr->outcome = MATCH_NOTHING;
        mr->above_max = false;
        peri_value_unref(mr->told);
        mr->told = NULL;
        for (size_t k = 0; st == PERI_OK && k < mr->heard_count; k++)
            st = watch_hear(tx, mt, mr, &mr->heard[k], err);
        if (st == PERI_OK)
            st = make_up(mr, err);
        if (st == PERI_OK && mr->fired)
            st = fire(tx, mt, mr, err);
    }
    if (st == PERI_OK && item->last && me->unmatched > 0)
        st = put_hearing(tx, item, err);
    if (st == PERI_OK)
        st = write_verdicts(item, err);
    if (st == PERI_OK)
        st = ledger_event(tx, item, err);
    if (st != PERI_OK)
        return st;
    if (!item->last)
        return peri_tx_event_partly(tx, me->event->seq, item->verdicts, err);
    return event_done(tx, item, me->dead ? PERI_EVENT_DEAD : PERI_EVENT_MATCHED, item->verdicts, err);
}

/* Do the verdicts so far name one of the item's rules? Then they name all of them. */
static bool names(const char *verdicts, const struct match_item *item)
{
    struct peri_value *list = NULL;
    bool found = false;
    if (!verdicts || item->count == 0 || peri_json_parse(verdicts, strlen(verdicts), &list, NULL) != PERI_OK)
        return false;
    for (size_t i = 0; !found && i < peri_value_count(list); i++)
        found = peri_streq(peri_map_text(peri_list_at(list, i), "rule"), item->pairs[0]->rule->id);
    peri_value_unref(list);
    return found;
}

/* The second try of a batch may find what the first has stored after all: nothing of an event is done twice. */
static enum peri_status stored_already(
    struct peri_tx *tx, struct match_tx *mt, struct match_item *item, bool *ret, struct peri_error *err)
{
    char *verdicts = NULL;
    bool open = true;
    *ret = false;
    if (mt->tries == 1)
        return PERI_OK;
    enum peri_status st = peri_tx_event_open(tx, item->event->event->seq, &open, &verdicts, err);
    *ret = st == PERI_OK && (!open || names(verdicts, item));
    if (*ret) {
        item->event->stored_before = true;
        for (size_t i = 0; i < item->count; i++)
            item->pairs[i]->outcome = MATCH_NOTHING;
    }
    if (*ret && open) { /* what is stored later comes after this */
        free(item->verdicts);
        item->verdicts = verdicts;
        verdicts = NULL;
    }
    free(verdicts);
    return st;
}

enum peri_status match_store(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct match_tx *mt = arg;
    enum peri_status st = PERI_OK;
    mt->tries++;
    peri_lane_stops_begin(&mt->stops);
    mt->promoted.count = 0;
    mt->next_due = INT64_MAX;
    mt->evicted = 0;
    mt->began = false;
    for (size_t i = 0; st == PERI_OK && i < mt->count; i++) {
        bool done = false;
        st = stored_already(tx, mt, &mt->items[i], &done, err);
        if (st == PERI_OK && !done)
            st = finish_item(tx, mt, &mt->items[i], err);
        PERI_FAILPOINT("t2.event");
    }
    PERI_FAILPOINT("t2.rows");
    return st;
}

enum peri_status match_store_at_once(struct peri_tx *tx, struct match_tx *mt, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    for (size_t i = 0; st == PERI_OK && i < mt->count; i++)
        if (!mt->items[i].event->event->duplicate)
            st = finish_item(tx, mt, &mt->items[i], err);
    PERI_FAILPOINT("t1.runs");
    return st;
}
