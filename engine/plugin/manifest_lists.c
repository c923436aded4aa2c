/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of plugin.json that are lists of things: limits, relationships, events. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "lang/glob.h"
#include "plugin/manifest_internal.h"

#define EVENT_BYTES_MAX (1 << 20)

/* --- limits --- */

static const struct {
    const char *name;
    size_t at;
    int64_t most;
} limits[] = {
    {"instructions", offsetof(struct peri_manifest_limits, instructions), 1000000000},
    {"runningMs", offsetof(struct peri_manifest_limits, running_ms), 60000},
    {"memoryBytes", offsetof(struct peri_manifest_limits, memory_bytes), (int64_t)1 << 30},
    {"wallMs", offsetof(struct peri_manifest_limits, wall_ms), 600000},
    {"operationsPerSecond", offsetof(struct peri_manifest_limits, operations_per_second), 1000000},
    {"storageBytes", offsetof(struct peri_manifest_limits, storage_bytes), (int64_t)1 << 30},
    {"storageKeys", offsetof(struct peri_manifest_limits, storage_keys), 100000},
    {"logBytes", offsetof(struct peri_manifest_limits, log_bytes), 1 << 20},
};
#define LIMITS (sizeof(limits) / sizeof(limits[0]))

const char *const peri_limit_names[] = {"instructions", "runningMs", "memoryBytes", "wallMs", "operationsPerSecond",
    "storageBytes", "storageKeys", "logBytes", NULL};

int64_t *peri_limit_at(struct peri_manifest_limits *to, const char *name, int64_t *ret_most)
{
    for (size_t i = 0; i < LIMITS; i++)
        if (!strcmp(limits[i].name, name)) {
            *ret_most = limits[i].most;
            return (int64_t *)(void *)((char *)to + limits[i].at);
        }
    return NULL;
}

void peri_manifest_read_limits(struct peri_manifest_reader *r)
{
    const struct peri_value *given = peri_map_at(r->doc, "limits");
    if (!given || !peri_manifest_want(r, given, PERI_MAP, "/limits", "limits"))
        return;
    peri_manifest_keys(r, given, "/limits", peri_limit_names);
    for (const char *const *name = peri_limit_names; *name; name++) {
        const struct peri_value *v = peri_map_at(given, *name);
        char pointer[64];
        int64_t most = 0, *to = peri_limit_at(&r->m->limits, *name, &most);
        snprintf(pointer, sizeof(pointer), "/limits/%s", *name);
        if (!v || !to || !peri_manifest_want(r, v, PERI_INT, pointer, *name))
            continue;
        if (peri_value_as_int(v) < 1 || peri_value_as_int(v) > most)
            FINDING(r, pointer, "out-of-range", NULL, "%s must lie between 1 and %lld", *name, (long long)most);
        else
            *to = peri_value_as_int(v);
    }
}

/* --- relationships --- */

static void read_relation(struct peri_manifest_reader *r, const struct peri_value *item, const char *pointer,
    const char *name, enum peri_relation_kind kind)
{
    static const char *const known[] = {"pluginId", "versionRange", NULL};
    struct peri_manifest *m = r->m;
    struct peri_error err = {0};
    struct peri_relation rel = {.kind = kind};
    const char *id = peri_value_text(item);
    char place[128];
    snprintf(place, sizeof(place), "%s/versionRange", pointer);
    if (peri_value_is(item, PERI_MAP)) {
        peri_manifest_keys(r, item, pointer, known);
        id = peri_map_text(item, "pluginId");
        const struct peri_value *range = peri_map_at(item, "versionRange");
        if (range && peri_manifest_want(r, range, PERI_STRING, place, "versionRange") &&
            peri_range_parse(peri_value_text(range), &rel.range, &err))
            FINDING(r, place, "bad-range", "for example \">=1.0 <2\" or \"^1.2\"", "%s", err.message);
    }
    if (!peri_plugin_id_ok(id))
        FINDING(r, pointer, "bad-id",
            "for example {\"pluginId\": \"io.example.plugin\", \"versionRange\": \">=1.0 <2\"}",
            "an entry of %s needs a pluginId", name);
    else if (peri_streq(id, m->id))
        FINDING(r, pointer, "bad-value", NULL, "%s names the plugin itself", name);
    rel.id = peri_strdup(id ? id : "");
    if (!rel.id || !peri_vec_grow(&m->relations, &m->relation_cap, m->relation_count + 1, sizeof(*m->relations))) {
        free(rel.id);
        peri_range_destroy(rel.range);
        FINDING(r, pointer, "bad-value", NULL, "out of memory");
        return;
    }
    m->relations[m->relation_count++] = rel;
}

static void read_load(struct peri_manifest_reader *r)
{
    static const char *const known[] = {"priority", NULL};
    static const char *const priorities[] = {"first", "early", "default", "late", "last"};
    const struct peri_value *load = peri_map_at(r->doc, "load"), *priority;
    r->m->priority = 2;
    if (!load || !peri_manifest_want(r, load, PERI_MAP, "/load", "load"))
        return;
    peri_manifest_keys(r, load, "/load", known);
    priority = peri_map_at(load, "priority");
    if (!priority || !peri_manifest_want(r, priority, PERI_STRING, "/load/priority", "priority"))
        return;
    for (int i = 0; i < 5; i++)
        if (!strcmp(priorities[i], peri_value_text(priority))) {
            r->m->priority = i;
            return;
        }
    FINDING(r, "/load/priority", "bad-value", "one of: first, early, default, late, last", "unknown priority \"%s\"",
        peri_value_text(priority));
}

void peri_manifest_read_relations(struct peri_manifest_reader *r)
{
    static const char *const known[] = {"requires", "optional", "conflicts", "before", "after", NULL};
    const struct peri_value *rel = peri_map_at(r->doc, "relationships");
    read_load(r);
    if (!rel || !peri_manifest_want(r, rel, PERI_MAP, "/relationships", "relationships"))
        return;
    peri_manifest_keys(r, rel, "/relationships", known);
    for (int kind = 0; known[kind]; kind++) {
        const struct peri_value *list = peri_map_at(rel, known[kind]);
        char pointer[96];
        snprintf(pointer, sizeof(pointer), "/relationships/%s", known[kind]);
        if (!list || !peri_manifest_want(r, list, PERI_LIST, pointer, known[kind]))
            continue;
        for (size_t i = 0; i < peri_value_count(list); i++) {
            snprintf(pointer, sizeof(pointer), "/relationships/%s/%zu", known[kind], i);
            read_relation(r, peri_list_at(list, i), pointer, known[kind], (enum peri_relation_kind)kind);
        }
    }
}

/* --- events --- */

static void read_direction(
    struct peri_manifest_reader *r, const char *text, const char *pointer, struct peri_event_decl *event)
{
    event->publish = peri_streq(text, "publish") || peri_streq(text, "both");
    event->subscribe = peri_streq(text, "subscribe") || peri_streq(text, "both");
    if (!event->publish && !event->subscribe)
        FINDING(r, pointer, "bad-value", "one of: publish, subscribe, both", "an event needs a direction");
}

static void read_event(struct peri_manifest_reader *r, const struct peri_value *item, const char *pointer)
{
    static const char *const known[] = {"eventName", "direction", "schema", "maxPayloadBytes", "description", NULL};
    struct peri_manifest *m = r->m;
    struct peri_event_decl event = {0};
    struct peri_error err = {0};
    if (!peri_manifest_want(r, item, PERI_MAP, pointer, "an event"))
        return;
    peri_manifest_keys(r, item, pointer, known);
    const char *name = peri_map_text(item, "eventName");
    if (!name || peri_glob_check(name, &err))
        FINDING(r, pointer, "bad-value", NULL, "an event needs an eventName: an event type or a glob");
    read_direction(r, peri_map_text(item, "direction"), pointer, &event);
    if (peri_map_at(item, "schema") && peri_schema_compile(peri_map_at(item, "schema"), &event.schema, &err))
        FINDING(r, pointer, "bad-schema", NULL, "schema: %s", err.message);
    event.max_bytes = peri_map_int(item, "maxPayloadBytes", 0);
    if (peri_map_at(item, "maxPayloadBytes") && (event.max_bytes < 1 || event.max_bytes > EVENT_BYTES_MAX))
        FINDING(r, pointer, "out-of-range", NULL, "maxPayloadBytes must lie between 1 and %d", EVENT_BYTES_MAX);
    event.name = peri_strdup(name ? name : "");
    if (!event.name || !peri_vec_grow(&m->events, &m->event_cap, m->event_count + 1, sizeof(*m->events))) {
        free(event.name);
        peri_schema_destroy(event.schema);
        FINDING(r, pointer, "bad-value", NULL, "out of memory");
        return;
    }
    m->events[m->event_count++] = event;
}

void peri_manifest_read_events(struct peri_manifest_reader *r)
{
    const struct peri_value *events = peri_map_at(r->doc, "events"), *secrets = peri_map_at(r->doc, "mtlsSecrets");
    char pointer[64];
    if (events && peri_manifest_want(r, events, PERI_LIST, "/events", "events"))
        for (size_t i = 0; i < peri_value_count(events); i++) {
            snprintf(pointer, sizeof(pointer), "/events/%zu", i);
            read_event(r, peri_list_at(events, i), pointer);
        }
    if (secrets && peri_manifest_want(r, secrets, PERI_LIST, "/mtlsSecrets", "mtlsSecrets"))
        for (size_t i = 0; i < peri_value_count(secrets); i++) {
            snprintf(pointer, sizeof(pointer), "/mtlsSecrets/%zu", i);
            peri_manifest_want(r, peri_list_at(secrets, i), PERI_STRING, pointer, "the name of a secret");
        }
}
