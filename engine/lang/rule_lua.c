/* SPDX-License-Identifier: Apache-2.0 */
/* Inline Lua. A condition or step with `lua:` is a call of the reserved operator "lua", whose parameters hold the code
 * and the values that it names: {kind, code, at, line, names: {event, ...}}. So it is stored, shown and carried out as
 * any other call, and what a run has seen stands in its history. Names that the code does not contain are not handed
 * over: payloads would otherwise be stored once more for each script. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "lang/rule_internal.h"

#define MAX_NAMES 64 /* that one script hands over */

struct words {
    struct {
        const char *text;
        size_t len;
    } items[MAX_NAMES];
    size_t count;
};

/* Else it is from now on. */
static bool seen(struct words *words, const char *text, size_t len)
{
    for (size_t i = 0; i < words->count; i++)
        if (words->items[i].len == len && memcmp(words->items[i].text, text, len) == 0)
            return true;
    words->items[words->count].text = text;
    words->items[words->count++].len = len;
    return false;
}

/* "name | default(nil)": what a run has not bound is nil, as Lua's authors expect. */
static enum peri_status add_name(struct rule_reader *r, struct peri_template *names, const char *name, size_t len)
{
    struct peri_template *t = NULL;
    char *text = peri_asprintf("%.*s | default(nil)", (int)len, name);
    enum peri_status st = text ? peri_template_expression(text, strlen(text), &r->names, &t) : PERI_ENOMEM;
    free(text);
    return st ? st : peri_template_map_add(names, name, len, t);
}

/* Every word of the code that can be named here, once; fields (a.event) are none. */
static enum peri_status add_names(struct rule_reader *r, const struct peri_node *node, struct peri_template *names)
{
    struct words words = {0};
    enum peri_status st = PERI_OK;
    char before = '\0';
    for (const char *p = node->text, *end = p + node->len; p < end && st == PERI_OK && words.count < MAX_NAMES;) {
        size_t n = 0;
        while (p + n < end && (isalnum((unsigned char)p[n]) || p[n] == '_'))
            n++;
        bool field = before == '.' || before == ':';
        if (n > 0 && !field && peri_rule_names_bound(r, p, n) && !seen(&words, p, n)) {
            st = add_name(r, names, p, n);
            if (r->read_input && n == 5 && memcmp(p, "input", n) == 0)
                r->read_input(r->read_input_ctx, "*");
        }
        if (n > 0)
            before = ' ';
        else if (!isspace((unsigned char)*p))
            before = *p == '.' && before == '.' ? ' ' : *p; /* ".." joins, it is no field */
        p += n > 0 ? n : 1;
    }
    return st;
}

static enum peri_status add_constant(struct peri_template *map, const char *key, struct peri_value *value)
{
    return peri_template_map_add(map, key, strlen(key), peri_template_constant(value));
}

static struct peri_template *params_of(
    struct rule_reader *r, const struct peri_node *node, const char *path, bool as_condition)
{
    struct peri_template *params = peri_template_map(5), *names = peri_template_map(MAX_NAMES);
    struct peri_place place = peri_node_text_place(node, 0);
    bool stored = !r->env || !r->env->operator_facts; /* the places of a stored rule are not those of its file */
    r->rule->scripted = true;
    enum peri_status st = params && names ? add_names(r, node, names) : PERI_ENOMEM;
    if (st == PERI_OK)
        st = add_constant(params, "kind", peri_value_str(as_condition ? "condition" : "step"));
    if (st == PERI_OK)
        st = add_constant(params, "code", peri_value_strn(node->text, node->len));
    if (st == PERI_OK)
        st = add_constant(params, "at", peri_value_str(stored ? path : place.file));
    if (st == PERI_OK)
        st = add_constant(params, "line", peri_value_int(stored ? 1 : place.line));
    if (st == PERI_OK) {
        st = peri_template_map_add(params, "names", 5, names);
        names = NULL;
    }
    if (st == PERI_OK)
        return params;
    peri_template_destroy(names);
    peri_template_destroy(params);
    peri_rule_nomem(r);
    return NULL;
}

/* The text "near 'x'" in the message says where in its line the mistake is. */
static struct peri_place place_of(const struct peri_node *node, int line, const char *message)
{
    const char *start = node->text, *end;
    for (int i = 1; i < line && (end = strchr(start, '\n')) && end[1]; i++)
        start = end + 1;
    size_t len = strcspn(start, "\n"), at = strspn(start, " \t");
    const char *near = strstr(message, "near '");
    const char *close = near ? strchr(near + 6, '\'') : NULL;
    for (size_t i = 0; close && i + (size_t)(close - near - 6) <= len; i++)
        if (strncmp(start + i, near + 6, (size_t)(close - near - 6)) == 0) {
            at = i;
            break;
        }
    return peri_node_text_place(node, (size_t)(start - node->text) + (at < len ? at : 0));
}

static bool check(struct rule_reader *r, const struct peri_node *node)
{
    struct peri_error err = {0};
    int line = 1;
    if (node->len > PERI_RULE_MAX_LUA) {
        peri_rule_fault(r, node->place, "too-large", "make a plugin of it (docs/plugins.md)",
            "the script is larger than %d KiB", PERI_RULE_MAX_LUA / 1024);
        return false;
    }
    if (!r->env || !r->env->check_lua || r->env->check_lua(node->text, node->len, &line, &err) == PERI_OK)
        return true;
    peri_rule_fault(r, place_of(node, line, err.message), "lua-syntax", NULL, "%s", err.message);
    return false;
}

struct peri_template *peri_rule_read_lua(
    struct rule_reader *r, const struct peri_node *node, const char *path, bool as_condition)
{
    if (!peri_rule_text(r, node, "lua") || !check(r, node))
        return NULL;
    return params_of(r, node, path, as_condition);
}
