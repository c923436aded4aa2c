/* SPDX-License-Identifier: Apache-2.0 */
/* Values that come back. Handles keep secrets out of rules, plugins and the database; what no handle can do anything
 * about is a server that repeats what it was sent, or a request from outside that carries the value itself. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "data/hide.h"
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

static bool hide_any(void *ctx, const char *text, size_t len, char **ret, size_t *ret_len)
{
    return peri_secrets_hide(ctx, text, len, ret, ret_len);
}

struct peri_value *peri_secrets_hide_value(struct peri_secrets *secrets, struct peri_value *v)
{
    struct peri_hiding hiding = {hide_any, secrets, false, "[secret]", INT_MAX};
    return secrets && v && holds(secrets, v, 0) ? peri_value_hidden(&hiding, v) : peri_value_ref(v);
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
