/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/json.h"
#include "lang/duration.h"
#include "run/keyed.h"
#include "run/verdict.h"
#include "run/watch_internal.h"

/* Sequences, on the store's thread. */

/* {name: payload} of the steps that have one, as far as there is room. */
static enum peri_status name_payloads(
    struct hearing *h, const struct peri_sequence_said *said, struct peri_value *named, struct peri_error *err)
{
    size_t room = WATCH_NAMED;
    enum peri_status st = PERI_OK;
    for (size_t i = 0; st == PERI_OK && i < said->of; i++) {
        const char *as = h->trigger->steps[said->steps[i]].as;
        bool last = i + 1 == said->of || said->steps[i + 1] != said->steps[i];
        struct peri_value *value = NULL;
        struct peri_event *event = NULL;
        if (!as || !last)
            continue;
        st = peri_tx_event(h->tx, h->list[said->events[i]].seq, &event, err);
        if (event && event->data_len <= room &&
            peri_json_parse(event->data, event->data_len, &value, NULL) == PERI_OK) {
            room -= event->data_len;
            if (peri_map_put(named, as, value) != PERI_OK)
                st = peri_error_nomem(err);
        }
        peri_event_unref(event);
    }
    return st;
}

static enum peri_status describe(
    struct hearing *h, const struct peri_sequence_said *said, struct peri_value **ret, struct peri_error *err)
{
    const struct peri_heard *list = h->list;
    struct peri_value *named = peri_value_map();
    struct peri_value *more = watch_describe(h->mt, said->of, list[said->events[0]].ts,
        list[said->events[said->of - 1]].ts, watch_ids(list, said->events, said->of));
    enum peri_status st = named && more ? name_payloads(h, said, named, err) : peri_error_nomem(err);
    if (st == PERI_OK && peri_map_put_ref(more, "named", named) != PERI_OK)
        st = peri_error_nomem(err);
    peri_value_unref(named);
    if (st == PERI_OK)
        *ret = more;
    else
        peri_value_unref(more);
    return st;
}

static void tell_progress(struct hearing *h, const struct peri_sequence_said *said)
{
    char length[64];
    int n = snprintf(h->text, WATCH_TEXT, "%zu of %zu within %s%s", said->reached, said->of,
        peri_duration_format(h->trigger->within_ms, length), said->reached ? ": " : "");
    if (n > 0 && said->reached)
        watch_list_ids(h->text, h->list, said->events, said->reached);
}

/* Its events are used up, and with them all before the last of them. */
static enum peri_status fire(
    struct hearing *h, const struct peri_sequence_said *said, uint64_t *ret_found, struct peri_error *err)
{
    size_t last = said->events[said->of - 1];
    struct peri_event *about = NULL;
    struct watch_found found = {.rule = h->mr->rule,
        .trigger = h->trigger,
        .kind = "sequence",
        .key = h->row.ckey,
        .text = h->text,
        .about_seq = h->list[last].seq,
        .due = said->due,
        .now_ms = h->mt->now_ms};
    tell_progress(h, said);
    enum peri_status st = peri_tx_event(h->tx, found.about_seq, &about, err);
    found.about = about;
    if (st == PERI_OK)
        st = describe(h, said, &found.more, err);
    if (st == PERI_OK)
        st = watch_add_found(h, watch_event(&found), err);
    peri_event_unref(about);
    if (st != PERI_OK)
        return st;
    *ret_found = h->mt->found[h->mt->found_count - 1]->seq;
    h->row.n = h->list[last].ts;
    return watch_forget_first(h, last + 1, err);
}

/* What is remembered: what is complete fires, as does what had to wait until before `now`; what still waits is noted as
 * due. */
static enum peri_status look(struct hearing *h, int64_t now, uint64_t *ret_found, struct peri_error *err)
{
    struct peri_sequence_said said;
    enum peri_status st = PERI_OK;
    *ret_found = 0;
    for (;;) {
        peri_sequence_look(h->trigger, h->list, h->count, &said);
        if (!said.complete && (said.due == 0 || said.due >= now))
            break;
        st = fire(h, &said, ret_found, err);
        if (st != PERI_OK)
            return st;
    }
    h->row.due = said.due;
    h->row.base = said.due ? h->trigger->within_ms : 0;
    h->row.event = said.due ? h->list[said.events[said.of - 1]].seq : 0;
    if (*ret_found == 0)
        tell_progress(h, &said);
    return st;
}

/* What cannot begin or end a sequence any more, and what there is no room for. */
static enum peri_status prune(struct hearing *h, struct peri_error *err)
{
    size_t old = 0;
    while (old < h->count && h->list[old].ts < h->row.newest - h->trigger->within_ms)
        old++;
    enum peri_status st = PERI_OK;
    if (h->count - old > PERI_HEARD_MAX) {
        size_t over = h->count - old - PERI_HEARD_MAX;
        st = peri_tx_watch_evicted(h->tx, h->row.wid, (int64_t)over, err);
        h->mt->evicted += over;
        old += over;
    }
    return st == PERI_OK ? watch_forget_first(h, old, err) : st;
}

static enum peri_status tell_late(struct hearing *h, struct peri_error *err)
{
    char length[64];
    snprintf(h->text, WATCH_TEXT, "it is older than what the sequence still looks at (within %s)",
        peri_duration_format(h->trigger->within_ms, length));
    enum peri_status st = watch_put_row(h, err);
    return st == PERI_OK ? watch_tell(h, PERI_VERDICT_NO, 0, err) : st;
}

enum peri_status watch_hear_sequence(struct hearing *h, struct peri_error *err)
{
    uint64_t found = 0, before = 0;
    char until[PERI_TIME_TEXT];
    enum peri_status st = peri_tx_win_list(h->tx, h->row.wid, h->row.ckey, &h->list, &h->count, err);
    if (st == PERI_OK && h->row.due > 0 && h->row.due < h->event.ts) /* it is over, although nobody has looked yet */
        st = look(h, h->event.ts, &before, err);
    if (st != PERI_OK)
        return st;
    if (h->event.ts < h->row.n || (h->row.newest != INT64_MIN && h->event.ts < h->row.newest - h->trigger->within_ms))
        return tell_late(h, err);
    if (h->event.ts > h->row.newest)
        h->row.newest = h->event.ts;
    st = watch_add_heard(h, err);
    if (st == PERI_OK)
        st = prune(h, err);
    if (st == PERI_OK)
        st = look(h, INT64_MIN, &found, err);
    if (st == PERI_OK)
        st = watch_put_row(h, err);
    if (st == PERI_OK && h->row.due && !found) {
        size_t n = strlen(h->text);
        snprintf(h->text + n, WATCH_TEXT - n, "; fires at %s, unless what must not come comes until then",
            match_wall(h->mt, h->row.due, until));
    }
    return st == PERI_OK ? watch_tell(h, found || h->row.due ? PERI_VERDICT_HELD : PERI_VERDICT_NO, found, err) : st;
}

enum peri_status watch_sequence_settle(struct peri_tx *tx, struct match_tx *mt, struct match_rule *mr,
    const struct peri_trigger *trigger, const struct peri_keyed *row, struct peri_error *err)
{
    struct hearing h = {.tx = tx, .mt = mt, .mr = mr, .trigger = trigger, .row = *row};
    uint64_t found = 0;
    enum peri_status st = peri_tx_win_list(tx, row->wid, row->ckey, &h.list, &h.count, err);
    if (st == PERI_OK)
        st = look(&h, mt->steady_ms + 1, &found, err);
    if (st == PERI_OK)
        st = watch_put_row(&h, err);
    free(h.list);
    return st;
}
