/* SPDX-License-Identifier: Apache-2.0 */
/* Values that come back. Handles keep secrets out of rules, plugins and the database; what no handle can do anything
 * about is a server that repeats what it was sent, or a request from outside that carries the value itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "io/secrets_internal.h"

#define DEPTH_MAX 64

bool peri_secrets_hide(struct peri_secrets *secrets, const char *text, size_t len, char **ret, size_t *ret_len)
{
    struct peri_buf out;
    size_t at = 0, found_len = 0;
    const char *name = secrets && len ? peri_secrets_find(secrets, text, len, &at, &found_len) : NULL;
    if (!name)
        return false;
    peri_buf_init(&out, len * 4 + 1024);
    while (name) {
        (void)peri_buf_append(&out, text, at);
        (void)peri_buf_printf(&out, "[secret %s]", name);
        text += at + found_len;
        len -= at + found_len;
        name = len ? peri_secrets_find(secrets, text, len, &at, &found_len) : NULL;
    }
    (void)peri_buf_append(&out, text, len);
    char *taken = out.failed ? NULL : peri_buf_take(&out, ret_len);
    peri_buf_finish(&out);
    if (taken)
        *ret = taken;
    return taken != NULL;
}

static bool holds(struct peri_secrets *secrets, const struct peri_value *v, int depth)
{
    size_t len = 0, at, n;
    const char *text = peri_value_textn(v, &len);
    if (text)
        return len && peri_secrets_find(secrets, text, len, &at, &n);
    for (size_t i = 0; depth < DEPTH_MAX && peri_value_is(v, PERI_LIST) && i < peri_value_count(v); i++)
        if (holds(secrets, peri_list_at(v, i), depth + 1))
            return true;
    for (void *it = depth < DEPTH_MAX && peri_value_is(v, PERI_MAP) ? peri_map_first(v) : NULL; it;
         it = peri_map_next(v, it)) {
        const char *key = peri_map_key(it, &len);
        if ((len && peri_secrets_find(secrets, key, len, &at, &n)) || holds(secrets, peri_map_item(it), depth + 1))
            return true;
    }
    return false;
}

static struct peri_value *without(struct peri_secrets *secrets, const struct peri_value *v);

static struct peri_value *map_without(struct peri_secrets *secrets, const struct peri_value *v)
{
    struct peri_value *map = peri_value_map();
    bool good = map != NULL;
    for (void *it = peri_map_first(v); good && it; it = peri_map_next(v, it)) {
        size_t len = 0, hidden_len = 0;
        const char *key = peri_map_key(it, &len);
        char *hidden = NULL;
        bool found = peri_secrets_hide(secrets, key, len, &hidden, &hidden_len);
        good = peri_map_putn(
                   map, found ? hidden : key, found ? hidden_len : len, without(secrets, peri_map_item(it))) == PERI_OK;
        free(hidden);
    }
    if (good)
        return map;
    peri_value_unref(map);
    return NULL;
}

static struct peri_value *without(struct peri_secrets *secrets, const struct peri_value *v)
{
    size_t len = 0, hidden_len = 0;
    char *hidden = NULL;
    const char *text = peri_value_textn(v, &len);
    if (text && peri_secrets_hide(secrets, text, len, &hidden, &hidden_len)) {
        struct peri_value *s = peri_value_strn(hidden, hidden_len);
        free(hidden);
        return s ? s : peri_value_str("[secret]");
    }
    if (peri_value_is(v, PERI_MAP))
        return map_without(secrets, v);
    if (!peri_value_is(v, PERI_LIST))
        return peri_value_ref(v);
    struct peri_value *list = peri_value_list();
    for (size_t i = 0; list && i < peri_value_count(v); i++) {
        if (peri_list_push(list, without(secrets, peri_list_at(v, i))) != PERI_OK) {
            peri_value_unref(list);
            return NULL;
        }
    }
    return list;
}

struct peri_value *peri_secrets_hide_value(struct peri_secrets *secrets, struct peri_value *v)
{
    return secrets && v && holds(secrets, v, 0) ? without(secrets, v) : peri_value_ref(v);
}

void peri_secrets_hide_error(struct peri_secrets *secrets, struct peri_error *err)
{
    char *hidden = NULL;
    size_t len = 0;
    if (!secrets || !peri_secrets_hide(secrets, err->message, strlen(err->message), &hidden, &len))
        return;
    snprintf(err->message, sizeof(err->message), "%s", hidden);
    free(hidden);
}

void peri_secrets_also(struct peri_secrets *secrets, const char *name, const char *value)
{
    peri_secrets_remember(secrets, name, value, strlen(value));
}
