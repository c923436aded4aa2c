/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "run/match_internal.h"

/* Pairs of one rule, in order of seq. Only those have a place that others have to know of: whose conditions are being
 * asked, that wait until fewer are asked, and that fired for a rule that remembers something from one event to the next
 * (a mode, a throttle, a trigger that watches over time). Of such a rule, a pair that fired or is heard is not stored
 * before the earlier ones of its lane are decided; an earlier one whose key is not known may belong to any lane. Rules
 * do not know of each other. */

#define SLOW_MS 400 /* a rule is slow when those that wait for it would wait longer than this */

struct match_line {
    char *rule;
    struct match_place *first, *last;
    size_t asking, waiting, held;
    struct match_place *scan; /* what stands before it is in the T2 that is being made (`serial`) */
    uint64_t serial;
    size_t answered; /* since the last look */
    bool slow;
    bool has_room; /* in p->room */
    struct match_line *room_next;
};

/* Does it matter in which order its events are stored? */
static bool keeps_order(const struct peri_rule *rule)
{
    const struct peri_flow *flow = &rule->flow;
    for (size_t i = 0; i < rule->trigger_count; i++)
        if (peri_trigger_watches(&rule->triggers[i]) || rule->triggers[i].lane)
            return true;
    return flow->mode != PERI_MODE_NONE || flow->once_within_ms > 0 || flow->once_after_ms > 0;
}

static char *seq_key(uint64_t seq, char out[24])
{
    snprintf(out, 24, "%llu", (unsigned long long)seq);
    return out;
}

static void line_free(void *value)
{
    struct match_line *line = value;
    for (struct match_place *place = line->first, *next; place; place = next) {
        next = place->next;
        if (place->pair)
            place->pair->place = NULL;
        free(place->key);
        free(place);
    }
    free(line->rule);
    free(line);
}

static void drop_when_empty(struct peri_pipeline *p, struct match_line *line)
{
    if (line->first || line->has_room)
        return;
    (void)peri_map_remove(p->lines, line->rule);
    line_free(line);
}

static struct match_line *line_of(struct peri_pipeline *p, const char *rule)
{
    struct match_line *line = peri_map_get(p->lines, rule);
    if (line)
        return line;
    line = calloc(1, sizeof(*line));
    if (!line || !(line->rule = peri_strdup(rule)) || !peri_map_set(p->lines, rule, line, NULL)) {
        if (line)
            free(line->rule);
        free(line);
        return NULL;
    }
    return line;
}

static struct match_place *place_of(struct match_rule *mr)
{
    struct peri_pipeline *p = mr->event->p;
    if (mr->place)
        return mr->place;
    struct match_place *place = calloc(1, sizeof(*place));
    struct match_line *line = place ? line_of(p, mr->rule->id) : NULL;
    if (!line) {
        free(place);
        return NULL;
    }
    *place = (struct match_place){.line = line, .pair = mr, .seq = mr->event->event->seq};
    struct match_place *before = line->last;
    while (before && before->seq > place->seq)
        before = before->prev;
    place->prev = before;
    place->next = before ? before->next : line->first;
    *(place->prev ? &place->prev->next : &line->first) = place;
    *(place->next ? &place->next->prev : &line->last) = place;
    line->serial = 0;
    mr->place = place;
    return place;
}

/* Something has been decided or is stored: whoever was held looks again. */
static void wake(struct match_line *line)
{
    for (struct match_place *place = line->first; place && line->held > 0; place = place->next) {
        if (!place->held)
            continue;
        place->held = false;
        line->held--;
        match_ready(place->pair->event);
    }
}

static void note_room(struct peri_pipeline *p, struct match_line *line)
{
    if (line->waiting == 0 || line->has_room)
        return;
    line->has_room = true;
    line->room_next = p->room;
    p->room = line;
}

static void stop_asking(struct peri_pipeline *p, struct match_place *place)
{
    if (!place->asking)
        return;
    place->asking = false;
    place->line->asking--;
    place->line->answered++;
    place->pair->event->asking--;
    p->evaluating--;
    note_room(p, place->line);
}

static void stop_waiting(struct peri_pipeline *p, struct match_place *place)
{
    if (!place->waiting)
        return;
    place->waiting = false;
    place->line->waiting--;
    p->waiting--;
}

static void remove_place(struct peri_pipeline *p, struct match_place *place)
{
    struct match_line *line = place->line;
    stop_asking(p, place);
    stop_waiting(p, place);
    if (place->held)
        line->held--;
    if (place->pair)
        place->pair->place = NULL;
    *(place->prev ? &place->prev->next : &line->first) = place->next;
    *(place->next ? &place->next->prev : &line->last) = place->prev;
    line->serial = 0;
    free(place->key);
    free(place);
    wake(line);
    drop_when_empty(p, line);
}

/* --- asking --- */

static void start_asking(struct match_place *place)
{
    struct match_event *me = place->pair->event;
    place->asking = true;
    place->line->asking++;
    me->asking++;
    me->p->evaluating++;
}

enum peri_status match_line_ask(struct match_rule *mr)
{
    struct peri_pipeline *p = mr->event->p;
    struct match_place *place = place_of(mr);
    if (!place)
        return PERI_ENOMEM;
    if (place->asking)
        return PERI_OK;
    if (place->line->waiting > 0 || place->line->asking >= PIPE_ASKING) {
        place->waiting = true;
        place->line->waiting++;
        p->waiting++;
        p->slow_wait |= place->line->slow;
        return PERI_EBUSY;
    }
    start_asking(place);
    return PERI_OK;
}

void match_line_key(struct match_rule *mr, char *key)
{
    if (!key || !mr->place || !keeps_order(mr->rule)) {
        free(key);
        return;
    }
    free(mr->place->key);
    mr->place->key = key;
    wake(mr->place->line);
}

bool match_line_wants_key(const struct match_rule *mr)
{
    return mr->place && !mr->place->key && keeps_order(mr->rule);
}

enum peri_status match_line_decided(struct match_rule *mr)
{
    struct peri_pipeline *p = mr->event->p;
    if (!match_matters(mr) || !keeps_order(mr->rule)) {
        match_line_leave(mr);
        return PERI_OK;
    }
    struct match_place *place = place_of(mr);
    if (!place)
        return PERI_ENOMEM;
    stop_asking(p, place);
    wake(place->line); /* its key is known now */
    return PERI_OK;
}

void match_line_leave(struct match_rule *mr)
{
    if (mr->place)
        remove_place(mr->event->p, mr->place);
}

/* False: an event could not be read. */
static bool give_room(struct peri_pipeline *p, struct match_line *line)
{
    struct match_place *place = line->first;
    while (place && line->asking < PIPE_ASKING && line->waiting > 0) {
        if (!place->waiting) {
            place = place->next;
            continue;
        }
        if (!place->pair) {
            if (!match_fetch(p, place->seq))
                return false;
            place = line->first; /* places may be gone */
            continue;
        }
        stop_waiting(p, place);
        start_asking(place);
        struct match_rule *mr = place->pair;
        match_ask(mr); /* may end the pair, and with it the place */
        place = line->first;
    }
    return true;
}

void match_lines_pump(struct peri_pipeline *p)
{
    if (p->draining || !pipe_writable(p))
        return;
    while (p->room) {
        struct match_line *line = p->room;
        p->room = line->room_next;
        bool good = give_room(p, line); /* others may be added meanwhile */
        line->has_room = false;
        if (!good) {
            note_room(p, line);
            timer_due(p, PIPE_RETRY_MS, DUE_EVALUATION, 0, 0);
            return;
        }
        drop_when_empty(p, line);
    }
}

/* --- who is slow --- */

struct look {
    struct peri_pipeline *p;
    int64_t ms;
};

static bool look_at(const char *key, void *value, void *arg)
{
    struct match_line *line = value;
    const struct look *look = arg;
    if (look->ms > 0) {
        line->slow = (int64_t)line->waiting * look->ms > (int64_t)line->answered * SLOW_MS;
        look->p->slow_wait |= line->slow;
    }
    line->answered = 0;
    return true;
}

void match_lines_look(struct peri_pipeline *p, int64_t ms)
{
    struct look look = {p, ms};
    peri_map_each(p->lines, look_at, &look);
}

bool match_line_is_slow(const struct match_event *me)
{
    for (size_t i = 0; i < me->rule_count; i++) {
        const struct match_place *place = me->rules[i]->place;
        if (place && place->waiting && place->line->slow)
            return true;
    }
    return false;
}

/* --- order --- */

static const char *known_key(const struct match_place *place)
{
    if (place->pair && place->pair->decided)
        return place->pair->key;
    return place->key;
}

bool match_line_held(struct match_rule *mr)
{
    struct match_place *place = mr->place, *at;
    if (!place)
        return false;
    struct match_line *line = place->line;
    at = line->serial == mr->event->p->match_serial ? line->scan : line->first;
    while (at && at != place && at->pair && at->pair->storing)
        at = at->next;
    line->scan = at;
    line->serial = mr->event->p->match_serial;
    for (; at && at != place; at = at->next) {
        const char *key = known_key(at);
        if ((at->pair && at->pair->storing) || (key && !peri_streq(key, mr->key)))
            continue;
        place->held = true;
        line->held++;
        return true;
    }
    return false;
}

/* --- parking --- */

bool match_line_park(struct match_event *me)
{
    struct peri_pipeline *p = me->p;
    char key[24];
    struct match_parked *parked = calloc(1, sizeof(*parked) + me->rule_count * sizeof(struct match_place *));
    if (!parked)
        return false;
    parked->seq = me->event->seq;
    if (!peri_map_set(p->parked, seq_key(parked->seq, key), parked, NULL)) {
        free(parked);
        return false;
    }
    for (size_t i = 0; i < me->rule_count; i++) {
        struct match_place *place = me->rules[i]->place;
        parked->places[parked->count++] = place;
        place->pair = NULL;
        me->rules[i]->place = NULL;
    }
    return true;
}

struct match_parked *match_line_parked(const struct peri_pipeline *p, uint64_t seq)
{
    char key[24];
    return peri_map_get(p->parked, seq_key(seq, key));
}

const char *match_place_rule(const struct match_place *place)
{
    return place->line->rule;
}

void match_line_unpark(struct peri_pipeline *p, struct match_parked *parked)
{
    char key[24];
    (void)peri_map_remove(p->parked, seq_key(parked->seq, key));
    for (size_t i = 0; i < parked->count; i++)
        if (!parked->places[i]->pair) /* its rule is gone */
            remove_place(p, parked->places[i]);
    free(parked);
}

struct passed {
    uint64_t seq;
    bool all;
};

static bool look_passed(const char *key, void *value, void *arg)
{
    const struct match_parked *parked = value;
    struct passed *passed = arg;
    passed->all = parked->seq > passed->seq;
    return passed->all;
}

bool match_lines_passed(const struct peri_pipeline *p, uint64_t seq)
{
    struct passed passed = {.seq = seq, .all = true};
    peri_map_each(p->parked, look_passed, &passed);
    return passed.all;
}

void match_lines_finish(struct peri_pipeline *p)
{
    peri_map_destroy(p->lines, line_free);
    peri_map_destroy(p->parked, free);
    p->lines = p->parked = NULL;
    p->room = NULL;
}
