/* SPDX-License-Identifier: Apache-2.0 */
/* What was expected against what happened. What is given must be there; what is not given may be anything. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/trial_cover.h"
#include "app/trial_update.h"
#include "base/str.h"
#include "data/json.h"
#include "io/store_data.h"
#include "io/store_runs.h"
#include "run/verdicts_read.h"

#define CUT 160
#define LOOK_MAX 10000 /* events, messages, entities of a type */

struct look {
    struct peri_trial_bed *bed;
    const struct peri_trial_step *step;
    struct peri_diag *diag;
    struct peri_value *events, *verdicts, *messages; /* since the last look; verdicts: {rule: newest} */
    bool nomem;
};

static void trial_differs(struct look *l, const char *pointer, const char *fmt, ...) PERI_PRINTF(3, 4);
static void trial_differs(struct look *l, const char *pointer, const char *fmt, ...)
{
    char message[1000];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    peri_diag_add(l->diag, peri_node_at_pointer(l->step->expect, pointer)->place, PERI_SEV_ERROR, "test-failed", NULL,
        "%s", message);
}

/* For --update: what should stand there. */
static void propose(struct look *l, const char *pointer, const struct peri_value *value)
{
    if (l->bed->edits)
        peri_trial_edits_add(l->bed->edits, peri_node_at_pointer(l->step->expect, pointer), value);
}

/* take value */
static void propose_new(struct look *l, const char *pointer, struct peri_value *value)
{
    if (value)
        propose(l, pointer, value);
    else
        l->nomem = true;
    peri_value_unref(value);
}

/* The items with those of their members that keys name; for --update. */
static void propose_list(struct look *l, const char *pointer, const struct peri_value *items, const char *const *keys)
{
    struct peri_value *list = l->bed->edits ? peri_value_list() : NULL;
    for (size_t i = 0; list && i < peri_value_count(items); i++) {
        struct peri_value *one = peri_value_map();
        bool good = one != NULL;
        for (const char *const *k = keys; good && *k; k++)
            if (peri_map_at(peri_list_at(items, i), *k))
                good = peri_map_put_ref(one, *k, peri_map_at(peri_list_at(items, i), *k)) == PERI_OK;
        if (!good) {
            peri_value_unref(one);
            l->nomem = true;
        } else if (peri_list_push(list, one) != PERI_OK) {
            l->nomem = true;
        }
    }
    if (l->bed->edits)
        propose_new(l, pointer, list);
}

/* A value in few words, into out. */
static const char *show(const struct peri_value *v, char out[CUT])
{
    char *text = v ? peri_json_text(v, PERI_JSON_COMPACT) : NULL;
    snprintf(out, CUT, "%s", v ? text ? text : "?" : "missing");
    if (text && strlen(text) >= CUT)
        memcpy(out + CUT - 4, "...", 4);
    free(text);
    return out;
}

/* ---- comparing ---- */

struct difference {
    struct peri_buf at; /* a pointer into what was wanted */
    const struct peri_value *want, *got;
};

static bool fits(const struct peri_value *want, const struct peri_value *got, struct difference *d)
{
    size_t len = d->at.len;
    if (peri_value_is(want, PERI_MAP) && peri_value_is(got, PERI_MAP)) {
        for (void *it = peri_map_first(want); it; it = peri_map_next(want, it)) {
            (void)peri_buf_printf(&d->at, "/%s", peri_map_key(it, NULL));
            if (!fits(peri_map_item(it), peri_map_at(got, peri_map_key(it, NULL)), d))
                return false;
            d->at.len = len;
        }
        return true;
    }
    if (peri_value_is(want, PERI_LIST) && peri_value_is(got, PERI_LIST) &&
        peri_value_count(want) == peri_value_count(got)) {
        for (size_t i = 0; i < peri_value_count(want); i++) {
            (void)peri_buf_printf(&d->at, "/%zu", i);
            if (!fits(peri_list_at(want, i), peri_list_at(got, i), d))
                return false;
            d->at.len = len;
        }
        return true;
    }
    if (got && peri_value_equal(want, got))
        return true;
    if (!got && peri_value_is(want, PERI_NULL))
        return true; /* null: is not there */
    d->want = want;
    d->got = got;
    return false;
}

/* Reports the difference below pointer; what: what is compared. */
static bool must_fit(
    struct look *l, const char *pointer, const char *what, const struct peri_value *want, const struct peri_value *got)
{
    struct difference d = {0};
    char a[CUT], b[CUT];
    peri_buf_init(&d.at, 4096);
    bool good = fits(want, got, &d);
    if (!good) {
        char *at = peri_asprintf("%s%.*s", pointer, (int)d.at.len, d.at.data ? d.at.data : "");
        trial_differs(l, at ? at : pointer, "%s%s%.*s is %s, expected %s", what, d.at.len ? " at " : "", (int)d.at.len,
            d.at.data ? d.at.data : "", show(d.got, a), show(d.want, b));
        if (at)
            propose(l, at, d.got);
        free(at);
    }
    peri_buf_finish(&d.at);
    return good;
}

static bool fits_quietly(const struct peri_value *want, const struct peri_value *got)
{
    struct difference d = {0};
    peri_buf_init(&d.at, 4096);
    bool good = fits(want, got, &d);
    peri_buf_finish(&d.at);
    return good;
}

/* ---- what happened ---- */

static void note_verdicts(struct look *l, uint64_t seq)
{
    struct peri_value *list = NULL;
    if (peri_verdicts_read(l->bed->reader, seq, NULL, &list, NULL) != PERI_OK) {
        l->nomem = true;
        return;
    }
    for (size_t i = 0; i < peri_value_count(list); i++) {
        const struct peri_value *v = peri_list_at(list, i);
        if (peri_map_text(v, "rule") && peri_map_put_ref(l->verdicts, peri_map_text(v, "rule"), v) != PERI_OK)
            l->nomem = true;
    }
    peri_value_unref(list);
}

static enum peri_status look_at_events(struct look *l, struct peri_error *err)
{
    for (size_t more = 1; more && peri_value_count(l->events) < LOOK_MAX;) {
        /* after 0 means none: then the newest come first. */
        struct peri_event_filter filter = {.after = l->bed->seen_event, .limit = 1000};
        struct peri_value *page = NULL;
        enum peri_status st = peri_reader_events(l->bed->reader, &filter, &page, err);
        if (st)
            return st;
        more = peri_value_count(page);
        for (size_t i = 0; i < more; i++) {
            struct peri_value *event = peri_list_at(page, filter.after ? i : more - 1 - i);
            uint64_t seq = 0;
            (void)peri_event_id_parse(peri_map_text(event, "id"), &seq);
            l->bed->seen_event = seq > l->bed->seen_event ? seq : l->bed->seen_event;
            l->nomem = l->nomem || peri_list_push(l->events, peri_value_ref(event)) != PERI_OK;
            note_verdicts(l, seq);
        }
        peri_value_unref(page);
    }
    return PERI_OK;
}

static enum peri_status look_at_messages(struct look *l, struct peri_error *err)
{
    struct peri_value *list = NULL;
    enum peri_status st = peri_reader_outbox(l->bed->reader, 0, 1000, &list, err);
    uint64_t seen = l->bed->seen_message;
    for (size_t i = peri_value_count(list); st == PERI_OK && i-- > 0;) {
        const struct peri_value *message = peri_list_at(list, i);
        const char *id = peri_map_text(message, "id");
        long long n = 0;
        if (!id || !peri_parse_i64(id + strlen("ob-"), &n) || (uint64_t)n <= seen)
            continue;
        l->bed->seen_message = (uint64_t)n;
        l->nomem = l->nomem || peri_list_push(l->messages, peri_value_ref(message)) != PERI_OK;
    }
    peri_value_unref(list);
    for (size_t i = 0; i < peri_value_count(l->bed->sent); i++)
        l->nomem = l->nomem || peri_list_push(l->messages, peri_value_ref(peri_list_at(l->bed->sent, i))) != PERI_OK;
    return st;
}

/* ---- each kind of expectation ---- */

static void expect_verdicts(struct look *l, const struct peri_value *want)
{
    for (void *it = peri_map_first(want); it; it = peri_map_next(want, it)) {
        const char *rule = peri_map_key(it, NULL), *word = peri_value_text(peri_map_item(it));
        const struct peri_value *got = peri_map_at(l->verdicts, rule);
        const char *verdict = peri_map_text(got, "verdict"), *reason = peri_map_text(got, "reason");
        char *pointer = peri_asprintf("/verdicts/%s", rule), *what = peri_asprintf("the verdict of %s", rule);
        bool known = false;
        for (size_t i = 0; i < l->bed->rules.count; i++)
            known = known || peri_streq(l->bed->rules.items[i]->id, rule);
        if (!pointer || !what)
            l->nomem = true;
        else if (!known)
            trial_differs(l, pointer, "there is no rule %s", rule);
        else if (!word)
            (void)must_fit(l, pointer, what, peri_map_item(it), got);
        else if (!peri_streq(word, verdict ? verdict : "none"))
            trial_differs(l, pointer, "the verdict of %s is %s%s%s%s, expected %s", rule,
                verdict ? verdict : "none: it heard no event", reason ? " (" : "", reason ? reason : "",
                reason ? ")" : "", word);
        if (pointer && known && word && l->bed->edits && !peri_streq(word, verdict ? verdict : "none"))
            propose_new(l, pointer, peri_value_str(verdict ? verdict : "none"));
        free(pointer);
        free(what);
    }
}

/* Does a call (or event, message) fit one item of the list? Silent. */
static bool item_fits(const struct peri_value *want, const struct peri_value *got, const struct peri_node *node)
{
    static const char *const keys[] = {"operator", "params", "rule"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (peri_map_at(want, keys[i]) && !fits_quietly(peri_map_at(want, keys[i]), peri_map_at(got, keys[i])))
            return false;
    const struct peri_node *match = node ? peri_node_get(node, "match", NULL) : NULL;
    struct peri_pattern *pattern = NULL;
    struct peri_diag unused;
    bool good = true;
    peri_diag_init(&unused);
    if (match && peri_pattern_compile_node(match, &pattern, &unused) == PERI_OK) {
        char *json = peri_json_text(peri_map_at(got, "params"), PERI_JSON_COMPACT);
        good = json && peri_pattern_match(pattern, json, strlen(json), &good, NULL, NULL) == PERI_OK && good;
        free(json);
    }
    peri_pattern_destroy(pattern);
    peri_diag_finish(&unused);
    return good;
}

static const char *const action_keys[] = {"operator", "params", NULL};

static void differing_action(struct look *l, size_t i, const struct peri_value *want, const struct peri_value *got)
{
    char pointer[40], below[60], text[CUT];
    const char *name = peri_map_text(got, "operator");
    snprintf(pointer, sizeof(pointer), "/actions/%zu", i);
    snprintf(below, sizeof(below), "%s/params", pointer);
    if (!got)
        trial_differs(
            l, pointer, "expected the action %s, but no further one was called", peri_map_text(want, "operator"));
    else if (!peri_streq(peri_map_text(want, "operator"), name))
        trial_differs(l, pointer, "expected the action %s, but %s was called with %s", peri_map_text(want, "operator"),
            name, show(peri_map_at(got, "params"), text));
    else if (peri_map_at(want, "rule") && !peri_streq(peri_map_text(want, "rule"), peri_map_text(got, "rule")))
        trial_differs(l, pointer, "%s was called by %s, expected %s", name, peri_map_text(got, "rule"),
            peri_map_text(want, "rule"));
    else if (!peri_map_at(want, "params") ||
             must_fit(l, below, name, peri_map_at(want, "params"), peri_map_at(got, "params")))
        trial_differs(l, pointer, "the parameters of %s do not match the pattern: %s", name,
            show(peri_map_at(got, "params"), text));
}

/* All calls, in order. */
static void expect_actions(struct look *l, const struct peri_value *want)
{
    const struct peri_value *calls = l->bed->calls;
    const struct peri_node *nodes = peri_node_get(l->step->expect, "actions", NULL);
    size_t at = 0;
    char text[CUT];
    for (size_t i = 0; i < peri_value_count(want); i++) {
        const struct peri_value *item = peri_list_at(want, i);
        int64_t times = peri_map_int(item, "times", 1);
        for (int64_t n = 0; n < times; n++, at++) {
            const struct peri_value *got = peri_list_at(calls, at);
            if (got && item_fits(item, got, nodes->items[i]))
                continue;
            differing_action(l, i, item, got);
            if (l->bed->edits && (!got || !peri_streq(peri_map_text(item, "operator"), peri_map_text(got, "operator"))))
                propose_list(l, "/actions", calls, action_keys);
            if (!got || !l->bed->edits)
                return;
        }
    }
    if (at < peri_value_count(calls)) {
        const struct peri_value *got = peri_list_at(calls, at);
        trial_differs(l, "/actions", "%zu more action%s called than expected, first %s with %s",
            peri_value_count(calls) - at, peri_value_count(calls) - at == 1 ? " was" : "s were",
            peri_map_text(got, "operator"), show(peri_map_at(got, "params"), text));
        propose_list(l, "/actions", calls, action_keys);
    }
}

static void expect_counts(struct look *l, const struct peri_value *want)
{
    for (void *it = peri_map_first(want); it; it = peri_map_next(want, it)) {
        const char *id = peri_map_key(it, NULL);
        int64_t n = 0;
        for (size_t i = 0; i < peri_value_count(l->bed->calls); i++)
            n += peri_streq(peri_map_text(peri_list_at(l->bed->calls, i), "operator"), id);
        char *pointer = peri_asprintf("/counts/%s", id);
        if (!peri_value_is(peri_map_item(it), PERI_INT) || peri_value_as_int(peri_map_item(it)) != n)
            trial_differs(l, pointer ? pointer : "", "%s was called %lld times, expected %lld", id, (long long)n,
                (long long)peri_value_as_int(peri_map_item(it)));
        if (pointer && l->bed->edits && peri_value_as_int(peri_map_item(it)) != n)
            propose_new(l, pointer, peri_value_int(n));
        free(pointer);
    }
}

/* All of them, in order. */
static void expect_list(
    struct look *l, const char *key, const char *one, const struct peri_value *want, const struct peri_value *got)
{
    static const char *const keys[] = {
        "type", "data", "method", "url", "channel", "channel_type", "to", "subject", "title", "json", "body", NULL};
    char pointer[60], text[CUT];
    size_t n = peri_value_count(want), m = peri_value_count(got);
    for (size_t i = 0; i < n && i < m; i++) {
        snprintf(pointer, sizeof(pointer), "/%s/%zu", key, i);
        if (!must_fit(l, pointer, one, peri_list_at(want, i), peri_list_at(got, i)) && !l->bed->edits)
            return;
    }
    snprintf(pointer, sizeof(pointer), "/%s", key);
    if (n != m)
        propose_list(l, pointer, got, keys);
    snprintf(pointer, sizeof(pointer), n > m ? "/%s/%zu" : "/%s", key, m);
    if (n > m)
        trial_differs(l, pointer, "expected %zu %s, there %s %zu", n, key, m == 1 ? "is" : "are", m);
    else if (m > n)
        trial_differs(l, pointer, "expected %zu %s, there are %zu; the first that is not expected: %s", n, key, m,
            show(peri_list_at(got, n), text));
}

static void expect_events(struct look *l, const struct peri_value *want)
{
    struct peri_value *emitted = peri_value_list();
    l->nomem = l->nomem || !emitted;
    for (size_t i = 0; emitted && i < peri_value_count(l->events); i++)
        if (peri_map_text(peri_list_at(l->events, i), "cause"))
            l->nomem = l->nomem || peri_list_push(emitted, peri_value_ref(peri_list_at(l->events, i))) != PERI_OK;
    expect_list(l, "events", "the event", want, emitted);
    peri_value_unref(emitted);
}

static void expect_runs(struct look *l, const struct peri_value *want, struct peri_error *err)
{
    for (void *it = peri_map_first(want); it; it = peri_map_next(want, it)) {
        const char *rule = peri_map_key(it, NULL), *state = peri_value_text(peri_map_item(it));
        struct peri_run_filter filter = {.rule = rule, .limit = 1000};
        struct peri_value *runs = NULL, *states = peri_value_list();
        char *pointer = peri_asprintf("/runs/%s", rule), *what = peri_asprintf("the runs of %s", rule);
        l->nomem = l->nomem || !pointer || !what || !states ||
                   peri_reader_runs(l->bed->reader, &filter, &runs, err) != PERI_OK;
        const char *newest = peri_map_text(peri_list_at(runs, 0), "state");
        for (size_t i = peri_value_count(runs); i-- > 0;)
            l->nomem = l->nomem ||
                       peri_list_push(states, peri_value_ref(peri_map_at(peri_list_at(runs, i), "state"))) != PERI_OK;
        if (!l->nomem && !state)
            (void)must_fit(l, pointer, what, peri_map_item(it), states);
        else if (!l->nomem && !peri_streq(state, newest ? newest : "none"))
            trial_differs(l, pointer, "the last run of %s is %s, expected %s", rule,
                newest ? newest : "none: there is none", state);
        if (!l->nomem && l->bed->edits && state && !peri_streq(state, newest ? newest : "none"))
            propose_new(l, pointer, peri_value_str(newest ? newest : "none"));
        free(pointer);
        free(what);
        peri_value_unref(states);
        peri_value_unref(runs);
    }
}

static bool is_stores_own(const char *key)
{
    static const char *const own[] = {"id", "type", "version", "created", "updated", NULL};
    for (const char *const *k = own; *k; k++)
        if (strcmp(*k, key) == 0)
            return true;
    return false;
}

/* Without what the store adds. */
static void propose_entities(struct look *l, const char *pointer, const struct peri_value *found)
{
    struct peri_value *list = l->bed->edits ? peri_value_list() : NULL;
    for (size_t i = 0; list && i < peri_value_count(found); i++) {
        const struct peri_value *entity = peri_list_at(found, i);
        struct peri_value *one = peri_value_map();
        for (void *it = peri_map_first(entity); one && it; it = peri_map_next(entity, it))
            if (!is_stores_own(peri_map_key(it, NULL)))
                l->nomem = peri_map_put_ref(one, peri_map_key(it, NULL), peri_map_item(it)) != PERI_OK || l->nomem;
        l->nomem = peri_list_push(list, one) != PERI_OK || l->nomem;
    }
    if (l->bed->edits)
        propose_new(l, pointer, list);
}

/* Just as many as listed, each a different one, in any order. */
static void expect_data(struct look *l, const struct peri_value *want, struct peri_error *err)
{
    for (void *it = peri_map_first(want); it; it = peri_map_next(want, it)) {
        const char *type = peri_map_key(it, NULL);
        struct peri_value *given = peri_map_item(it), *found = NULL;
        struct peri_query query = {.type = type, .limit = LOOK_MAX, .order = "id"};
        size_t count = 0, n = peri_value_is(given, PERI_LIST) ? peri_value_count(given) : 1;
        char *pointer = peri_asprintf("/data/%s", type), text[CUT], all[CUT];
        if (!pointer || peri_reader_query(l->bed->reader, &query, &found, &count, err) != PERI_OK) {
            l->nomem = true;
            free(pointer);
            return;
        }
        bool *taken = calloc(count + 1, sizeof(*taken));
        for (size_t i = 0; taken && i < n; i++) {
            const struct peri_value *one = peri_value_is(given, PERI_LIST) ? peri_list_at(given, i) : given;
            size_t k = 0;
            while (k < count && (taken[k] || !fits_quietly(one, peri_list_at(found, k))))
                k++;
            if (k < count)
                taken[k] = true;
            else
                trial_differs(l, pointer, "there is no %s like %s among %s", type, show(one, text), show(found, all));
        }
        if (count > n)
            trial_differs(
                l, pointer, "there are %zu of the type %s, expected %zu: %s", count, type, n, show(found, all));
        bool differs = count != n;
        for (size_t k = 0; taken && k < count; k++)
            differs = differs || !taken[k];
        if (differs)
            propose_entities(l, pointer, found);
        free(taken);
        peri_value_unref(found);
        free(pointer);
    }
}

enum peri_status peri_trial_expect(
    struct peri_trial_bed *bed, const struct peri_trial_step *step, struct peri_diag *diag, struct peri_error *err)
{
    struct look l = {.bed = bed,
        .step = step,
        .diag = diag,
        .events = peri_value_list(),
        .verdicts = peri_value_map(),
        .messages = peri_value_list()};
    const struct peri_value *want = step->expect_value, *part;
    enum peri_status st = l.events && l.verdicts && l.messages ? look_at_events(&l, err) : PERI_ENOMEM;
    if (st == PERI_OK)
        st = look_at_messages(&l, err);
    if (st == PERI_OK && (part = peri_map_at(want, "verdicts")))
        expect_verdicts(&l, part);
    if (st == PERI_OK && (part = peri_map_at(want, "actions")))
        expect_actions(&l, part);
    if (st == PERI_OK && (part = peri_map_at(want, "counts")))
        expect_counts(&l, part);
    if (st == PERI_OK && (part = peri_map_at(want, "messages")))
        expect_list(&l, "messages", "the message", part, l.messages);
    if (st == PERI_OK && (part = peri_map_at(want, "requests")))
        expect_list(&l, "requests", "the request", part, bed->requests);
    if (st == PERI_OK && (part = peri_map_at(want, "response")) && bed->response)
        (void)must_fit(&l, "/response", "the response", part, bed->response);
    else if (st == PERI_OK && part)
        trial_differs(&l, "/response", "there was no webhook before this");
    if (st == PERI_OK && (part = peri_map_at(want, "events")))
        expect_events(&l, part);
    if (st == PERI_OK && (part = peri_map_at(want, "runs")))
        expect_runs(&l, part, err);
    if (st == PERI_OK && (part = peri_map_at(want, "data")))
        expect_data(&l, part, err);
    peri_value_unref(l.events);
    peri_value_unref(l.verdicts);
    peri_value_unref(l.messages);
    peri_value_unref(bed->calls);
    bed->calls = peri_value_list();
    peri_value_unref(bed->requests);
    bed->requests = peri_value_list();
    peri_value_unref(bed->sent);
    bed->sent = peri_value_list();
    return st ? st : l.nomem || !bed->calls || !bed->requests || !bed->sent ? peri_error_nomem(err) : PERI_OK;
}

/* ---- one case ---- */

static enum peri_status do_step(struct peri_trial_bed *bed, const struct peri_trial_step *step, struct peri_error *err)
{
    int64_t now = peri_clock_wall_ms(&bed->clock);
    switch (step->kind) {
    case PERI_TRIAL_EVENT:
        return peri_trial_bed_send(bed, step, err);
    case PERI_TRIAL_ADVANCE:
        return peri_trial_bed_go(bed, now + step->ms, err);
    case PERI_TRIAL_UNTIL:
        if (step->ms < now)
            return peri_error_set(err, PERI_EINVAL, "test-failed", "\"until\" lies in the past of the test");
        return peri_trial_bed_go(bed, step->ms, err);
    case PERI_TRIAL_PUT:
        return peri_trial_bed_put(bed, step->data, false, err);
    case PERI_TRIAL_DELETE:
        return peri_trial_bed_put(bed, step->data, true, err);
    case PERI_TRIAL_WEBHOOK: {
        enum peri_status st = peri_trial_bed_webhook(bed, step, err);
        return st ? st : peri_trial_bed_settle(bed, err);
    }
    case PERI_TRIAL_APPROVE:
        return peri_trial_bed_approve(bed, step, err);
    case PERI_TRIAL_EDIT:
        return peri_trial_bed_edit(bed, step, err);
    case PERI_TRIAL_RESTART:
        return peri_trial_bed_restart(bed, err);
    case PERI_TRIAL_NOTHING:
        break;
    }
    return PERI_OK;
}

void peri_trial_run(struct peri_trial_bed *bed, struct peri_trial_case *trial, struct peri_diag *diag)
{
    struct peri_error err = {0};
    struct peri_place place = trial->place;
    enum peri_status st = peri_trial_bed_begin(bed, trial, &err);
    for (size_t i = 0; st == PERI_OK && i < trial->step_count; i++) {
        place = trial->steps[i].place;
        st = do_step(bed, &trial->steps[i], &err);
        if (st == PERI_OK && trial->steps[i].expect)
            st = peri_trial_expect(bed, &trial->steps[i], diag, &err);
    }
    if (st == PERI_OK && bed->cover)
        st = peri_trial_cover_case(bed->cover, bed, &err);
    if (st)
        peri_diag_add(diag, place, PERI_SEV_ERROR, "test-failed", NULL, "%s", err.message);
    peri_trial_bed_end(bed);
}
