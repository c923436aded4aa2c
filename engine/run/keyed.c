/* SPDX-License-Identifier: Apache-2.0 */
#include "run/keyed.h"

#include <string.h>

#include "lang/glob.h"

/* --- for --- */

static void begin(struct peri_keyed *row, int64_t since, int64_t for_ms)
{
    row->state = PERI_HOLD_WAITING;
    row->n = since;
    row->base = for_ms;
    row->due = since + for_ms;
}

/* It contradicts what was before it. What goes on since then began with the newest event at the latest: the ones
 * between are not remembered. */
static enum peri_hold_said hear_late(
    struct peri_keyed *row, const struct peri_heard *event, bool matches, int64_t for_ms)
{
    if (matches || row->state == PERI_HOLD_IDLE || event->ts < row->n)
        return PERI_HOLD_OUTDATED;
    begin(row, row->newest, for_ms);
    return PERI_HOLD_BEGUN_ANEW;
}

enum peri_hold_said peri_hold_hear(struct peri_keyed *row, const struct peri_heard *event, bool matches, int64_t for_ms)
{
    enum peri_hold_state before = (enum peri_hold_state)row->state;
    if (event->ts < row->newest)
        return hear_late(row, event, matches, for_ms);
    row->newest = event->ts;
    if (!matches) {
        row->state = PERI_HOLD_IDLE;
        row->due = 0;
        return before == PERI_HOLD_IDLE ? PERI_HOLD_NOTHING : PERI_HOLD_ENDED;
    }
    row->event = event->seq;
    if (before != PERI_HOLD_IDLE)
        return before == PERI_HOLD_WAITING ? PERI_HOLD_GOES_ON : PERI_HOLD_FIRED_BEFORE;
    begin(row, event->ts, for_ms);
    return PERI_HOLD_BEGUN;
}

/* --- count --- */

/* The number goes up by one with each event and down as the window moves, so it has just become enough when it equals
 * at_least. Of more than that only the newest are kept: they are enough as long as they are all in the window. */
struct peri_count_said peri_count_hear(const struct peri_heard *list, size_t count, const struct peri_heard *event,
    const struct peri_trigger *trigger, int64_t *newest)
{
    struct peri_count_said said = {0};
    if (event->ts > *newest)
        *newest = event->ts;
    int64_t from = *newest - trigger->within_ms;
    said.kept = trigger->at_least > PERI_COUNT_KEPT ? (size_t)trigger->at_least : PERI_COUNT_KEPT;
    said.late = event->ts <= from;
    for (size_t i = count; i > 0 && list[i - 1].ts > from; i--)
        said.count++;
    if (said.late)
        return said;
    said.count++;
    said.fires = said.count == (size_t)trigger->at_least;
    return said;
}

/* --- absence --- */

void peri_absence_hear(struct peri_keyed *row, int64_t arrived, uint64_t seq, int64_t for_ms)
{
    if (arrived > row->newest)
        row->newest = arrived;
    row->state = PERI_ABSENCE_HEARD;
    row->event = seq;
    row->base = for_ms;
    row->due = row->newest + for_ms;
    row->n = 0;
}

/* --- sequence --- */

/* A step that takes several events is that many units; what must not come behind a unit is a set of steps. */
struct units {
    size_t count;
    uint8_t step[PERI_SEQUENCE_UNITS];
    uint32_t barred[PERI_SEQUENCE_UNITS];
};

static void make_units(const struct peri_trigger *trigger, struct units *u)
{
    memset(u, 0, sizeof(*u));
    for (size_t i = 0; i < trigger->step_count; i++) {
        const struct peri_sequence_step *s = &trigger->steps[i];
        if (s->negated && u->count > 0)
            u->barred[u->count - 1] |= UINT32_C(1) << i;
        for (int64_t k = 0; !s->negated && k < s->count && u->count < PERI_SEQUENCE_UNITS; k++)
            u->step[u->count++] = (uint8_t)i;
    }
}

/* An attempt that begins with one event: which units are done, and by which events. */
struct attempt {
    bool alive[PERI_SEQUENCE_UNITS];
    uint16_t chain[PERI_SEQUENCE_UNITS][PERI_SEQUENCE_UNITS];
    size_t furthest; /* alive, and the last of them */
};

static bool fits(const struct units *u, size_t unit, const struct peri_heard *event)
{
    return (event->steps >> u->step[unit] & 1) != 0;
}

/* From the last unit back, so that an event takes one step of an attempt only. What takes a step does not bar the one
 * behind it. */
static void advance(struct attempt *a, const struct units *u, const struct peri_heard *event, size_t place)
{
    for (size_t k = u->count; k-- > 0;) {
        bool next = k > 0 && a->alive[k - 1] && fits(u, k, event);
        if (a->alive[k] && (event->steps & u->barred[k]) != 0)
            a->alive[k] = false;
        if (!next || a->alive[k])
            continue;
        a->alive[k] = true;
        memcpy(a->chain[k], a->chain[k - 1], k * sizeof(a->chain[k][0]));
        a->chain[k][k] = (uint16_t)place;
    }
}

static void keep(struct peri_sequence_said *ret, const struct attempt *a, const struct units *u, size_t unit)
{
    ret->reached = unit + 1;
    for (size_t i = 0; i <= unit; i++) {
        ret->events[i] = a->chain[unit][i];
        ret->steps[i] = u->step[i];
    }
}

/* True when it is complete. */
static bool try_from(const struct peri_trigger *trigger, const struct units *u, const struct peri_heard *list,
    size_t count, size_t start, struct attempt *a, struct peri_sequence_said *ret)
{
    size_t last = u->count - 1;
    bool waits = u->barred[last] != 0; /* and nothing of that until the end of the time */
    memset(a->alive, 0, sizeof(a->alive));
    a->alive[0] = true;
    a->chain[0][0] = (uint16_t)start;
    for (size_t i = start + 1; i < count && list[i].ts - list[start].ts <= trigger->within_ms; i++) {
        if (a->alive[last] && !waits)
            break;
        advance(a, u, &list[i], i);
    }
    if (a->alive[last]) {
        keep(ret, a, u, last);
        ret->complete = !waits;
        ret->due = waits ? list[start].ts + trigger->within_ms : 0;
        return true;
    }
    bool over = list[count - 1].ts - list[start].ts > trigger->within_ms;
    for (size_t k = last; !over && k > ret->reached; k--)
        if (a->alive[k - 1])
            keep(ret, a, u, k - 1);
    return false;
}

void peri_sequence_look(
    const struct peri_trigger *trigger, const struct peri_heard *list, size_t count, struct peri_sequence_said *ret)
{
    struct units u;
    struct attempt a;
    make_units(trigger, &u);
    memset(ret, 0, sizeof(*ret));
    ret->of = u.count;
    for (size_t start = 0; start < count; start++)
        if (fits(&u, 0, &list[start]) && try_from(trigger, &u, list, count, start, &a, ret))
            return;
}

uint32_t peri_sequence_types(const struct peri_trigger *trigger, const char *type)
{
    uint32_t steps = 0;
    for (size_t i = 0; i < trigger->step_count; i++)
        if (peri_glob_match(trigger->steps[i].event, type))
            steps |= UINT32_C(1) << i;
    return steps;
}
