/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/form.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "data/json.h"

static void percent(struct peri_buf *out, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (isalnum(c) || c == '-' || c == '_' || c == '.' || c == '~')
            peri_buf_putc(out, (char)c);
        else
            peri_buf_printf(out, "%%%02X", c);
    }
}

static void one_pair(struct peri_buf *out, const char *key, const struct peri_value *v, bool *first)
{
    size_t len;
    char *text = peri_value_is(v, PERI_STRING) ? NULL : peri_json_text(v, PERI_JSON_COMPACT);
    const char *s = text ? text : peri_value_textn(v, &len);
    if (text)
        len = strlen(text);
    if (!*first)
        peri_buf_putc(out, '&');
    *first = false;
    percent(out, key, strlen(key));
    peri_buf_putc(out, '=');
    if (s)
        percent(out, s, len);
    free(text);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void peri_form_encode(struct peri_buf *out, const struct peri_value *map)
{
    size_t n = peri_value_count(map), i = 0;
    const char **keys = calloc(n + 1, sizeof(*keys));
    bool first = true;
    for (void *it = peri_map_first(map); keys && it; it = peri_map_next(map, it))
        keys[i++] = peri_map_key(it, NULL);
    if (keys && n)
        qsort(keys, n, sizeof(*keys), by_text);
    for (i = 0; keys && i < n; i++) {
        const struct peri_value *v = peri_map_at(map, keys[i]);
        if (!peri_value_is(v, PERI_LIST))
            one_pair(out, keys[i], v, &first);
        for (size_t k = 0; peri_value_is(v, PERI_LIST) && k < peri_value_count(v); k++)
            one_pair(out, keys[i], peri_list_at(v, k), &first);
    }
    if (!keys)
        out->failed = PERI_ENOMEM;
    free(keys);
}
