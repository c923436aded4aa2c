/* SPDX-License-Identifier: Apache-2.0 */
#include "run/wait.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"
#include "lang/glob.h"
#include "lang/pattern.h"
#include "run/pipeline_internal.h"

#define KEYS_MAX 256 /* values of one event at one path; with more, every wait of the kind is looked at */
#define PATH_DEPTH 8

/* --- keys --- */

static int64_t hash(char tag, const char *text, size_t len)
{
    uint64_t h = UINT64_C(14695981039346656037);
    h = (h ^ (unsigned char)tag) * UINT64_C(1099511628211);
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)text[i]) * UINT64_C(1099511628211);
    h ^= h >> 32;
    return (int64_t)(h & INT64_MAX) | 1; /* never 0 */
}

/* Equal values have equal keys: numbers by value. 0: not a value to go by. */
static int64_t key_of(const struct peri_value *value)
{
    char number[40];
    size_t len = 0;
    const char *text = peri_value_textn(value, &len);
    if (text)
        return hash('s', text, len);
    if (!peri_value_is_number(value))
        return 0;
    int n = snprintf(number, sizeof(number), "%.17g", peri_value_as_real(value) + 0.0);
    return hash('n', number, (size_t)n);
}

static bool is_operator(const struct peri_value *value)
{
    return peri_value_is(value, PERI_MAP) || peri_value_is(value, PERI_LIST);
}

/* Depth first in the order of the text; names[0..*ret_depth] lead there. */
static bool find_only_value(
    const struct peri_value *match, const char **names, size_t depth, size_t *ret_depth, int64_t *ret_key)
{
    for (void *it = peri_map_first(match); it && depth < PATH_DEPTH; it = peri_map_next(match, it)) {
        const struct peri_value *value = peri_map_item(it);
        bool one = peri_value_is(value, PERI_LIST) && peri_value_count(value) == 1;
        const struct peri_value *only = one ? peri_list_at(value, 0) : NULL;
        names[depth] = peri_map_key(it, NULL);
        *ret_depth = depth + 1;
        if (names[depth][0] == '$')
            continue;
        if (only && !is_operator(only) && (*ret_key = key_of(only)) != 0)
            return true;
        if (peri_value_is(value, PERI_MAP) && find_only_value(value, names, depth + 1, ret_depth, ret_key))
            return true;
    }
    return false;
}

bool peri_wait_index(const struct peri_value *match, char **ret_path, int64_t *ret_key)
{
    const char *names[PATH_DEPTH];
    size_t depth = 0;
    int64_t key = 0;
    if (!find_only_value(match, names, 0, &depth, &key))
        return true;
    struct peri_value *path = peri_value_list();
    bool good = path != NULL;
    for (size_t i = 0; good && i < depth; i++)
        good = peri_list_push(path, peri_value_str(names[i])) == PERI_OK;
    char *text = good ? peri_json_text(path, PERI_JSON_COMPACT) : NULL;
    peri_value_unref(path);
    if (!text)
        return false;
    *ret_path = text;
    *ret_key = key;
    return true;
}

struct found_keys {
    int64_t *keys;
    size_t count, max;
};

static void collect_keys(
    const struct peri_value *value, const struct peri_value *path, size_t level, struct found_keys *out)
{
    if (peri_value_is(value, PERI_LIST)) {
        for (size_t i = 0; i < peri_value_count(value) && out->count <= out->max; i++)
            collect_keys(peri_list_at(value, i), path, level, out);
    } else if (level < peri_value_count(path)) {
        const struct peri_value *below = peri_map_at(value, peri_value_text(peri_list_at(path, level)));
        if (below)
            collect_keys(below, path, level + 1, out);
    } else {
        int64_t key = key_of(value);
        if (key && out->count < out->max)
            out->keys[out->count] = key;
        out->count += key != 0;
    }
}

size_t peri_wait_keys(const struct peri_value *payload, const struct peri_value *path, int64_t *keys, size_t max)
{
    struct found_keys out = {keys, 0, max};
    collect_keys(payload, path, 0, &out);
    return out.count;
}

/* --- hearing --- */

static bool may_be_heard(const struct peri_event *event)
{
    return !event->duplicate && event->replay_of == 0 && event->seq != 0 &&
           !peri_streq(event->source, PIPE_WATCH_SOURCE);
}

/* What the service tells about itself is heard by its name. */
static bool names(const char *glob, const struct peri_event *event)
{
    return peri_glob_match(glob, event->type) && !(glob[0] == '*' && peri_streq(event->source, PIPE_SYSTEM_SOURCE));
}

/* Does the pattern take the payload? A pattern that cannot be read takes nothing. */
static bool takes(const char *match, const struct peri_event *event)
{
    struct peri_pattern *pattern = NULL;
    struct peri_error err;
    bool matches = false;
    if (!match)
        return true;
    if (peri_pattern_compile_json(match, strlen(match), &pattern, &err) != PERI_OK)
        return false;
    if (peri_pattern_match(pattern, event->data, event->data_len, &matches, NULL, &err) != PERI_OK)
        matches = false;
    peri_pattern_destroy(pattern);
    return matches;
}

/* What a run has set in motion itself is no answer. */
static bool is_own(const struct peri_event *event, uint64_t run)
{
    char id[PERI_ID_TEXT];
    return event->cause && peri_streq(event->cause, peri_run_id(run, id));
}

struct kind {
    int64_t id;
    char *type;
    struct peri_value *path; /* NULL: none */
};

struct hearing {
    struct peri_tx *tx;
    struct kind *kinds;
    size_t kind_count, kind_cap;
    const struct peri_event *event;
    struct peri_value *payload; /* of it; NULL: not read yet */
    struct peri_wait_hits *hits;
};

static enum peri_status add_kind(void *arg, int64_t id, const char *type, const char *path)
{
    struct hearing *h = arg;
    struct kind kind = {.id = id, .type = peri_strdup(type)};
    if (*path && peri_json_parse(path, strlen(path), &kind.path, NULL) != PERI_OK)
        kind.path = NULL;
    if (!kind.type || !peri_vec_grow(&h->kinds, &h->kind_cap, h->kind_count + 1, sizeof(*h->kinds))) {
        free(kind.type);
        peri_value_unref(kind.path);
        return PERI_ENOMEM;
    }
    h->kinds[h->kind_count++] = kind;
    return PERI_OK;
}

static enum peri_status add_hit(struct peri_wait_hits *hits, uint64_t run, int n, uint64_t seq)
{
    if (!peri_vec_grow(&hits->items, &hits->cap, hits->count + 1, sizeof(*hits->items)))
        return PERI_ENOMEM;
    hits->items[hits->count++] = (struct peri_wait_hit){.run = run, .n = n, .seq = seq};
    return PERI_OK;
}

static enum peri_status look_at(void *arg, uint64_t run, int n, const char *match)
{
    struct hearing *h = arg;
    if (is_own(h->event, run) || !takes(match, h->event))
        return PERI_OK;
    return add_hit(h->hits, run, n, h->event->seq);
}

static enum peri_status hear_by_path(struct hearing *h, const struct kind *kind, struct peri_error *err)
{
    int64_t keys[KEYS_MAX];
    enum peri_status st = PERI_OK;
    if (!h->payload && peri_json_parse(h->event->data, h->event->data_len, &h->payload, NULL) != PERI_OK)
        return PERI_OK;
    size_t count = peri_wait_keys(h->payload, kind->path, keys, KEYS_MAX);
    if (count > KEYS_MAX)
        return peri_tx_waits_at(h->tx, kind->id, PERI_WAIT_ANY_KEY, look_at, h, err);
    for (size_t i = 0; st == PERI_OK && i < count; i++)
        st = peri_tx_waits_at(h->tx, kind->id, keys[i], look_at, h, err);
    return st;
}

/* Marks what was found from `from` on; what another event has ended before is taken out again. */
static enum peri_status mark(struct peri_tx *tx, struct peri_wait_hits *hits, size_t from, struct peri_error *err)
{
    size_t kept = from;
    enum peri_status st = PERI_OK;
    for (size_t i = from; st == PERI_OK && i < hits->count; i++) {
        bool first = false;
        st = peri_tx_wait_hit(tx, hits->items[i].run, hits->items[i].n, hits->items[i].seq, &first, err);
        if (first)
            hits->items[kept++] = hits->items[i];
    }
    hits->count = kept;
    return st;
}

static enum peri_status hear_one(struct hearing *h, struct peri_error *err)
{
    size_t from = h->hits->count;
    enum peri_status st = PERI_OK;
    for (size_t i = 0; st == PERI_OK && i < h->kind_count; i++) {
        const struct kind *kind = &h->kinds[i];
        if (!names(kind->type, h->event))
            continue;
        if (kind->path)
            st = hear_by_path(h, kind, err);
        else
            st = peri_tx_waits_at(h->tx, kind->id, 0, look_at, h, err);
    }
    if (st == PERI_OK)
        st = mark(h->tx, h->hits, from, err);
    peri_value_unref(h->payload);
    h->payload = NULL;
    return st;
}

enum peri_status peri_waits_hear(struct peri_tx *tx, struct peri_event *const *events, size_t count,
    struct peri_wait_hits *hits, struct peri_error *err)
{
    struct hearing h = {.tx = tx, .hits = hits};
    enum peri_status st = count > 0 ? peri_tx_wait_kinds(tx, add_kind, &h, err) : PERI_OK;
    for (size_t i = 0; st == PERI_OK && h.kind_count > 0 && i < count; i++) {
        h.event = events[i];
        if (may_be_heard(events[i]))
            st = hear_one(&h, err);
    }
    for (size_t i = 0; i < h.kind_count; i++) {
        free(h.kinds[i].type);
        peri_value_unref(h.kinds[i].path);
    }
    free(h.kinds);
    return st == PERI_ENOMEM ? peri_error_nomem(err) : st;
}

struct looking_back {
    const struct peri_run_wait *wait;
    uint64_t run, seq;
};

static enum peri_status look_back(void *arg, const struct peri_event *event)
{
    struct looking_back *l = arg;
    if (!may_be_heard(event) || !event->data || !names(l->wait->type, event) || is_own(event, l->run) ||
        !takes(l->wait->match, event))
        return PERI_OK;
    l->seq = event->seq;
    return PERI_EEXIST; /* enough */
}

enum peri_status peri_waits_add(struct peri_tx *tx, uint64_t run, const struct peri_run_wait *wait,
    struct peri_wait_hits *hits, struct peri_error *err)
{
    struct peri_wait_row row = {.run = run,
        .n = wait->n,
        .type = wait->type,
        .path = wait->path,
        .key = wait->key,
        .since = wait->since,
        .match = wait->match};
    struct looking_back l = {.wait = wait, .run = run};
    enum peri_status st = peri_tx_wait_put(tx, &row, err);
    if (st != PERI_OK || !wait->type)
        return st;
    st = peri_tx_events_since(tx, wait->since, PERI_WAIT_BACK_MAX, look_back, &l, err);
    if (st != PERI_EEXIST)
        return st;
    size_t from = hits->count;
    if (add_hit(hits, run, wait->n, l.seq) != PERI_OK)
        return peri_error_nomem(err);
    return mark(tx, hits, from, err);
}
