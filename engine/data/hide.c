/* SPDX-License-Identifier: Apache-2.0 */
#include "data/hide.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "data/json.h"

static struct peri_value *without(const struct peri_hiding *h, struct peri_value *v, int depth);

/* Two names may become one: the second has a number. take item */
static bool put_under(struct peri_value *map, const char *key, size_t len, struct peri_value *item)
{
    char *own = NULL;
    for (int i = 2; peri_map_atn(map, own ? own : key, own ? strlen(own) : len); i++) {
        free(own);
        if (!(own = peri_asprintf("%.*s (%d)", (int)len, key, i))) {
            peri_value_unref(item);
            return false;
        }
    }
    bool good = peri_map_putn(map, own ? own : key, own ? strlen(own) : len, item) == PERI_OK;
    free(own);
    return good;
}

static struct peri_value *map_without(const struct peri_hiding *h, struct peri_value *v, int depth)
{
    struct peri_value *map = peri_value_map();
    bool good = map != NULL;
    for (void *it = peri_map_first(v); good && it; it = peri_map_next(v, it)) {
        size_t len = 0, hidden_len = 0;
        const char *key = peri_map_key(it, &len);
        char *hidden = NULL;
        bool found = h->hide(h->ctx, key, len, &hidden, &hidden_len);
        good = put_under(map, found ? hidden : key, found ? hidden_len : len, without(h, peri_map_item(it), depth + 1));
        free(hidden);
    }
    if (good)
        return map;
    peri_value_unref(map);
    return NULL;
}

static struct peri_value *list_without(const struct peri_hiding *h, struct peri_value *v, int depth)
{
    struct peri_value *list = peri_value_list();
    for (size_t i = 0; list && i < peri_value_count(v); i++) {
        if (peri_list_push(list, without(h, peri_list_at(v, i), depth + 1)) == PERI_OK)
            continue;
        peri_value_unref(list);
        return NULL;
    }
    return list;
}

static struct peri_value *without(const struct peri_hiding *h, struct peri_value *v, int depth)
{
    size_t len = 0, hidden_len = 0;
    char *hidden = NULL, *number = NULL;
    const char *text = peri_value_textn(v, &len);
    if (depth >= h->depth_max)
        return peri_value_str("[too deep to be shown]");
    if (!text && h->numbers && peri_value_is_number(v) && (number = peri_json_text(v, PERI_JSON_COMPACT))) {
        text = number;
        len = strlen(number);
    }
    bool found = text && h->hide(h->ctx, text, len, &hidden, &hidden_len);
    free(number);
    if (found) {
        struct peri_value *s = peri_value_strn(hidden, hidden_len);
        free(hidden);
        return s ? s : peri_value_str(h->nothing);
    }
    if (peri_value_is(v, PERI_MAP))
        return map_without(h, v, depth);
    return peri_value_is(v, PERI_LIST) ? list_without(h, v, depth) : peri_value_ref(v);
}

struct peri_value *peri_value_hidden(const struct peri_hiding *hiding, struct peri_value *v)
{
    return without(hiding, v, 0);
}
