/* SPDX-License-Identifier: Apache-2.0 */
#include "app/trial_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

void trial_fault(
    struct trial_reader *r, struct peri_place place, const char *code, const char *hint, const char *fmt, ...)
{
    char message[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    peri_diag_add(r->diag, place, PERI_SEV_ERROR, code, hint, "%s", message);
}

bool trial_want(struct trial_reader *r, const struct peri_node *node, enum peri_node_kind kind, const char *what)
{
    if (node->kind == kind && !node->tag)
        return true;
    trial_fault(r, node->place, "wrong-type", NULL, "\"%s\" must be %s, is %s", what,
        kind == PERI_NODE_MAP    ? "a mapping"
        : kind == PERI_NODE_LIST ? "a list"
                                 : "a single value",
        peri_node_describe(node));
    return false;
}

bool trial_check_keys(struct trial_reader *r, const struct peri_node *map, const char *const *known, const char *what)
{
    bool good = true;
    for (size_t i = 0; i < map->count; i++) {
        const struct peri_node *key = map->pairs[i].key;
        bool found = false;
        for (const char *const *k = known; *k; k++)
            found = found || strcmp(*k, key->text) == 0;
        if (found)
            continue;
        char hint[400];
        const char *near = peri_nearest(key->text, known);
        int n = snprintf(hint, sizeof(hint), near ? "did you mean \"%s\"?" : "keys of %s:", near ? near : what);
        for (const char *const *k = known; !near && *k && n > 0 && n < (int)sizeof(hint); k++)
            n += snprintf(hint + n, sizeof(hint) - (size_t)n, "%s %s", k == known ? "" : ",", *k);
        trial_fault(r, key->place, "unknown-key", hint, "unknown key \"%.80s\"", key->text);
        good = false;
    }
    return good;
}

/* NULL when it is no text. */
const char *trial_text(struct trial_reader *r, const struct peri_node *node, const char *what)
{
    if (node->kind == PERI_NODE_SCALAR && node->type == PERI_STRING && !node->tag && node->len > 0)
        return node->text;
    trial_fault(r, node->place, "wrong-type", NULL, "\"%s\" must be a text, is %s", what, peri_node_describe(node));
    return NULL;
}

struct peri_value *trial_value(struct trial_reader *r, const struct peri_node *node)
{
    struct peri_value *v = NULL;
    struct peri_error err = {0};
    enum peri_status st = peri_node_value(node, NULL, NULL, &v, &err);
    if (st == PERI_ENOMEM)
        r->nomem = true;
    else if (st)
        trial_fault(r, node->place, "bad-value", NULL, "%s", err.message);
    return v;
}

void trial_read_error(struct trial_reader *r, const struct peri_node *node, bool *ret_fails, struct peri_error *ret)
{
    static const char *const known[] = {"code", "message", "retryable", "outcome_unknown", NULL};
    if (!trial_want(r, node, PERI_NODE_MAP, "error") || !trial_check_keys(r, node, known, "error"))
        return;
    const struct peri_node *code = peri_node_get(node, "code", NULL), *message = peri_node_get(node, "message", NULL);
    const char *word = code ? trial_text(r, code, "code") : "failed",
               *text = message ? trial_text(r, message, "message") : "it failed";
    struct peri_value *v = trial_value(r, node);
    *ret_fails = true;
    (void)peri_error_set(ret, PERI_EINVAL, word ? word : "failed", "%s", text ? text : "it failed");
    ret->retryable = peri_map_bool(v, "retryable", false);
    ret->outcome_unknown = peri_map_bool(v, "outcome_unknown", false);
    peri_value_unref(v);
}
