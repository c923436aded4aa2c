/* SPDX-License-Identifier: Apache-2.0 */
/* The operator of a condition or step, and its parameters against the operator's schema. What a template gives is known
 * only when the rule runs, so such a value counts as present and is not checked further. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"
#include "lang/rule_internal.h"

static void check_value(
    struct rule_reader *r, const struct peri_value *schema, const struct peri_node *node, const char *name);

/* ---- the schema as a value ---- */

static bool type_is(const struct peri_value *type, const char *wanted)
{
    const char *text = peri_value_text(type);
    return text && strcmp(text, wanted) == 0;
}

static bool allows(const struct peri_value *schema, const char *type)
{
    const struct peri_value *t = peri_map_at(schema, "type");
    bool found = !t || type_is(t, type);
    for (size_t i = 0; i < peri_value_count(t) && !found; i++)
        found = type_is(peri_list_at(t, i), type);
    return found;
}

static const char *nearest_property(struct rule_reader *r, const struct peri_value *properties, const char *word)
{
    const char **names = calloc(peri_value_count(properties) + 1, sizeof(*names));
    size_t n = 0;
    if (!names) {
        peri_rule_nomem(r);
        return NULL;
    }
    for (void *it = peri_map_first(properties); it; it = peri_map_next(properties, it))
        names[n++] = peri_map_key(it, NULL);
    const char *near = peri_nearest(word, names);
    free(names);
    return near;
}

/* ---- constants ---- */

static bool is_constant(const struct peri_node *node)
{
    if (node->kind == PERI_NODE_SCALAR)
        return !node->tag && (node->type != PERI_STRING || !peri_template_is_text_dynamic(node->text, node->len));
    for (size_t i = 0; i < node->count; i++)
        if (!is_constant(node->kind == PERI_NODE_MAP ? node->pairs[i].value : node->items[i]))
            return false;
    return true;
}

enum mend { MEND_NONE, MEND_QUOTE, MEND_UNQUOTE, MEND_WORD };

/* What would make a scalar fit; *ret_near is the word for MEND_WORD. */
static enum mend mend_type(const struct peri_value *schema, const struct peri_node *node, const char **ret_near)
{
    const struct peri_value *choices = peri_map_at(schema, "enum");
    const char *names[65];
    size_t n = 0;
    if (node->kind != PERI_NODE_SCALAR)
        return MEND_NONE;
    if (node->plain && node->type != PERI_STRING && node->type != PERI_NULL && allows(schema, "string"))
        return MEND_QUOTE;
    if (!node->plain && node->type == PERI_STRING && !allows(schema, "string") && node->len > 0 &&
        strspn(node->text, "+-.0123456789eE") == node->len)
        return MEND_UNQUOTE;
    for (size_t i = 0; i < peri_value_count(choices) && n < 64; i++)
        if (peri_value_text(peri_list_at(choices, i)))
            names[n++] = peri_value_text(peri_list_at(choices, i));
    names[n] = NULL;
    *ret_near = n > 0 ? peri_nearest(node->text, names) : NULL;
    return *ret_near ? MEND_WORD : MEND_NONE;
}

static const char *type_hint(const struct peri_value *schema, const struct peri_node *node, char *out, size_t size)
{
    const char *near = NULL;
    switch (mend_type(schema, node, &near)) {
    case MEND_QUOTE:
        return "put it in quotes";
    case MEND_UNQUOTE:
        return "write it without quotes";
    case MEND_WORD:
        snprintf(out, size, "did you mean \"%s\"?", near);
        return out;
    case MEND_NONE:
        break;
    }
    return NULL;
}

static void fix_type(struct rule_reader *r, const struct peri_value *schema, const struct peri_node *node)
{
    const char *near = NULL;
    enum mend mend = mend_type(schema, node, &near);
    if (mend == MEND_QUOTE)
        peri_rule_fix_quotes(r, node);
    else if (mend == MEND_UNQUOTE)
        peri_rule_fix_unquote(r, node);
    else if (mend == MEND_WORD)
        peri_diag_fix(r->diag, node->place, node->text, near);
}

/* The first thing that is wrong with a constant. */
static void check_constant(struct rule_reader *r, const struct peri_value *schema, const struct peri_node *node,
    const struct peri_value *value, const char *name)
{
    struct peri_schema *compiled = NULL;
    struct peri_schema_report report = {0};
    char hint[160];
    if (peri_schema_compile(schema, &compiled, NULL) != PERI_OK)
        return; /* the host has refused such an operator already */
    if (peri_schema_check(compiled, value, &report) == PERI_EINVAL && report.count > 0) {
        const struct peri_schema_error *e = &report.items[0];
        const struct peri_node *at = peri_node_at_pointer(node, e->pointer);
        peri_rule_fault(r, at->place, "param-type", at == node ? type_hint(schema, node, hint, sizeof(hint)) : NULL,
            "parameter \"%s%s\" %s", name, e->pointer, e->message);
        if (at == node)
            fix_type(r, schema, node);
    }
    peri_schema_report_finish(&report);
    peri_schema_destroy(compiled);
}

static void check_plain(
    struct rule_reader *r, const struct peri_value *schema, const struct peri_node *node, const char *name)
{
    struct peri_value *value = NULL;
    if (peri_node_value(node, NULL, NULL, &value, NULL) != PERI_OK)
        return;
    check_constant(r, schema, node, value, name);
    peri_value_unref(value);
}

/* A text with {{ }} in it. Mistakes in the expressions are reported where the parameters are compiled. */
static void check_dynamic_text(
    struct rule_reader *r, const struct peri_value *schema, const struct peri_node *node, const char *name)
{
    struct peri_template *t = NULL;
    struct peri_diag unused;
    struct peri_value *value = NULL;
    struct peri_scope scope = {.tz = r->env ? r->env->tz : NULL};
    peri_diag_init(&unused);
    if (peri_template_compile(node, NULL, &t, &unused) == PERI_OK) {
        if (peri_template_is_constant(t) && peri_template_render(t, &scope, &value, NULL) == PERI_OK)
            check_constant(r, schema, node, value, name);
        else if (!peri_template_expr(t) && !allows(schema, "string"))
            peri_rule_fault(r, node->place, "param-type", "a template keeps its type only when it is the whole text",
                "parameter \"%s\" must not be a string, but text around {{ }} makes one", name);
    }
    peri_value_unref(value);
    peri_template_destroy(t);
    peri_diag_finish(&unused);
}

/* ---- objects ---- */

/* The required names that are absent, in one finding. */
static void check_required(struct rule_reader *r, const struct peri_value *schema, const struct peri_node *map,
    struct peri_place place, const char *operator_id)
{
    const struct peri_value *required = peri_map_at(schema, "required");
    const char *description = NULL;
    struct peri_buf names;
    size_t n = 0;
    peri_buf_init(&names, 600);
    for (size_t i = 0; i < peri_value_count(required); i++) {
        const char *name = peri_value_text(peri_list_at(required, i));
        if (!name || peri_node_get(map, name, NULL))
            continue;
        (void)peri_buf_printf(&names, "%s\"%s\"", n++ ? ", " : "", name);
        description = peri_map_text(peri_map_at(peri_map_at(schema, "properties"), name), "description");
    }
    char *hint = n == 1 && description ? peri_asprintf("%s: %s", peri_buf_text(&names), description) : NULL;
    if (n > 0)
        peri_rule_fault(r, place, "param-missing", hint, "%s %s of %s %s missing", n == 1 ? "parameter" : "parameters",
            peri_buf_text(&names), operator_id, n == 1 ? "is" : "are");
    free(hint);
    peri_buf_finish(&names);
}

static void check_unknown(struct rule_reader *r, const struct peri_value *schema, const struct peri_node *key)
{
    const struct peri_value *properties = peri_map_at(schema, "properties");
    const char *near = nearest_property(r, properties, key->text);
    struct peri_buf hint;
    peri_buf_init(&hint, 600);
    if (near)
        (void)peri_buf_printf(&hint, "did you mean \"%s\"?", near);
    else
        (void)peri_buf_puts(&hint, peri_value_count(properties) ? "known:" : "it takes none");
    size_t n = 0;
    for (void *it = near ? NULL : peri_map_first(properties); it; it = peri_map_next(properties, it))
        (void)peri_buf_printf(&hint, "%s %s", n++ ? "," : "", peri_map_key(it, NULL));
    peri_rule_fault(r, key->place, "param-unknown", peri_buf_text(&hint), "unknown parameter \"%.80s\"", key->text);
    if (near)
        peri_diag_fix(r->diag, key->place, key->text, near);
    peri_buf_finish(&hint);
}

static void check_object(struct rule_reader *r, const struct peri_value *schema, const struct peri_node *map,
    struct peri_place place, const char *what)
{
    const struct peri_value *properties = peri_map_at(schema, "properties");
    const struct peri_value *more = peri_map_at(schema, "additionalProperties");
    size_t before = r->diag->errors, unknown = 0;
    for (size_t i = 0; map && i < map->count; i++) {
        const struct peri_node *key = map->pairs[i].key, *value = map->pairs[i].value;
        const struct peri_value *sub = peri_map_at(properties, key->text);
        if (sub)
            check_value(r, sub, value, key->text);
        else if (more && peri_value_is(more, PERI_BOOL) && !peri_value_as_bool(more))
            check_unknown(r, schema, key), unknown++;
        else if (more && peri_value_is(more, PERI_MAP))
            check_value(r, more, value, key->text);
    }
    if (unknown == 0 && (map || !r->params_doubtful)) /* an unknown one may be a missing one misspelt */
        check_required(r, schema, map, place, what);
    if (map && r->diag->errors == before && is_constant(map))
        check_plain(r, schema, map, what); /* what is left: minProperties and the like */
}

static void check_value(
    struct rule_reader *r, const struct peri_value *schema, const struct peri_node *node, const char *name)
{
    if (!peri_value_is(schema, PERI_MAP) || (node->kind == PERI_NODE_SCALAR && node->tag))
        return;
    if (node->kind == PERI_NODE_SCALAR && !is_constant(node)) {
        check_dynamic_text(r, schema, node, name);
    } else if (node->kind == PERI_NODE_SCALAR || is_constant(node)) {
        if (node->kind == PERI_NODE_MAP && allows(schema, "object"))
            check_object(r, schema, node, node->place, name);
        else
            check_plain(r, schema, node, name);
    } else if (!allows(schema, node->kind == PERI_NODE_MAP ? "object" : "array")) {
        peri_rule_fault(
            r, node->place, "param-type", NULL, "parameter \"%s\" cannot be %s", name, peri_node_describe(node));
    } else if (node->kind == PERI_NODE_MAP) {
        check_object(r, schema, node, node->place, name);
    } else {
        const struct peri_value *items = peri_map_at(schema, "items");
        for (size_t i = 0; items && i < node->count; i++)
            check_value(r, items, node->items[i], name);
    }
}

/* ---- operators ---- */

static bool has_word(const char *id, const char *word, size_t len)
{
    for (const char *at = id; *at; at++)
        if (strncasecmp(at, word, len) == 0 && (at == id || at[-1] == '.' || (*at >= 'A' && *at <= 'Z')))
            return true;
    return false;
}

/* The first operator with a word of the id, the last word first: "email.send" is comms.sendEmail, "http.post" is
 * http.request. */
static const char *operator_like(const char *id, const char *const *ids)
{
    static const char *const vague[] = {"send", "get", "set", "create", "update", "run", "call", "check", "do", "post"};
    for (const char *end = id + strlen(id), *at; end > id; end = at > id ? at - 1 : id) {
        for (at = end; at > id && at[-1] != '.'; at--)
            ;
        size_t len = (size_t)(end - at);
        bool skip = len < 3;
        for (size_t i = 0; i < sizeof(vague) / sizeof(vague[0]); i++)
            skip = skip || (strlen(vague[i]) == len && strncasecmp(vague[i], at, len) == 0);
        for (size_t i = 0; !skip && ids[i]; i++)
            if (has_word(ids[i], at, len))
                return ids[i];
    }
    return NULL;
}

static void unknown_operator(struct rule_reader *r, const struct peri_node *id)
{
    char hint[200];
    const char *const *ids = r->env->operator_ids ? r->env->operator_ids(r->env->ctx) : NULL;
    const char *near = ids ? peri_nearest(id->text, ids) : NULL;
    const char *alike = ids && !near ? operator_like(id->text, ids) : NULL;
    if (near || alike)
        snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near ? near : alike);
    else
        snprintf(hint, sizeof(hint), "perigee operators list shows them; is the plugin that offers it loaded?");
    peri_rule_fault(r, id->place, "unknown-operator", hint, "unknown operator \"%.100s\"", id->text);
    if (near)
        peri_diag_fix(r->diag, id->place, id->text, near);
}

void peri_rule_check_operator(
    struct rule_reader *r, const struct peri_node *id, const struct peri_node *params, bool as_condition)
{
    struct peri_operator_facts facts = {0};
    if (peri_template_is_text_dynamic(id->text, id->len)) {
        peri_rule_fault(r, id->place, "unknown-operator",
            "choose between steps with if: or choose:", "an operator cannot be named by a template");
        return;
    }
    if (!r->env || !r->env->operator_facts)
        return;
    if (!r->env->operator_facts(r->env->ctx, id->text, &facts)) {
        unknown_operator(r, id);
        return;
    }
    if (as_condition ? !facts.is_condition : !facts.is_action) {
        peri_rule_fault(r, id->place, "operator-kind",
            as_condition ? "actions stand under actions:" : "conditions stand under conditions: or if:",
            "\"%s\" is %s, not %s", id->text, as_condition ? "an action" : "a condition",
            as_condition ? "a condition" : "an action");
        return;
    }
    const struct peri_value *schema = facts.params ? peri_schema_source(facts.params) : NULL;
    if (peri_value_is(schema, PERI_MAP) && (!params || params->kind == PERI_NODE_MAP))
        check_object(r, schema, params, params ? params->place : id->place, id->text);
}
