/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/str.h"
#include "run/match_internal.h"

/* After a stop that was not orderly the oldest unmatched events are evaluated one at a time, and before each of them it
 * is noted that it is tried, and afterwards that it is not any more. An event that stops the engine is found that way:
 * at its fourth try it is set aside (a kill from outside can hit an evaluation too, but hardly the same one three
 * times). Runs wait meanwhile, so that what stops the engine now is an event and nothing
 * else.
 *
 * The note is written to a file without waiting for the disk: what a process wrote outlives its end, and no event can
 * end the machine. So the time in which a kill from outside could be mistaken for the event's doing is that of its
 * evaluation alone.
 *
 * How many events that concerns grows from start to start, for the culprit may stand behind many: what was begun when
 * the engine stopped is at most what the window holds. It begins anew once everything that was found unmatched at a
 * start has been evaluated. An event whose conditions take their time does no harm: it is alone for a second only. */

#define FIRST_EVENTS 64
#define DOUBLINGS_MAX 4
#define TRIES_MAX 3      /* earlier tries, with which an event is not tried again */
#define ALONE_MS 1000    /* an event that has not stopped the engine by then does not */
#define LONGEST_MS 15000 /* runs do not wait longer for all of them */

#define UNSETTLED "match.unsettled"

static enum peri_status set_unsettled(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    char text[24];
    snprintf(text, sizeof(text), "%d", *(int *)arg);
    PERI_FAILPOINT("unsettled.rows");
    return peri_tx_meta_set(tx, UNSETTLED, text, err);
}

enum peri_status caution_recover(struct peri_pipeline *p, struct peri_error *err)
{
    struct caution *c = &p->caution;
    const struct peri_store_found *found = peri_store_found(p->options.store);
    char *text = NULL;
    long long before = 0;
    enum peri_status st = peri_reader_meta(p->reader, UNSETTLED, &text, err);
    if (st != PERI_OK && st != PERI_ENOTFOUND)
        return st;
    if (text && (!peri_parse_i64(text, &before) || before < 0))
        before = 0;
    free(text);
    c->unsettled = before > 0;
    if (found->clean || found->fresh || p->unmatched == 0)
        return PERI_OK;
    int starts = before > DOUBLINGS_MAX ? DOUBLINGS_MAX : (int)before;
    size_t most = (size_t)FIRST_EVENTS << starts;
    c->left = (size_t)p->unmatched < most ? (size_t)p->unmatched : most;
    c->until_ms = pipe_mono_ms(p) + LONGEST_MS;
    c->seq = found->trying_seq;
    c->tries = found->tries;
    c->unsettled = true;
    starts++;
    timer_due(p, LONGEST_MS, DUE_EVALUATION, 0, 0);
    return peri_store_run(p->options.store, set_unsettled, &starts, err);
}

bool caution_may_begin(struct peri_pipeline *p, struct match_event *me)
{
    struct caution *c = &p->caution;
    uint64_t seq = me->event->seq;
    if (c->left == 0)
        return true;
    if (c->trying)
        return false;
    if (c->seq == seq && c->tries >= TRIES_MAX) {
        me->dead = "stopped the engine each time it was evaluated";
        peri_err(p->options.log, "match", "ev-%" PRIu64 " (%s from %s) %s; it is set aside", seq, me->event->type,
            me->event->source, me->dead);
        c->left--;
        return true;
    }
    c->trying = seq;
    c->alone_until_ms = pipe_mono_ms(p) + ALONE_MS;
    timer_due(p, ALONE_MS, DUE_EVALUATION, 0, 0);
    peri_store_trying(p->options.store, seq, c->seq == seq ? c->tries + 1 : 1);
    return true;
}

static void passed(struct peri_pipeline *p)
{
    struct caution *c = &p->caution;
    if (c->trying == 0)
        return;
    peri_store_trying(p->options.store, 0, 0);
    c->trying = 0;
    if (c->left > 0)
        c->left--;
}

void caution_decided(struct peri_pipeline *p, const struct match_event *me)
{
    if (p->caution.trying == me->event->seq)
        passed(p);
}

/* --- its end --- */

static void settled_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    PERI_FAILPOINT("unsettled.done");
    free(arg);
}

void caution_pump(struct peri_pipeline *p)
{
    struct caution *c = &p->caution;
    if (c->left > 0 && pipe_mono_ms(p) >= c->until_ms) {
        peri_warn(p->options.log, "match", "some conditions take long: events are evaluated side by side again");
        passed(p);
        c->left = 0;
    }
    if (pipe_mono_ms(p) >= c->alone_until_ms)
        passed(p);
    if (!c->unsettled || !match_passed(p, p->counted_seq))
        return;
    int *none = calloc(1, sizeof(*none));
    c->unsettled = false;
    if (none && pipe_commit(p, 64, set_unsettled, settled_done, none, false) != PERI_OK)
        free(none); /* the next start is a little more careful than it must be */
}
