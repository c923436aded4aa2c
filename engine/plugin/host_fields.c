/* SPDX-License-Identifier: Apache-2.0 */
/* What manifests say that events hold. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "lang/glob.h"
#include "plugin/host_internal.h"

/* Is the list of properties all there is? */
static bool is_closed(const struct peri_value *schema)
{
    const struct peri_value *more = peri_map_at(schema, "additionalProperties");
    return peri_map_at(schema, "properties") && !(more && peri_truthy(more)) &&
           !peri_map_at(schema, "patternProperties") && !peri_map_at(schema, "allOf") &&
           !peri_map_at(schema, "anyOf") && !peri_map_at(schema, "oneOf");
}

struct names {
    const char **items;
    size_t count, cap;
};

static bool push(struct names *names, const char *name)
{
    if (!peri_vec_grow(&names->items, &names->cap, names->count + 2, sizeof(*names->items)))
        return false;
    names->items[names->count++] = name;
    names->items[names->count] = NULL;
    return true;
}

/* One plugin's word on it; names gathers the properties. */
static enum peri_field_known ask(const struct peri_event_decl *event, const char *field, struct names *names)
{
    const struct peri_value *schema = event->schema ? peri_schema_source(event->schema) : NULL;
    if (!is_closed(schema))
        return PERI_FIELD_OPEN;
    const struct peri_value *properties = peri_map_at(schema, "properties");
    if (peri_map_at(properties, field))
        return PERI_FIELD_THERE;
    for (void *it = peri_map_first(properties); it; it = peri_map_next(properties, it))
        if (!push(names, peri_map_key(it, NULL)))
            return PERI_FIELD_OPEN;
    return PERI_FIELD_NOWHERE;
}

enum peri_field_known peri_host_event_field(
    struct peri_host *host, const char *type, const char *field, char near[PERI_FIELD_NEAR])
{
    struct names names = {0};
    enum peri_field_known known = PERI_FIELD_OPEN;
    bool declared = false, certain = true;
    near[0] = '\0';
    for (size_t i = 0; i < host->plugin_count && certain; i++) {
        const struct peri_manifest *m = host->plugins[i]->manifest;
        for (size_t k = 0; m && k < m->event_count && certain; k++) {
            if (!m->events[k].publish || !peri_glob_match(m->events[k].name, type))
                continue;
            declared = true;
            known = ask(&m->events[k], field, &names);
            certain = known == PERI_FIELD_NOWHERE;
        }
    }
    if (declared && certain && names.count) {
        const char *best = peri_nearest(field, names.items);
        snprintf(near, PERI_FIELD_NEAR, "%s", best ? best : "");
    }
    free(names.items);
    return declared ? known : PERI_FIELD_OPEN;
}

enum peri_status peri_host_event_schemas(struct peri_host *host, struct peri_value **ret)
{
    struct peri_value *list = peri_value_list();
    bool good = list != NULL;
    for (size_t i = 0; i < host->plugin_count && good; i++) {
        const struct peri_manifest *m = host->plugins[i]->manifest;
        for (size_t k = 0; m && k < m->event_count && good; k++) {
            const struct peri_value *schema = m->events[k].schema ? peri_schema_source(m->events[k].schema) : NULL;
            struct peri_value *pair = schema ? peri_value_list() : NULL;
            if (schema)
                good = peri_list_push(list, pair) == PERI_OK &&
                       peri_list_push(pair, peri_value_str(m->events[k].name)) == PERI_OK &&
                       peri_list_push(pair, peri_value_ref(schema)) == PERI_OK;
        }
    }
    if (!good) {
        peri_value_unref(list);
        return PERI_ENOMEM;
    }
    *ret = list;
    return PERI_OK;
}
