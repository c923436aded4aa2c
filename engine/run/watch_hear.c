/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"
#include "lang/duration.h"
#include "run/keyed.h"
#include "run/verdict.h"
#include "run/watch_internal.h"

/* A trigger that watches over time hears an event: on the store's thread, inside T2. keyed.c says what follows. */

/* An event cannot have happened after it was received: senders' clocks are not to be trusted with the future. */
static int64_t steady_of(const struct match_tx *mt, int64_t wall_ms)
{
    int64_t steady = wall_ms - (mt->now_ms - mt->steady_ms);
    return steady > mt->steady_ms ? mt->steady_ms : steady;
}

enum peri_status watch_tell(struct hearing *h, const char *word, uint64_t found, struct peri_error *err)
{
    struct match_rule *mr = h->mr;
    struct peri_value *verdict =
        peri_verdict_watch(mr->rule, h->trigger, word, found, peri_trigger_kind_name(h->trigger), h->text);
    if (!verdict)
        return peri_error_nomem(err);
    if (mr->told && !peri_streq(word, PERI_VERDICT_HELD)) { /* of several triggers the one that does something */
        peri_value_unref(verdict);
        return PERI_OK;
    }
    peri_value_unref(mr->told);
    mr->told = verdict;
    return PERI_OK;
}

enum peri_status watch_put_row(struct hearing *h, struct peri_error *err)
{
    bool evicted = false;
    enum peri_status st = peri_tx_keyed_put(h->tx, &h->row, h->trigger->max_keys, &evicted, err);
    h->mt->evicted += evicted;
    if (st == PERI_OK && h->row.due > 0 && h->row.due < h->mt->next_due)
        h->mt->next_due = h->row.due;
    return st;
}

/* take event */
enum peri_status watch_add_found(struct hearing *h, struct peri_event *event, struct peri_error *err)
{
    struct match_tx *mt = h->mt;
    if (!event || !peri_vec_grow(&mt->found, &mt->found_cap, mt->found_count + 1, sizeof(struct peri_event *))) {
        peri_event_unref(event);
        return peri_error_nomem(err);
    }
    mt->found[mt->found_count++] = event;
    return peri_tx_event_insert(h->tx, event, err);
}

/* --- for --- */

static enum peri_status hear_hold(struct hearing *h, struct peri_error *err)
{
    char until[PERI_TIME_TEXT], since[PERI_TIME_TEXT], length[64];
    const struct peri_trigger *t = h->trigger;
    enum peri_hold_said said = peri_hold_hear(&h->row, &h->event, h->heard->matches, t->for_ms);
    const char *word = PERI_VERDICT_NO;
    peri_duration_format(t->for_ms, length);
    (void)match_wall(h->mt, h->row.n, since);
    (void)match_wall(h->mt, h->row.due, until);
    switch (said) {
    case PERI_HOLD_BEGUN:
    case PERI_HOLD_GOES_ON:
    case PERI_HOLD_BEGUN_ANEW:
        snprintf(h->text, WATCH_TEXT, "goes on since %s: fires at %s, unless an event does not match until then", since,
            until);
        word = PERI_VERDICT_HELD;
        break;
    case PERI_HOLD_FIRED_BEFORE:
        snprintf(h->text, WATCH_TEXT, "goes on since %s, and has fired after %s", since, length);
        break;
    case PERI_HOLD_ENDED:
        snprintf(h->text, WATCH_TEXT, "it does not match, and ends what went on since %s", since);
        break;
    case PERI_HOLD_OUTDATED:
        (void)match_wall(h->mt, h->row.newest, since);
        snprintf(h->text, WATCH_TEXT, "it is older than what is known of this key (%s)", since);
        break;
    case PERI_HOLD_NOTHING:
        snprintf(h->text, WATCH_TEXT, "it does not match, and nothing was going on");
        break;
    }
    enum peri_status st = watch_put_row(h, err);
    return st == PERI_OK ? watch_tell(h, word, 0, err) : st;
}

/* --- absence --- */

static enum peri_status hear_absence(struct hearing *h, struct peri_error *err)
{
    char until[PERI_TIME_TEXT];
    peri_absence_hear(&h->row, steady_of(h->mt, h->mr->event->event->received_ms), h->event.seq, h->trigger->for_ms);
    snprintf(
        h->text, WATCH_TEXT, "heard: fires at %s, unless more comes until then", match_wall(h->mt, h->row.due, until));
    enum peri_status st = watch_put_row(h, err);
    return st == PERI_OK ? watch_tell(h, PERI_VERDICT_HELD, 0, err) : st;
}

/* --- count --- */

static enum peri_status count_fires(struct hearing *h, size_t first, struct peri_error *err)
{
    const struct match_rule *mr = h->mr;
    const struct peri_heard *list = h->list + first;
    size_t count = h->count - first;
    struct watch_found found = {.rule = mr->rule,
        .trigger = h->trigger,
        .kind = "count",
        .key = h->heard->key,
        .text = h->text,
        .about = mr->event->event,
        .about_seq = h->event.seq,
        .now_ms = h->mt->now_ms,
        .more = watch_describe(h->mt, count, list[0].ts, list[count - 1].ts, watch_ids(list, NULL, count))};
    if (!found.more)
        return peri_error_nomem(err);
    return watch_add_found(h, watch_event(&found), err);
}

static enum peri_status hear_count(struct hearing *h, struct peri_error *err)
{
    const struct peri_trigger *t = h->trigger;
    char length[64];
    size_t old = 0;
    uint64_t found = 0;
    enum peri_status st = peri_tx_win_list(h->tx, h->row.wid, h->row.ckey, &h->list, &h->count, err);
    if (st != PERI_OK)
        return st;
    struct peri_count_said said = peri_count_hear(h->list, h->count, &h->event, t, &h->row.newest);
    st = watch_put_row(h, err);
    if (st == PERI_OK && !said.late)
        st = watch_add_heard(h, err);
    while (old < h->count && h->list[old].ts <= h->row.newest - t->within_ms)
        old++;
    int n =
        snprintf(h->text, WATCH_TEXT, "%s%zu of %" PRId64 " within %s%s", said.count > said.kept ? "more than " : "",
            said.count > said.kept ? said.kept : said.count, t->at_least, peri_duration_format(t->within_ms, length),
            said.late                          ? "; it is older than that"
            : said.count > (size_t)t->at_least ? " (has fired)"
                                               : "");
    if (n > 0 && said.count <= said.kept && !said.late) {
        snprintf(h->text + n, WATCH_TEXT - (size_t)n, ": ");
        watch_list_ids(h->text, h->list + old, NULL, h->count - old);
    }
    if (st == PERI_OK && said.fires)
        st = count_fires(h, old, err);
    if (st == PERI_OK && said.fires)
        found = h->mt->found[h->mt->found_count - 1]->seq;
    if (h->count - old > said.kept)
        old = h->count - said.kept;
    if (st == PERI_OK)
        st = watch_forget_first(h, old, err);
    return st == PERI_OK ? watch_tell(h, said.fires ? PERI_VERDICT_HELD : PERI_VERDICT_NO, found, err) : st;
}

/* --- all of them --- */

static enum peri_status open_row(struct hearing *h, struct peri_error *err)
{
    int64_t wid = 0;
    bool there = false;
    enum peri_status st = peri_tx_watch(h->tx, h->mr->rule->id, h->trigger->id, h->trigger->spec, &wid, err);
    if (st == PERI_OK)
        st = peri_tx_keyed_get(h->tx, wid, h->heard->key, &h->stored, &there, err);
    if (st != PERI_OK)
        return st;
    h->row = there ? h->stored.row : (struct peri_keyed){.newest = INT64_MIN};
    if (!there && h->trigger->kind == PERI_TRIGGER_SEQUENCE)
        h->row.n = INT64_MIN;
    h->row.wid = wid;
    h->row.ckey = h->heard->key;
    return PERI_OK;
}

enum peri_status watch_hear(struct peri_tx *tx, struct match_tx *mt, struct match_rule *mr,
    const struct match_heard *heard, struct peri_error *err)
{
    const struct peri_event *event = mr->event->event;
    int64_t time = event->time_ms < event->received_ms ? event->time_ms : event->received_ms;
    struct hearing h = {.tx = tx,
        .mt = mt,
        .mr = mr,
        .heard = heard,
        .trigger = heard->trigger,
        .event = {steady_of(mt, time), event->seq, heard->steps}};
    enum peri_status st = open_row(&h, err);
    if (st == PERI_OK) {
        switch (heard->trigger->kind) {
        case PERI_TRIGGER_COUNT:
            st = hear_count(&h, err);
            break;
        case PERI_TRIGGER_ABSENCE:
            st = hear_absence(&h, err);
            break;
        case PERI_TRIGGER_SEQUENCE:
            st = watch_hear_sequence(&h, err);
            break;
        default:
            st = hear_hold(&h, err);
        }
    }
    peri_keyed_finish(&h.stored);
    free(h.list);
    return st;
}
