/* SPDX-License-Identifier: Apache-2.0 */
/* A changed file while the service runs: what of it counts at once, and what from the next start. */
#include <stdlib.h>

#include "app/config.h"
#include "base/buf.h"
#include "base/str.h"

static bool list_differs(char **a, char **b)
{
    size_t i = 0;
    while (a && b && a[i] && b[i] && peri_streq(a[i], b[i]))
        i++;
    return (a && a[i]) || (b && b[i]);
}

static bool value_differs(const struct peri_value *a, const struct peri_value *b)
{
    return a && b ? !peri_value_equal(a, b) : a != b;
}

static bool plugins_differ(const struct peri_config *a, const struct peri_config *b)
{
    if (a->plugin_count != b->plugin_count)
        return true;
    for (size_t i = 0; i < a->plugin_count; i++)
        if (!peri_streq(a->plugins[i].id, b->plugins[i].id) || a->plugins[i].enabled != b->plugins[i].enabled ||
            value_differs(a->plugins[i].config, b->plugins[i].config))
            return true;
    return false;
}

static char *left_alone(const struct peri_config *live, const struct peri_config *fresh)
{
    struct peri_buf others;
    size_t i = 0;
    bool differs = false;
    peri_buf_init(&others, 4096);
    for (const char *path; (path = peri_config_scalar(live, fresh, i, &differs)) != NULL; i++)
        if (differs)
            peri_buf_printf(&others, "%s%s", others.len ? ", " : "", path);
    if (list_differs(live->rules, fresh->rules))
        peri_buf_printf(&others, "%srules", others.len ? ", " : "");
    if (list_differs(live->plugin_path, fresh->plugin_path))
        peri_buf_printf(&others, "%splugin_path", others.len ? ", " : "");
    char *names = others.len ? peri_buf_take(&others, NULL) : NULL;
    peri_buf_finish(&others);
    return names;
}

char *peri_config_adopt(struct peri_config *live, struct peri_config *fresh, bool *ret_changed)
{
    char *names = left_alone(live, fresh);
    *ret_changed = plugins_differ(live, fresh) || value_differs(live->channels, fresh->channels) ||
                   value_differs(live->accounts, fresh->accounts) || value_differs(live->personal, fresh->personal);
    struct peri_config *former = *ret_changed ? malloc(sizeof(*former)) : NULL;
    if (!former) {
        *ret_changed = false;
        peri_config_finish(fresh);
        return names;
    }
    *former = *fresh; /* keeps what is not taken of it, and what it replaces */
    former->plugins = live->plugins;
    former->plugin_count = live->plugin_count;
    former->plugin_cap = live->plugin_cap;
    former->channels = live->channels;
    former->accounts = live->accounts;
    former->personal = live->personal;
    former->doc = live->doc;
    former->former = live->former;
    live->plugins = fresh->plugins;
    live->plugin_count = fresh->plugin_count;
    live->plugin_cap = fresh->plugin_cap;
    live->channels = fresh->channels;
    live->accounts = fresh->accounts;
    live->personal = fresh->personal;
    live->doc = fresh->doc;
    live->former = former;
    return names;
}
