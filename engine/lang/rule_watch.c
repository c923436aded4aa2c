/* SPDX-License-Identifier: Apache-2.0 */
/* Triggers that watch over time: for, count, absence, sequence. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/str.h"
#include "lang/rule_internal.h"

const struct rule_key peri_rule_count_keys[] = {
    {"event", KEY_KNOWN}, {"match", KEY_KNOWN}, {"at_least", KEY_KNOWN}, {"within", KEY_KNOWN}, {NULL, KEY_END}};

const struct rule_key peri_rule_absence_keys[] = {
    {"event", KEY_KNOWN}, {"match", KEY_KNOWN}, {"for", KEY_KNOWN}, {"expect", KEY_KNOWN}, {NULL, KEY_END}};

const struct rule_key peri_rule_sequence_keys[] = {{"steps", KEY_KNOWN}, {"within", KEY_KNOWN}, {NULL, KEY_END}};

const struct rule_key peri_rule_sequence_step_keys[] = {{"event", KEY_KNOWN}, {"not", KEY_KNOWN}, {"match", KEY_KNOWN},
    {"count", KEY_KNOWN}, {"as", KEY_KNOWN}, {NULL, KEY_END}};

/* NULL with a finding when the mapping has no such key. */
static const struct peri_node *need(
    struct rule_reader *r, const struct peri_node *map, const char *key, const char *what, const char *hint)
{
    const struct peri_node *node = peri_node_get(map, key, NULL);
    if (!node)
        peri_rule_fault(r, map->place, "missing-key", hint, "%s needs \"%s\"", what, key);
    return node;
}

static bool is_mapping(struct rule_reader *r, const struct peri_node *node, const struct rule_key *keys,
    const char *name, const char *what)
{
    return peri_rule_expect(r, node, PERI_NODE_MAP, name) && peri_rule_check_keys(r, node, keys, what) == 0;
}

static void read_event(
    struct rule_reader *r, const struct peri_node *map, const char *what, const char *hint, struct peri_trigger *t)
{
    const struct peri_node *node = need(r, map, "event", what, hint);
    if (!node)
        return;
    t->event_place = peri_rule_place(r, node);
    t->event = peri_rule_read_type(r, node, "event");
    peri_rule_read_match(r, map, &t->match);
}

void peri_rule_read_for(struct rule_reader *r, const struct peri_node *map, bool keys_good, struct peri_trigger *t)
{
    const struct peri_node *node = peri_node_get(map, "for", NULL);
    if (!node)
        return;
    if (keys_good && !peri_node_get(map, "match", NULL))
        peri_rule_fault(r, peri_rule_key_node(map, "for")->place, "missing-key",
            "match says what must go on; an event of the same type and key that does not match ends it. To wait "
            "without "
            "that, begin the actions with a delay",
            "\"for\" needs \"match\"");
    (void)peri_rule_duration(r, node, "for", 1, &t->for_ms);
}

#define COUNT_EXAMPLE "for example: count: {event: comms.CallMissed, at_least: 3, within: 24h}"

void peri_rule_read_count(struct rule_reader *r, const struct peri_node *node, struct peri_trigger *t)
{
    const struct peri_node *n;
    t->kind = PERI_TRIGGER_COUNT;
    if (!is_mapping(r, node, peri_rule_count_keys, "count", "a count"))
        return;
    read_event(r, node, "a count", COUNT_EXAMPLE, t);
    if ((n = need(r, node, "at_least", "a count", COUNT_EXAMPLE)))
        (void)peri_rule_int(r, n, "at_least", 1, PERI_RULE_COUNT_MAX, &t->at_least);
    if ((n = need(r, node, "within", "a count", COUNT_EXAMPLE)))
        (void)peri_rule_duration(r, n, "within", 1, &t->within_ms);
}

#define ABSENCE_EXAMPLE "for example: absence: {event: sensor.Heartbeat, for: 10m}"

static void read_expected(struct rule_reader *r, const struct peri_node *node, struct peri_trigger *t)
{
    if (!peri_rule_expect(r, node, PERI_NODE_LIST, "expect"))
        return;
    if (node->count == 0 || node->count > PERI_RULE_EXPECT_MAX) {
        peri_rule_fault(r, node->place, node->count ? "too-many" : "empty-list", NULL,
            node->count ? "\"expect\" holds more than %d keys" : "\"expect\" needs at least one key",
            PERI_RULE_EXPECT_MAX);
        return;
    }
    t->expect = calloc(node->count, sizeof(*t->expect));
    if (!t->expect) {
        peri_rule_nomem(r);
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        const struct peri_node *item = node->items[i];
        bool number = item->kind == PERI_NODE_SCALAR && item->type == PERI_INT && !item->tag;
        const char *text = number ? item->text : peri_rule_text(r, item, "expect");
        if (text && strlen(text) > 256)
            peri_rule_fault(r, item->place, "too-large", NULL, "a key has at most 256 bytes");
        else if (text && (t->expect[t->expect_count] = peri_rule_dup(r, text)))
            t->expect_count++;
    }
}

void peri_rule_read_absence(struct rule_reader *r, const struct peri_node *node, struct peri_trigger *t)
{
    const struct peri_node *n;
    t->kind = PERI_TRIGGER_ABSENCE;
    if (!is_mapping(r, node, peri_rule_absence_keys, "absence", "an absence"))
        return;
    read_event(r, node, "an absence", ABSENCE_EXAMPLE, t);
    if ((n = need(r, node, "for", "an absence", ABSENCE_EXAMPLE)))
        (void)peri_rule_duration(r, n, "for", 1, &t->for_ms);
    if ((n = peri_node_get(node, "expect", NULL)))
        read_expected(r, n, t);
}

#define STEPS_EXAMPLE                                                                                                  \
    "for example: sequence: {steps: [{event: door.Opened}, {not: alarm.Disarmed}, {event: motion.Seen, count: 2}], "   \
    "within: 5m}"

static void read_as(struct rule_reader *r, const struct peri_node *node, struct peri_sequence_step *s)
{
    const char *text = peri_rule_text(r, node, "as");
    if (text && peri_rule_names_well_formed(text))
        s->as = peri_rule_dup(r, text);
    else if (text)
        peri_rule_fault(r, node->place, "bad-name", "letters, digits and _, starting with a letter, at most 64",
            "\"%.80s\" cannot be the name of a step", text);
}

static void read_step(struct rule_reader *r, const struct peri_node *map, struct peri_sequence_step *s)
{
    struct peri_node *event_key = NULL, *not_key = NULL;
    const struct peri_node *n;
    s->count = 1;
    if (!is_mapping(r, map, peri_rule_sequence_step_keys, "a step of a sequence", "a step of a sequence"))
        return;
    const struct peri_node *event = peri_node_get(map, "event", &event_key), *not = peri_node_get(map, "not", &not_key);
    if (!event == !not ) {
        peri_rule_fault(r, event ? not_key->place : map->place, event ? "conflicting-keys" : "missing-key",
            STEPS_EXAMPLE,
            event ? "a step of a sequence has either \"event\" or \"not\""
                  : "a step of a sequence needs \"event\" or \"not\"");
        return;
    }
    s->negated = not != NULL;
    n = event ? event : not ;
    s->event_place = peri_rule_place(r, n);
    s->event = peri_rule_read_type(r, n, event ? "event" : "not");
    peri_rule_read_match(r, map, &s->match);
    if (not &&((n = peri_rule_key_node(map, "count")) || (n = peri_rule_key_node(map, "as")))) {
        peri_rule_fault(r, n->place, "misplaced-key", NULL, "\"%s\" goes with \"event\", not with \"not\"", n->text);
        return;
    }
    if ((n = peri_node_get(map, "count", NULL)))
        (void)peri_rule_int(r, n, "count", 1, 100, &s->count);
    if ((n = peri_node_get(map, "as", NULL)))
        read_as(r, n, s);
}

static void check_steps(struct rule_reader *r, const struct peri_node *node, const struct peri_trigger *t)
{
    int64_t units = 0;
    for (size_t i = 0; i < t->step_count; i++) {
        units += t->steps[i].negated ? 0 : t->steps[i].count;
        for (size_t k = 0; k < i && t->steps[i].as; k++)
            if (peri_streq(t->steps[i].as, t->steps[k].as))
                peri_rule_fault(r, peri_node_get(node->items[i], "as", NULL)->place, "duplicate-name", NULL,
                    "another step of this sequence is called \"%s\"", t->steps[i].as);
    }
    if (t->steps[0].negated)
        peri_rule_fault(r, node->items[0]->place, "bad-value", "what must not come stands behind the step after which",
            "a sequence cannot begin with \"not\"");
    else if (units < 2 && t->step_count < 2)
        peri_rule_fault(r, node->place, "bad-value", "one event is a trigger of its own: trigger: {event: ...}",
            "a sequence needs at least two steps");
    else if (units > PERI_SEQUENCE_UNITS)
        peri_rule_fault(r, node->place, "too-many", NULL,
            "the steps of a sequence take %lld events, at most %d are allowed", (long long)units, PERI_SEQUENCE_UNITS);
}

static void read_steps(struct rule_reader *r, const struct peri_node *node, struct peri_trigger *t)
{
    size_t errors = r->diag->errors;
    if (!peri_rule_expect(r, node, PERI_NODE_LIST, "steps"))
        return;
    if (node->count == 0 || node->count > PERI_SEQUENCE_STEPS) {
        peri_rule_fault(r, node->place, node->count ? "too-many" : "empty-list", STEPS_EXAMPLE,
            node->count ? "a sequence has at most %d steps" : "\"steps\" needs at least two steps",
            PERI_SEQUENCE_STEPS);
        return;
    }
    t->steps = calloc(node->count, sizeof(*t->steps));
    if (!t->steps) {
        peri_rule_nomem(r);
        return;
    }
    t->step_count = node->count;
    for (size_t i = 0; i < node->count; i++)
        read_step(r, node->items[i], &t->steps[i]);
    if (r->diag->errors == errors && r->failed == PERI_OK)
        check_steps(r, node, t);
}

void peri_rule_read_sequence(struct rule_reader *r, const struct peri_node *node, struct peri_trigger *t)
{
    const struct peri_node *n;
    t->kind = PERI_TRIGGER_SEQUENCE;
    if (!is_mapping(r, node, peri_rule_sequence_keys, "sequence", "a sequence"))
        return;
    if ((n = need(r, node, "steps", "a sequence", STEPS_EXAMPLE)))
        read_steps(r, n, t);
    if ((n = need(r, node, "within", "a sequence", STEPS_EXAMPLE)))
        (void)peri_rule_duration(r, n, "within", 1, &t->within_ms);
}

/* What is written beside `id`, `expect` and `max_keys`, and the key: what these three are changes nothing that is
 * remembered. */
static void write_spec(
    struct rule_reader *r, const struct peri_node *rule, const struct peri_node *map, struct peri_trigger *t)
{
    struct peri_buf out;
    char hash[65];
    const struct peri_node *key = peri_node_get(rule, "key", NULL), *absence = peri_node_get(map, "absence", NULL);
    const struct peri_node *from = absence && absence->kind == PERI_NODE_MAP ? absence : map;
    peri_buf_init(&out, 2 * PERI_RULE_MAX_TEXT);
    for (size_t i = 0; i < from->count; i++) {
        const char *name = from->pairs[i].key->text;
        if (strcmp(name, "id") == 0 || strcmp(name, "expect") == 0 || strcmp(name, "max_keys") == 0)
            continue;
        (void)peri_buf_printf(&out, "%s: ", name);
        peri_rule_write_node(&out, from->pairs[i].value, NULL);
        (void)peri_buf_puts(&out, "\n");
    }
    if (key)
        peri_rule_write_node(&out, key, NULL);
    if (out.failed == PERI_ENOMEM)
        peri_rule_nomem(r);
    peri_sha256_hex(peri_buf_text(&out), out.len, hash);
    free(t->spec);
    t->spec = peri_asprintf("%s %.32s", t->kind == PERI_TRIGGER_EVENT ? "for" : peri_trigger_kind_name(t), hash);
    if (!t->spec)
        peri_rule_nomem(r);
    peri_buf_finish(&out);
}

void peri_rule_finish_watch(
    struct rule_reader *r, const struct peri_node *rule, const struct peri_node *map, struct peri_trigger *t)
{
    const struct peri_node *n = peri_node_get(map, "max_keys", NULL), *absence = peri_node_get(map, "absence", NULL);
    t->max_keys = PERI_RULE_WATCH_KEYS;
    if (!peri_trigger_watches(t)) {
        if (n && !peri_node_get(map, "for", NULL))
            peri_rule_fault(r, peri_rule_key_node(map, "max_keys")->place, "misplaced-key", NULL,
                "\"max_keys\" goes with for, count, absence and sequence");
        return;
    }
    if (n)
        (void)peri_rule_int(r, n, "max_keys", 1, 10 * PERI_RULE_WATCH_KEYS, &t->max_keys);
    n = absence ? peri_rule_key_node(absence, "expect") : NULL;
    if (n && t->expect_count > 0 && !peri_node_get(rule, "key", NULL) && !r->head_doubtful)
        peri_rule_fault(r, n->place, "missing-key", "key: \"{{ event.sensor }}\" says how an event names its key",
            "\"expect\" needs the rule's \"key\"");
    else if (n && t->expect_count > (size_t)t->max_keys)
        peri_rule_fault(r, n->place, "too-many", NULL, "\"expect\" holds more keys than \"max_keys\" allows");
    write_spec(r, rule, map, t);
}
