/* SPDX-License-Identifier: Apache-2.0 */
/* What perigee.yaml says about plugins, compared with those that were found. */
#include <stdlib.h>
#include <string.h>

#include "app/config.h"
#include "app/paths.h"
#include "base/str.h"
#include "data/plain_secret.h"

static const struct peri_value *find_plugin(const struct peri_value *plugins, const char *id)
{
    for (size_t i = 0; i < peri_value_count(plugins); i++)
        if (peri_streq(peri_map_text(peri_list_at(plugins, i), "id"), id))
            return peri_list_at(plugins, i);
    return NULL;
}

static const char *nearest(const struct peri_value *plugins, const char *id)
{
    size_t n = peri_value_count(plugins);
    const char **ids = calloc(n + 1, sizeof(*ids));
    for (size_t i = 0; ids && i < n; i++)
        ids[i] = peri_map_text(peri_list_at(plugins, i), "id");
    const char *near = ids ? peri_nearest(id, ids) : NULL;
    free(ids);
    return near;
}

/* Where "section: {key: ...}" stands. */
static struct peri_place place_of(const struct peri_config *c, const char *section, const char *key)
{
    const struct peri_node *root = c->doc && c->doc->count > 0 ? c->doc->roots[0] : NULL;
    const struct peri_node *map = root ? peri_node_get(root, section, NULL) : NULL;
    for (size_t i = 0; map && map->kind == PERI_NODE_MAP && i < map->count; i++)
        if (peri_streq(map->pairs[i].key->text, key))
            return map->pairs[i].key->place;
    return (struct peri_place){c->file ? c->file : "perigee.yaml", 0, 0};
}

static void unknown(
    const struct peri_value *plugins, struct peri_place place, const char *id, const char *what, struct peri_diag *diag)
{
    const char *near = nearest(plugins, id);
    char *hint = near ? peri_asprintf("did you mean \"%s\"?", near) : NULL;
    peri_diag_add(diag, place, PERI_SEV_WARNING, "unknown-plugin", hint, "there is no plugin \"%s\"%s", id, what);
    free(hint);
}

/* A folder that the file names and that is not there: its rules would be missed in silence. */
static void check_folders(const struct peri_config *c, const char *name, struct peri_diag *diag)
{
    const struct peri_node *root = c->doc && c->doc->count > 0 ? c->doc->roots[0] : NULL;
    const struct peri_node *list = root ? peri_node_get(root, name, NULL) : NULL;
    for (size_t i = 0; list && list->kind == PERI_NODE_LIST && i < list->count; i++) {
        char *path = peri_path_beside(c->file, list->items[i]->text);
        if (path && !peri_path_is_dir(path) && !peri_path_is_file(path))
            peri_diag_add(diag, list->items[i]->place, PERI_SEV_WARNING, "folder", NULL, "%s is not there", path);
        free(path);
    }
}

/* Settings of plugins can name secrets; what else stands in the file may be needed before the secrets are open. */
static void check_secrets(const struct peri_config *c, struct peri_diag *diag)
{
    const struct peri_node *root = c->doc && c->doc->count > 0 ? c->doc->roots[0] : NULL;
    const struct peri_node *plugins = root ? peri_node_get(root, "plugins", NULL) : NULL;
    if (plugins)
        peri_plain_secrets(plugins, "`perigee secrets set NAME' keeps it, !secret NAME names it", diag);
}

void peri_config_check_plugins(const struct peri_config *c, struct peri_host *host, struct peri_diag *diag)
{
    struct peri_value *plugins = NULL;
    check_folders(c, "rules", diag);
    check_folders(c, "plugin_path", diag);
    check_secrets(c, diag);
    if (peri_host_plugins(host, &plugins))
        return;
    for (size_t i = 0; i < c->plugin_count; i++)
        if (!find_plugin(plugins, c->plugins[i].id))
            unknown(plugins, place_of(c, "plugins", c->plugins[i].id), c->plugins[i].id, "", diag);
    for (void *it = peri_map_first(c->channels); it; it = peri_map_next(c->channels, it)) {
        const char *type = peri_map_key(it, NULL), *id = peri_config_channel((void *)(uintptr_t)c, type);
        if (id && strcmp(id, "outbox") != 0 && !find_plugin(plugins, id))
            unknown(plugins, place_of(c, "channels", type), id, ": messages of this type cannot be sent", diag);
    }
    peri_value_unref(plugins);
}
