/* SPDX-License-Identifier: Apache-2.0 */
#include "run/scope.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "data/json.h"

struct peri_value *peri_scope_event(const struct peri_event *event)
{
    struct peri_value *value = NULL;
    enum peri_status st = event->data ? peri_json_parse(event->data, event->data_len, &value, NULL) : PERI_EINVAL;
    if (st == PERI_ENOMEM) /* not null: a template would take its default for what the event says */
        return NULL;
    return st == PERI_OK ? value : peri_value_null();
}

static struct peri_value *finish_map(struct peri_value *map, bool failed)
{
    if (failed) {
        peri_value_unref(map);
        return NULL;
    }
    return map;
}

/* What a trigger that watches over time has found. */
static bool put_watch(struct peri_value *map, const struct peri_value *watch)
{
    bool good = true;
    for (void *it = peri_map_first(watch); it && good; it = peri_map_next(watch, it))
        good = peri_map_put_ref(map, peri_map_key(it, NULL), peri_map_item(it)) == PERI_OK;
    return good;
}

struct peri_value *peri_scope_trigger(
    const struct peri_event *event, const struct peri_value *payload, const char *trigger_id)
{
    char id[PERI_ID_TEXT];
    struct peri_value *map = peri_value_map();
    bool bad = !map;
    bad = bad || peri_map_put_text(map, "id", trigger_id) != PERI_OK;
    bad = bad || peri_map_put_text(map, "event_id", peri_event_id(event->seq, id)) != PERI_OK;
    bad = bad || peri_map_put_text(map, "type", event->type) != PERI_OK;
    bad = bad || peri_map_put_text(map, "source", event->source) != PERI_OK;
    bad = bad || peri_map_put_text(map, "subject", event->subject) != PERI_OK;
    bad = bad || peri_map_put_text(map, "external_id", event->external_id) != PERI_OK;
    bad = bad || peri_map_put_time(map, "time", event->time_ms) != PERI_OK;
    bad = bad || peri_map_put_time(map, "received", event->received_ms) != PERI_OK;
    if (!bad && event->target_trigger && peri_map_at(payload, "scheduled_at")) {
        bad = peri_map_put_ref(map, "scheduled_at", peri_map_at(payload, "scheduled_at")) != PERI_OK;
        bad = bad || peri_map_put_int(map, "late_ms", peri_map_int(payload, "late_ms", 0)) != PERI_OK;
    }
    if (!bad && event->target_trigger && peri_map_at(event->extensions, "watch"))
        bad = !put_watch(map, peri_map_at(event->extensions, "watch"));
    return finish_map(map, bad);
}

static struct peri_value *make_rule(const struct peri_rule *rule)
{
    struct peri_value *map = peri_value_map(), *tags = peri_value_list();
    bool bad = !map || !tags;
    for (size_t i = 0; !bad && i < rule->tag_count; i++)
        bad = peri_list_push(tags, peri_value_str(rule->tags[i])) != PERI_OK;
    bad = bad || peri_map_put_text(map, "id", rule->id) != PERI_OK;
    bad = bad || peri_map_put_text(map, "name", rule->name) != PERI_OK;
    bad = bad || peri_map_put_text(map, "description", rule->description) != PERI_OK;
    bad = bad || peri_map_put_ref(map, "tags", tags) != PERI_OK;
    peri_value_unref(tags);
    return finish_map(map, bad);
}

/* Made once for each rule; of two threads that do so at the same time one has worked in vain. */
struct peri_value *peri_scope_rule(const struct peri_rule *rule)
{
    struct peri_rule *keeper = (struct peri_rule *)(uintptr_t)rule; /* what it keeps here is no part of what it says */
    struct peri_value *about = atomic_load(&keeper->about), *none = NULL;
    if (about)
        return peri_value_ref(about);
    about = make_rule(rule);
    if (about && !atomic_compare_exchange_strong(&keeper->about, &none, about)) {
        peri_value_unref(about);
        about = none;
    }
    return about ? peri_value_ref(about) : NULL;
}

struct peri_value *peri_scope_run(uint64_t run, const struct peri_rule *rule, uint64_t event, int64_t created_ms)
{
    char id[PERI_ID_TEXT];
    struct peri_value *map = peri_value_map();
    bool bad = !map;
    bad = bad || peri_map_put_text(map, "id", peri_run_id(run, id)) != PERI_OK;
    bad = bad || peri_map_put_text(map, "rule", rule->id) != PERI_OK;
    bad = bad || peri_map_put_text(map, "event_id", peri_event_id(event, id)) != PERI_OK;
    bad = bad || peri_map_put_time(map, "created", created_ms) != PERI_OK;
    return finish_map(map, bad);
}

static bool may_be_key(const struct peri_value *value)
{
    size_t len = 0;
    const char *text = peri_value_textn(value, &len);
    return text ? strlen(text) == len : peri_value_is_number(value) || peri_value_is(value, PERI_BOOL);
}

static char *key_text(const struct peri_value *value)
{
    if (!may_be_key(value))
        return NULL;
    const char *text = peri_value_text(value);
    return text ? peri_strdup(text) : peri_json_text(value, PERI_JSON_COMPACT);
}

enum peri_status peri_scope_key(
    const struct peri_template *key, const struct peri_scope *scope, char **ret, struct peri_error *err)
{
    struct peri_value *value = NULL;
    char *text = NULL;
    enum peri_status st = PERI_OK;
    if (!key)
        text = peri_strdup("");
    else if ((st = peri_template_render(key, scope, &value, err)) == PERI_OK)
        text = key_text(value);
    if (st == PERI_OK && !text && (!key || may_be_key(value)))
        st = peri_error_nomem(err);
    else if (st == PERI_OK && !text)
        st = peri_error_set(err, PERI_EINVAL, "key", "the key must be a text or a number, is %s",
            peri_type_name(peri_value_type(value)));
    else if (st == PERI_OK && key && text[0] == '\0')
        st = peri_error_set(err, PERI_EINVAL, "key", "the key is empty");
    else if (st == PERI_OK && strlen(text) > PERI_KEY_MAX)
        st = peri_error_set(
            err, PERI_EINVAL, "key", "the key has %zu bytes, at most %d are allowed", strlen(text), PERI_KEY_MAX);
    peri_value_unref(value);
    if (st != PERI_OK) {
        free(text);
        return st;
    }
    free(*ret);
    *ret = text;
    return PERI_OK;
}

static const struct peri_value *match_trigger(struct peri_match_scope *roots)
{
    if (!roots->trigger && roots->make_trigger) {
        roots->trigger = roots->make_trigger(roots->ctx);
        roots->failed = roots->failed || !roots->trigger;
    }
    return roots->trigger;
}

static const struct peri_value *match_lookup(void *ctx, const char *name, size_t len)
{
    struct peri_match_scope *roots = ctx;
    if (len == 5 && memcmp(name, "event", 5) == 0)
        return roots->event;
    if (len == 7 && memcmp(name, "trigger", 7) == 0)
        return match_trigger(roots);
    if (len == 4 && memcmp(name, "rule", 4) == 0)
        return roots->rule;
    if (len == 6 && memcmp(name, "events", 6) == 0)
        return peri_map_at(match_trigger(roots), "named");
    return NULL;
}

struct peri_scope peri_match_scope(struct peri_match_scope *roots, int64_t now_ms, const struct peri_tz_source *tz)
{
    struct peri_scope scope = {.lookup = match_lookup, .ctx = roots, .now_ms = now_ms, .tz = tz};
    return scope;
}
