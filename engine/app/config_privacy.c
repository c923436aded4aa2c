/* SPDX-License-Identifier: Apache-2.0 */
/* `privacy:` of perigee.yaml: {personal: {events: {type: [path]}, data: {type: [path]}}}. */
#include "app/config.h"
#include "base/str.h"
#include "lang/glob.h"

static void finding(struct peri_diag *diag, const struct peri_node *node, const char *code, const char *text)
{
    peri_diag_add(diag, node->place, PERI_SEV_ERROR, code, NULL, "%s", text);
}

/* [path] or a single path. */
static struct peri_value *read_paths(const struct peri_node *node, struct peri_diag *diag)
{
    struct peri_value *list = peri_value_list();
    size_t n = node->kind == PERI_NODE_LIST ? node->count : 1;
    for (size_t i = 0; i < n; i++) {
        const struct peri_node *item = node->kind == PERI_NODE_LIST ? node->items[i] : node;
        bool word = item->kind == PERI_NODE_SCALAR && item->type == PERI_STRING && !item->tag && item->len > 0;
        if (word && peri_str_starts(item->text, "event."))
            finding(diag, item, "wrong-value", "paths start below \"event\": leave \"event.\" out");
        else if (word && list && peri_list_push(list, peri_value_str(item->text)) == PERI_OK)
            continue;
        else
            finding(diag, item, "wrong-type", "must be a path such as caller.name, or a list of paths");
        break;
    }
    return list;
}

/* {type: [path]} */
static struct peri_value *read_marks(const struct peri_node *map, bool events, struct peri_diag *diag)
{
    struct peri_value *marks = peri_value_map();
    struct peri_error err;
    if (map->kind != PERI_NODE_MAP)
        finding(diag, map, "wrong-type",
            events ? "must be a mapping from event types to lists of paths"
                   : "must be a mapping from types of data to lists of fields");
    for (size_t i = 0; map->kind == PERI_NODE_MAP && i < map->count; i++) {
        const struct peri_node *type = map->pairs[i].key;
        if (events && peri_glob_check(type->text, &err))
            finding(diag, type, "wrong-value", err.message);
        struct peri_value *paths = read_paths(map->pairs[i].value, diag);
        if (!marks || !paths || peri_map_put(marks, type->text, paths))
            finding(diag, type, "wrong-value", "out of memory");
    }
    return marks;
}

static void read_personal(const struct peri_node *map, struct peri_value *to, struct peri_diag *diag)
{
    static const char *const known[] = {"events", "data", NULL};
    if (map->kind != PERI_NODE_MAP)
        finding(diag, map, "wrong-type", "\"personal\" must be a mapping with \"events\" and \"data\"");
    for (size_t i = 0; map->kind == PERI_NODE_MAP && i < map->count; i++) {
        const struct peri_node *key = map->pairs[i].key;
        bool events = peri_streq(key->text, "events");
        if (!events && !peri_streq(key->text, "data"))
            peri_config_unknown_key(diag, key, known);
        else if (!to || peri_map_put(to, key->text, read_marks(map->pairs[i].value, events, diag)))
            finding(diag, key, "wrong-value", "out of memory");
    }
}

void peri_config_privacy(const struct peri_node *map, struct peri_value **ret, struct peri_diag *diag)
{
    static const char *const known[] = {"personal", NULL};
    if (map->kind != PERI_NODE_MAP)
        finding(diag, map, "wrong-type", "\"privacy\" must be a mapping with \"personal\"");
    for (size_t i = 0; map->kind == PERI_NODE_MAP && i < map->count; i++) {
        if (!peri_streq(map->pairs[i].key->text, "personal")) {
            peri_config_unknown_key(diag, map->pairs[i].key, known);
            continue;
        }
        peri_value_unref(*ret);
        *ret = peri_value_map();
        read_personal(map->pairs[i].value, *ret, diag);
    }
}
