/* SPDX-License-Identifier: Apache-2.0 */
/* What the items of a connector mean: entities and events that become part of what its call writes. On a worker. */
#include "plugin/host_internal.h"

static enum peri_status bad_item(struct peri_error *err, const char *what)
{
    return peri_error_set(err, PERI_EINVAL, "bad_result", "%s", what);
}

static enum peri_status put_entity(struct peri_job *job, const struct peri_value *entity, struct peri_error *err)
{
    char id[128];
    const char *type = peri_map_text(entity, "type");
    struct peri_value *fields = type ? peri_value_copy(entity) : NULL;
    if (!type)
        return bad_item(err, "an entity of an item needs a type");
    if (!fields)
        return peri_error_nomem(err);
    peri_map_drop(fields, "type");
    enum peri_status st = peri_job_put(job, type, fields, id, err);
    peri_value_unref(fields);
    return st;
}

static enum peri_status emit_event(struct peri_job *job, const struct peri_value *event, struct peri_error *err)
{
    static const char *const options[] = {"id", "time", "subject", "source", NULL};
    const char *type = peri_map_text(event, "type");
    struct peri_value *more = type ? peri_value_map() : NULL;
    enum peri_status st = more ? PERI_OK : PERI_ENOMEM;
    if (!type)
        return bad_item(err, "an event of an item needs a type");
    for (const char *const *o = options; !st && *o; o++)
        if (peri_map_at(event, *o))
            st = peri_map_put_ref(more, *o, peri_map_at(event, *o));
    st = st ? peri_error_nomem(err) : peri_job_emit(job, type, peri_map_at(event, "data"), more, err);
    peri_value_unref(more);
    return st;
}

/* Lua can not tell an empty list from an empty map. */
static bool is_list(const struct peri_value *v)
{
    return !v || peri_value_is(v, PERI_NULL) || peri_value_is(v, PERI_LIST) ||
           (peri_value_is(v, PERI_MAP) && !peri_value_count(v));
}

enum peri_status peri_job_take(
    struct peri_job *job, const struct peri_value *item, struct peri_taken *taken, struct peri_error *err)
{
    bool nothing = !item || peri_value_is(item, PERI_NULL);
    if (!nothing && !(peri_value_is(item, PERI_MAP) || is_list(item)))
        return bad_item(err, "an item must come to {entities = {...}, events = {...}}");
    const struct peri_value *entities = nothing ? NULL : peri_map_at(item, "entities");
    const struct peri_value *events = nothing ? NULL : peri_map_at(item, "events");
    enum peri_status st = PERI_OK;
    if (!nothing && !entities && !events && peri_value_count(item))
        return bad_item(err, "an item must come to {entities = {...}, events = {...}}, and has neither");
    if (!is_list(entities) || !is_list(events))
        return bad_item(err, "entities and events of an item are lists");
    size_t n = peri_value_is(entities, PERI_LIST) ? peri_value_count(entities) : 0;
    size_t m = peri_value_is(events, PERI_LIST) ? peri_value_count(events) : 0;
    for (size_t i = 0; !st && i < n; i++)
        st = put_entity(job, peri_list_at(entities, i), err);
    for (size_t i = 0; !st && i < m; i++)
        st = emit_event(job, peri_list_at(events, i), err);
    taken->items++;
    taken->entities += (int64_t)n;
    taken->events += (int64_t)m;
    return st;
}

enum peri_status peri_job_taken(const struct peri_taken *taken, struct peri_value **value, struct peri_error *err)
{
    struct peri_value *v = peri_value_map();
    if (!v || peri_map_put_int(v, "items", taken->items) || peri_map_put_int(v, "entities", taken->entities) ||
        peri_map_put_int(v, "events", taken->events)) {
        peri_value_unref(v);
        return peri_error_nomem(err);
    }
    peri_value_unref(*value);
    *value = v;
    return PERI_OK;
}
