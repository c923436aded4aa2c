/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/timefmt.h"
#include "lang/foreign.h"
#include "lang/glob.h"
#include "lang/rule_internal.h"

#define CATCH_UP_DEFAULT_MS 3600000

const struct rule_key peri_rule_trigger_keys[] = {{"id", KEY_KNOWN}, {"event", KEY_KNOWN}, {"match", KEY_KNOWN},
    {"schedule", KEY_KNOWN}, {"for", KEY_KNOWN}, {"sun", KEY_KNOWN}, {"webhook", KEY_KNOWN}, {"count", KEY_KNOWN},
    {"absence", KEY_KNOWN}, {"sequence", KEY_KNOWN}, {"max_keys", KEY_KNOWN}, {NULL, KEY_END}};

const struct rule_key peri_rule_schedule_keys[] = {{"cron", KEY_KNOWN}, {"every", KEY_KNOWN}, {"at", KEY_KNOWN},
    {"timezone", KEY_KNOWN}, {"dst", KEY_KNOWN}, {"catch_up", KEY_KNOWN}, {"overlap", KEY_KNOWN}, {"jitter", KEY_KNOWN},
    {NULL, KEY_END}};

/* ---- schedules ---- */

static bool load_zone(
    struct rule_reader *r, const struct peri_node *node, struct peri_place place, struct peri_schedule *s)
{
    const char *zone = "UTC";
    struct peri_error err;
    if (node) {
        zone = peri_rule_text(r, node, "timezone");
        place = node->place;
    } else if (r->env && r->env->timezone) {
        zone = r->env->timezone;
    }
    if (!zone)
        return false;
    enum peri_status st = peri_tz_load(r->env ? r->env->tz : NULL, zone, &s->tz, &err);
    if (st == PERI_ENOMEM)
        peri_rule_nomem(r);
    else if (st != PERI_OK)
        peri_rule_fault(r, place, "timezone", "use a name such as Europe/Berlin or UTC", "%s", err.message);
    return st == PERI_OK;
}

static size_t count_words(const char *text)
{
    size_t n = 0;
    for (text += strspn(text, " \t"); *text; text += strspn(text, " \t")) {
        text += strcspn(text, " \t");
        n++;
    }
    return n;
}

static const char *cron_hint(const char *text)
{
    char clock[6];
    if (peri_foreign_clock(text, clock) || strstr(text, "every ") || strstr(text, " at "))
        return "a time of day is {at: \"07:00\"}, a distance {every: 10m}";
    if (count_words(text) == 6)
        return "seconds are not written: leave out the first of the six";
    if (strchr(text, '?'))
        return "write * in place of ?";
    if (strpbrk(text, "#L"))
        return "let it fire on more days, and look at the date in a condition: now | date('%d')";
    return "minute, hour, day of month, month, day of week: \"30 7 * * mon-fri\" is 7:30 from Monday to Friday";
}

static void read_cron(struct rule_reader *r, const struct peri_node *node, struct peri_schedule *s)
{
    struct peri_error err;
    int column = 1;
    const char *text = peri_rule_text(r, node, "cron");
    if (!text)
        return;
    if (peri_cron_parse(text, &s->cron, &column, &err) != PERI_OK) {
        peri_rule_fault(r, peri_node_text_place(node, column > 0 ? (size_t)column - 1 : 0), "cron-syntax",
            cron_hint(text), "%s", err.message);
        return;
    }
    int64_t due = 0;
    if (s->tz && peri_cron_next(&s->cron, s->tz, s->dst, 0, &due) == PERI_ENOTFOUND)
        peri_rule_fault(r, node->place, "cron-never", NULL, "this schedule never fires: \"%s\"", text);
}

static bool two_digits(const char *s, unsigned *ret)
{
    if (s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9')
        return false;
    *ret = (unsigned)(s[0] - '0') * 10 + (unsigned)(s[1] - '0');
    return true;
}

/* "08:30" */
static bool read_clock(const char *text, unsigned *ret_hour, unsigned *ret_minute)
{
    return strlen(text) == 5 && text[2] == ':' && two_digits(text, ret_hour) && two_digits(text + 3, ret_minute) &&
           *ret_hour < 24 && *ret_minute < 60;
}

static void read_at(struct rule_reader *r, const struct peri_node *node, struct peri_schedule *s)
{
    unsigned hour = 0, minute = 0;
    const char *text = peri_rule_text(r, node, "at");
    if (!text)
        return;
    if (read_clock(text, &hour, &minute)) {
        s->at_daily = true;
        s->cron = (struct peri_cron){.minutes = UINT64_C(1) << minute,
            .hours = UINT32_C(1) << hour,
            .days = 0xFFFFFFFE,
            .months = 0x1FFE,
            .weekdays = 0x7F,
            .any_day = true,
            .any_weekday = true};
    } else if (!peri_time_parse(text, node->len, &s->at_ms) &&
               !(s->tz && peri_tz_parse_local(s->tz, text, &s->at_ms)) && s->tz) {
        char clock[6], hint[80] = "write 08:30 for every day, or 2026-12-24T18:00 for once";
        bool sure = peri_foreign_clock(text, clock);
        if (sure)
            snprintf(hint, sizeof(hint), "write %s", clock);
        peri_rule_fault(r, node->place, "time", hint, "\"at\": \"%.80s\" is no time", text);
        if (sure)
            peri_diag_fix(r->diag, node->place, text, clock);
    }
}

/* Which of cron, every and at; NULL with a finding when none or two. */
static const struct peri_node *schedule_kind(struct rule_reader *r, const struct peri_node *map)
{
    static const char *const names[] = {"cron", "every", "at"};
    const struct peri_node *found = NULL;
    for (size_t i = 0; i < 3; i++) {
        const struct peri_node *key = peri_rule_key_node(map, names[i]);
        if (key && found) {
            bool later = key->place.line > found->place.line ||
                         (key->place.line == found->place.line && key->place.column > found->place.column);
            peri_rule_fault(r, (later ? key : found)->place, "conflicting-keys", "make them two triggers",
                "a schedule has one of cron, every, at, not both \"%s\" and \"%s\"", found->text, key->text);
            return NULL;
        }
        found = key ? key : found;
    }
    if (!found)
        peri_rule_fault(r, map->place, "missing-key",
            "for example: schedule: {cron: \"0 8 * * 1-5\", timezone: Europe/Berlin}",
            "a schedule needs one of cron, every, at");
    return found;
}

bool peri_rule_read_times(struct rule_reader *r, const struct peri_node *map, struct peri_trigger *t)
{
    static const char *const overlaps[] = {"allow", "skip", "buffer_one", NULL};
    struct peri_schedule *s = t->schedule = calloc(1, sizeof(*s));
    const struct peri_node *n;
    int word;
    if (!s) {
        peri_rule_nomem(r);
        return false;
    }
    t->kind = PERI_TRIGGER_SCHEDULE;
    s->catch_up_ms = CATCH_UP_DEFAULT_MS;
    s->dst = PERI_DST_ONCE;
    if (map->kind != PERI_NODE_MAP)
        return true;
    if ((n = peri_node_get(map, "catch_up", NULL)))
        (void)peri_rule_duration(r, n, "catch_up", 0, &s->catch_up_ms);
    if ((n = peri_node_get(map, "jitter", NULL)))
        (void)peri_rule_duration(r, n, "jitter", 1000, &s->jitter_ms);
    if ((n = peri_node_get(map, "overlap", NULL)) && (word = peri_rule_word(r, n, "overlap", overlaps)) >= 0)
        s->overlap = (enum peri_overlap)word;
    return true;
}

static void read_schedule(struct rule_reader *r, const struct peri_node *map, struct peri_trigger *t)
{
    static const char *const dst_words[] = {"once", "skip", "both", NULL};
    const struct peri_node *n;
    if (!peri_rule_read_times(r, map, t))
        return;
    struct peri_schedule *s = t->schedule;
    if (!peri_rule_expect(r, map, PERI_NODE_MAP, "schedule") ||
        peri_rule_check_keys(r, map, peri_rule_schedule_keys, "a schedule") > 0)
        return;
    const struct peri_node *kind = schedule_kind(r, map);
    if (!kind)
        return;
    (void)load_zone(r, peri_node_get(map, "timezone", NULL), map->place, s);
    if ((n = peri_node_get(map, "dst", NULL)) && peri_rule_word(r, n, "dst", dst_words) >= 0)
        (void)peri_dst_parse(n->text, &s->dst);
    n = peri_node_get(map, kind->text, NULL);
    if (strcmp(kind->text, "cron") == 0) {
        s->kind = PERI_SCHEDULE_CRON;
        read_cron(r, n, s);
    } else if (strcmp(kind->text, "every") == 0) {
        s->kind = PERI_SCHEDULE_EVERY;
        (void)peri_rule_duration(r, n, "every", 1000, &s->every_ms);
    } else {
        s->kind = PERI_SCHEDULE_AT;
        read_at(r, n, s);
    }
}

/* ---- triggers ---- */

char *peri_rule_read_type(struct rule_reader *r, const struct peri_node *node, const char *what)
{
    struct peri_error err;
    const char *event = peri_rule_text(r, node, what);
    if (event && peri_glob_check(event, &err) != PERI_OK) {
        peri_rule_fault(
            r, node->place, "event-type", "for example comms.CallMissed, comms.* or comms.**", "%s", err.message);
        return NULL;
    }
    return event ? peri_rule_dup(r, event) : NULL;
}

void peri_rule_read_match(struct rule_reader *r, const struct peri_node *map, struct peri_pattern **ret)
{
    const struct peri_node *match = peri_node_get(map, "match", NULL);
    if (match && peri_pattern_compile_node(match, ret, r->diag) == PERI_ENOMEM)
        peri_rule_nomem(r);
    if (match && *ret) {
        peri_rule_fields_match(r, map, match);
        peri_rule_suspect_match(r, match);
    }
}

static void read_id(struct rule_reader *r, const struct peri_node *map, struct peri_trigger *t, size_t i)
{
    const struct peri_node *id = peri_node_get(map, "id", NULL);
    if (!id) {
        t->id = peri_rule_path(r, "t%zu", i + 1);
        return;
    }
    if (!peri_rule_text(r, id, "id") || !peri_rule_names_check(r, id, "the id of a trigger"))
        return;
    for (size_t k = 0; k < i; k++) {
        if (r->rule->triggers[k].id && strcmp(r->rule->triggers[k].id, id->text) == 0) {
            peri_rule_fault(r, id->place, "duplicate-id", "give it another id",
                "another trigger of this rule has the id \"%s\"", id->text);
            return;
        }
    }
    t->id = peri_rule_dup(r, id->text);
}

/* The one key that says what kind of trigger it is; NULL with a finding when there are two, or none. */
static const struct peri_node *trigger_kind(struct rule_reader *r, const struct peri_node *map, bool keys_good)
{
    static const char *const kinds[] = {"event", "webhook", "schedule", "sun", "count", "absence", "sequence"};
    const struct peri_node *found = NULL, *match = peri_rule_key_node(map, "match");
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const struct peri_node *key = peri_rule_key_node(map, kinds[i]);
        if (key && found) {
            peri_rule_fault(r, key->place, "conflicting-keys", "list them under triggers:",
                "a trigger is one of event, webhook, schedule, sun, count, absence, sequence, not both \"%s\" and "
                "\"%s\"",
                found->text, key->text);
            return NULL;
        }
        found = key ? key : found;
    }
    if (!found && keys_good)
        peri_rule_fault(r, match ? match->place : map->place, "missing-key",
            "for example: trigger: {event: comms.CallMissed}",
            "a trigger needs \"event\", \"webhook\", \"schedule\", \"sun\", \"count\", \"absence\" or \"sequence\"");
    return found;
}

/* Only an event, by whatever door, has match and for beside it. */
static bool check_beside(struct rule_reader *r, const struct peri_node *map, const struct peri_node *kind)
{
    static const char *const keys[] = {"match", "for"};
    bool good = true;
    bool event = strcmp(kind->text, "event") == 0 || strcmp(kind->text, "webhook") == 0;
    for (size_t i = 0; i < 2 && !event; i++) {
        const struct peri_node *key = peri_rule_key_node(map, keys[i]);
        bool inside = strcmp(kind->text, "schedule") != 0 && strcmp(kind->text, "sun") != 0;
        if (!key)
            continue;
        peri_rule_fault(r, key->place, "misplaced-key", inside ? "it stands inside of it" : NULL,
            "\"%s\" goes with \"event\", not with \"%s\"", keys[i], kind->text);
        good = false;
    }
    return good;
}

static void read_trigger(struct rule_reader *r, const struct peri_node *rule, const struct peri_node *map, size_t i)
{
    struct peri_trigger *t = &r->rule->triggers[i];
    t->place = peri_rule_place(r, map);
    if (!peri_rule_expect(r, map, PERI_NODE_MAP, "trigger"))
        return;
    bool keys_good = peri_rule_check_keys(r, map, peri_rule_trigger_keys, "a trigger") == 0;
    const struct peri_node *kind = trigger_kind(r, map, keys_good);
    if (!kind)
        return;
    read_id(r, map, t, i);
    if (!check_beside(r, map, kind))
        return;
    const struct peri_node *node = peri_node_get(map, kind->text, NULL);
    if (strcmp(kind->text, "event") == 0) {
        t->kind = PERI_TRIGGER_EVENT;
        t->event_place = peri_rule_place(r, node);
        t->event = peri_rule_read_type(r, node, "event");
        peri_rule_read_match(r, map, &t->match);
        peri_rule_read_for(r, map, keys_good, t);
    } else if (strcmp(kind->text, "webhook") == 0) {
        peri_rule_read_webhook(r, node, t);
        peri_rule_read_match(r, map, &t->match);
        peri_rule_read_for(r, map, keys_good, t);
    } else if (strcmp(kind->text, "schedule") == 0) {
        read_schedule(r, node, t);
    } else if (strcmp(kind->text, "sun") == 0) {
        peri_rule_read_sun(r, node, t);
    } else if (strcmp(kind->text, "count") == 0) {
        peri_rule_read_count(r, node, t);
    } else if (strcmp(kind->text, "absence") == 0) {
        peri_rule_read_absence(r, node, t);
    } else {
        peri_rule_read_sequence(r, node, t);
    }
    peri_rule_finish_watch(r, rule, map, t);
    if (t->kind != PERI_TRIGGER_SCHEDULE || t->schedule->overlap == PERI_OVERLAP_ALLOW)
        return;
    t->lane = peri_rule_path(r, PERI_TIMES_LANE "%s", t->id ? t->id : "");
    if (peri_rule_key_node(rule, "mode"))
        peri_rule_fault(r, peri_rule_key_node(node, "overlap")->place, "conflicting-keys",
            "mode: single is overlap: skip for all triggers of the rule",
            "\"overlap\" does not go with the rule's \"mode\"");
}

/* The line "conditions:" is missing above it. */
static bool is_condition(const struct peri_node *rule, const struct peri_node *item)
{
    static const char *const keys[] = {"operator", "expr", "all", "any", "not"};
    if (peri_node_get(rule, "conditions", NULL) || peri_node_get(item, "event", NULL) ||
        peri_node_get(item, "schedule", NULL))
        return false;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (peri_node_get(item, keys[i], NULL))
            return true;
    return false;
}

void peri_rule_read_triggers(struct rule_reader *r, const struct peri_node *map)
{
    struct peri_node *one_key = NULL, *many_key = NULL;
    struct peri_node *one = peri_node_get(map, "trigger", &one_key);
    struct peri_node *many = peri_node_get(map, "triggers", &many_key);
    if (one && many) {
        bool later = many_key->place.line > one_key->place.line;
        peri_rule_fault(r, (later ? many_key : one_key)->place, "conflicting-keys", NULL,
            "a rule has either \"trigger\" or \"triggers\"");
        return;
    }
    if (!one && !many) {
        peri_rule_fault(r, map->place, "missing-key", "for example: trigger: {event: comms.CallMissed}",
            "the rule has no \"trigger\"");
        return;
    }
    if (one && one->kind == PERI_NODE_LIST) {
        peri_rule_fault(
            r, one->place, "wrong-type", "a list stands under triggers:", "\"trigger\" must be a mapping, is a list");
        peri_diag_fix(r->diag, one_key->place, "trigger", "triggers");
        return;
    }
    if (many && !peri_rule_expect(r, many, PERI_NODE_LIST, "triggers"))
        return;
    size_t count = one ? 1 : many->count;
    if (count == 0 || count > 100) {
        peri_rule_fault(r, many->place, count ? "too-many" : "empty-list", NULL,
            count ? "\"triggers\" holds more than 100" : "\"triggers\" needs at least one trigger");
        return;
    }
    r->rule->triggers = calloc(count, sizeof(*r->rule->triggers));
    if (!r->rule->triggers) {
        peri_rule_nomem(r);
        return;
    }
    r->rule->trigger_count = count;
    for (size_t i = 0; i < count; i++) {
        if (many && is_condition(map, many->items[i])) {
            peri_rule_fault(r, many->items[i]->place, "misplaced-item", "is the line \"conditions:\" missing above it?",
                "this is a condition, not a trigger");
            r->rule->trigger_count = i;
            return;
        }
        read_trigger(r, map, one ? one : many->items[i], i);
    }
}
