/* SPDX-License-Identifier: Apache-2.0 */
/* Walks the tree as it was written, not the compiled rule: what is reported is a place in the author's file, and what
 * is tried is a text that anybody could have written. */
#include "lang/rule_mutate.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "base/vec.h"
#include "lang/duration.h"
#include "lang/expr_lex.h"
#include "lang/rule_internal.h"

#define PATH_MAX_LEN 512

struct walker {
    const struct peri_node *rule;
    struct peri_mutants *list;
    bool nomem;
};

static bool is_one_of(const char *word, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(*list, word) == 0)
            return true;
    return false;
}

/* The mutant in which `edit->node` is changed; at: the place that is named. */
static void mutant(struct walker *w, const struct rule_edit *edit, const struct peri_node *at, const char *path)
{
    static const char *const changes[] = {[RULE_EDIT_DROP] = "without",
        [RULE_EDIT_NEGATE] = "negated",
        [RULE_EDIT_ALWAYS] = "always",
        [RULE_EDIT_REPLACE] = "changed"};
    struct peri_buf out;
    peri_buf_init(&out, PERI_RULE_MAX_TEXT * 2);
    peri_rule_write_node(&out, w->rule, edit);
    char *text = out.failed ? NULL : peri_strndup(peri_buf_text(&out), out.len), *copy = peri_strdup(path),
         *to = peri_strdup(edit->text);
    struct peri_mutants *l = w->list;
    if (text && copy && (to || !edit->text) && peri_vec_grow(&l->items, &l->cap, l->count + 1, sizeof(*l->items))) {
        l->items[l->count++] = (struct peri_mutant){at->place, copy, changes[edit->how], to, text};
    } else {
        w->nomem = w->nomem || out.failed != PERI_ELIMIT;
        free(text);
        free(copy);
        free(to);
    }
    peri_buf_finish(&out);
}

static void drop(struct walker *w, const struct peri_node *node, const struct peri_node *at, const char *path)
{
    mutant(w, &(struct rule_edit){.node = node, .how = RULE_EDIT_DROP}, at, path);
}

static void below(char out[PATH_MAX_LEN], const char *path, const char *fmt, ...) PERI_PRINTF(3, 4);
static void below(char out[PATH_MAX_LEN], const char *path, const char *fmt, ...)
{
    va_list ap;
    int n = snprintf(out, PATH_MAX_LEN, "%s", path);
    if (n < 0 || n >= PATH_MAX_LEN)
        return;
    va_start(ap, fmt);
    vsnprintf(out + n, (size_t)(PATH_MAX_LEN - n), fmt, ap);
    va_end(ap);
}

static void replace(struct walker *w, const struct peri_node *node, const char *path, const char *text, bool number)
{
    mutant(w, &(struct rule_edit){node, RULE_EDIT_REPLACE, text, number}, node, path);
}

/* ---- bounds ---- */

/* The comparison that takes in the number itself, or leaves it out; NULL: text is none. */
static const char *other_bound(const char *text)
{
    static const char *const pairs[][2] = {{"<", "<="}, {"<=", "<"}, {">", ">="}, {">=", ">"}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        if (strcmp(pairs[i][0], text) == 0)
            return pairs[i][1];
    return NULL;
}

/* [">", 0, "<=", 100] of a `numeric`. */
static void walk_numeric(struct walker *w, const struct peri_node *list, const char *path)
{
    char name[PATH_MAX_LEN], text[24];
    for (size_t i = 0; list->kind == PERI_NODE_LIST && i + 1 < list->count; i += 2) {
        const struct peri_node *op = list->items[i], *number = list->items[i + 1];
        const char *other = op->kind == PERI_NODE_SCALAR ? other_bound(op->text) : NULL;
        long long n;
        if (!other)
            continue;
        below(name, path, "[%zu]", i);
        replace(w, op, name, other, false);
        below(name, path, "[%zu]", i + 1);
        for (int step = -1; step <= 1 && number->kind == PERI_NODE_SCALAR && peri_parse_i64(number->text, &n);
             step += 2) {
            snprintf(text, sizeof(text), "%lld", n + step);
            replace(w, number, name, text, true);
        }
    }
}

#define TOKENS_MAX 200

struct token {
    enum expr_token_kind kind;
    size_t offset, size;
};

/* The tokens of an expression, up to the first mistake. */
static size_t read_tokens(const char *text, size_t len, struct token tokens[TOKENS_MAX])
{
    struct peri_expr_problem problem;
    struct expr_lexer lexer = {.text = text, .len = len, .problem = &problem};
    size_t n = 0;
    while (n < TOKENS_MAX && peri_expr_lex(&lexer) == PERI_OK && lexer.kind != TOKEN_END) {
        tokens[n++] = (struct token){lexer.kind, lexer.offset, lexer.size};
        peri_value_unref(lexer.value);
        lexer.value = NULL;
    }
    peri_value_unref(lexer.value);
    return n;
}

static bool is_bound(const struct token *t)
{
    return t->kind >= TOKEN_LT && t->kind <= TOKEN_GE;
}

/* The expression with other words in place of a token; from: where the expression begins in the node's text. */
static void splice(struct walker *w, const struct peri_node *node, const char *path, size_t from, const struct token *t,
    const char *words)
{
    size_t at = from + t->offset;
    char *text = peri_asprintf("%.*s%s%s", (int)at, node->text, words, node->text + at + t->size);
    if (text)
        replace(w, node, path, text, false);
    else
        w->nomem = true;
    free(text);
}

/* Comparisons in a condition that is written as an expression, with or without braces. */
static void walk_expression(struct walker *w, const struct peri_node *node, const char *path)
{
    struct token tokens[TOKENS_MAX];
    char words[32];
    if (node->kind != PERI_NODE_SCALAR || node->type != PERI_STRING || node->tag || strlen(node->text) != node->len)
        return;
    size_t from = strncmp(node->text, "{{", 2) == 0 ? 2 : 0, len = node->len - from;
    if (from && len >= 2 && strcmp(node->text + node->len - 2, "}}") == 0)
        len -= 2;
    size_t n = read_tokens(node->text + from, len, tokens);
    for (size_t i = 0; i < n; i++) {
        const struct token *t = &tokens[i];
        long long number;
        snprintf(words, sizeof(words), "%.*s", (int)(t->size < 31 ? t->size : 31), node->text + from + t->offset);
        if (is_bound(t)) {
            splice(w, node, path, from, t, other_bound(words));
            continue;
        }
        bool beside = (i > 0 && is_bound(&tokens[i - 1])) || (i + 1 < n && is_bound(&tokens[i + 1]));
        if (t->kind != TOKEN_NUMBER || !beside || !peri_parse_i64(words, &number))
            continue;
        for (int step = -1; step <= 1; step += 2) {
            snprintf(words, sizeof(words), "%lld", number + step);
            splice(w, node, path, from, t, words);
        }
    }
}

/* ---- match ---- */

/* gone: what goes when the map's only field goes. */
static void walk_match(struct walker *w, const struct peri_node *map, const struct peri_node *gone, const char *path)
{
    char name[PATH_MAX_LEN];
    if (map->kind != PERI_NODE_MAP)
        return;
    for (size_t i = 0; i < map->count; i++) {
        const struct peri_pair *pair = &map->pairs[i];
        const struct peri_node *value = pair->value, *field = map->count == 1 ? gone : value;
        below(name, path, ".%s", pair->key->text);
        if (value->kind == PERI_NODE_MAP) {
            walk_match(w, value, field, name);
            continue;
        }
        drop(w, field, pair->key, name);
        for (size_t k = 0; value->kind == PERI_NODE_LIST && value->count > 1 && k < value->count; k++) {
            char item[PATH_MAX_LEN];
            below(item, name, "[%zu]", k);
            drop(w, value->items[k], value->items[k], item);
            if (strcmp(pair->key->text, "$or") == 0)
                walk_match(w, value->items[k], value->items[k], item);
        }
        for (size_t k = 0; value->kind == PERI_NODE_LIST && k < value->count; k++) {
            const struct peri_node *numeric = peri_node_get(value->items[k], "numeric", NULL);
            char item[PATH_MAX_LEN];
            below(item, name, "[%zu].numeric", k);
            if (numeric)
                walk_numeric(w, numeric, item);
        }
    }
}

/* ---- conditions ---- */

static void walk(struct walker *w, const struct peri_node *node, const char *path);

static void negate(struct walker *w, const struct peri_node *node, const char *path)
{
    mutant(w, &(struct rule_edit){.node = node, .how = RULE_EDIT_NEGATE}, node, path);
}

/* The list of `conditions`, `all` or `any`; gone: what goes with its only item, NULL: nothing can. */
static void walk_list(struct walker *w, const struct peri_node *list, const struct peri_node *gone, const char *path)
{
    char name[PATH_MAX_LEN];
    for (size_t i = 0; i < list->count; i++) {
        const struct peri_node *item = list->items[i], *what = list->count > 1 ? item : gone;
        below(name, path, "[%zu]", i);
        if (what)
            drop(w, what, item, name);
        negate(w, item, name);
        if (item->kind == PERI_NODE_MAP)
            walk(w, item, name);
        else if (item->kind == PERI_NODE_LIST)
            walk_list(w, item, NULL, name);
        else
            walk_expression(w, item, name);
    }
}

/* `if`: a guard can go; that of a step with branches can only hold always. */
static void walk_if(struct walker *w, const struct peri_node *map, const struct peri_pair *pair, const char *path)
{
    const struct peri_node *value = pair->value;
    if (peri_node_get(map, "then", NULL) || peri_node_get(map, "do", NULL))
        mutant(w, &(struct rule_edit){.node = value, .how = RULE_EDIT_ALWAYS}, value, path);
    else
        drop(w, value, value, path);
    negate(w, value, path);
    if (value->kind == PERI_NODE_MAP)
        walk(w, value, path);
    else if (value->kind == PERI_NODE_LIST)
        walk_list(w, value, NULL, path);
    else
        walk_expression(w, value, path);
}

/* ---- the rest ---- */

/* A duration of twice, and of half the time. */
static void walk_duration(struct walker *w, const struct peri_node *node, const char *path)
{
    int64_t ms = 0;
    char text[48];
    if (node->kind != PERI_NODE_SCALAR || peri_duration_parse(node->text, node->len, &ms, NULL) || ms < 2)
        return;
    replace(w, node, path, peri_duration_format(ms * 2, text), false);
    replace(w, node, path, peri_duration_format(ms / 2, text), false);
}

/* Each key of the mapping alone, or all of it when there is only one. */
static void walk_limits(struct walker *w, const struct peri_node *map, const char *path)
{
    char name[PATH_MAX_LEN];
    if (map->kind != PERI_NODE_MAP || map->count < 2)
        drop(w, map, map, path);
    walk_duration(w, map, path);
    for (size_t i = 0; map->kind == PERI_NODE_MAP && i < map->count; i++) {
        below(name, path, ".%s", map->pairs[i].key->text);
        if (map->count > 1)
            drop(w, map->pairs[i].value, map->pairs[i].key, name);
        walk_duration(w, map->pairs[i].value, name);
    }
}

static void walk_pair(struct walker *w, const struct peri_node *map, const struct peri_pair *pair, const char *path)
{
    /* What these hold is data of the author's own. */
    static const char *const data[] = {"params", "data", "set", "lua", "retry", "schema", "expanded_from", NULL};
    static const char *const whole[] = {"quiet_hours", "rate_limit", "cancel_on", "for", NULL};
    static const char *const lists[] = {"conditions", "all", "any", NULL};
    const char *key = pair->key->text;
    const struct peri_node *value = pair->value;
    if (is_one_of(key, data))
        return;
    if (strcmp(key, "match") == 0) {
        walk_match(w, value, value, path);
    } else if (is_one_of(key, lists) && value->kind == PERI_NODE_LIST) {
        walk_list(w, value, strcmp(key, "conditions") == 0 ? value : NULL, path);
    } else if (strcmp(key, "not") == 0) {
        negate(w, value, path);
        walk_expression(w, value, path);
        walk(w, value, path);
    } else if (strcmp(key, "expr") == 0) {
        walk_expression(w, value, path);
    } else if (map == w->rule && (strcmp(key, "key") == 0 || strcmp(key, "mode") == 0)) {
        drop(w, value, pair->key, path);
    } else if (strcmp(key, "if") == 0) {
        walk_if(w, map, pair, path);
    } else if (strcmp(key, "throttle") == 0) {
        walk_limits(w, value, path);
    } else {
        if (is_one_of(key, whole))
            drop(w, value, pair->key, path);
        walk(w, value, path);
    }
}

static void walk(struct walker *w, const struct peri_node *node, const char *path)
{
    char name[PATH_MAX_LEN];
    for (size_t i = 0; i < node->count && node->kind != PERI_NODE_SCALAR; i++) {
        if (node->kind == PERI_NODE_LIST) {
            below(name, path, "[%zu]", i);
            walk(w, node->items[i], name);
        } else {
            below(name, path, "%s%s", path[0] ? "." : "", node->pairs[i].key->text);
            walk_pair(w, node, &node->pairs[i], name);
        }
    }
}

static bool is_null(const struct peri_node *node)
{
    return node->kind == PERI_NODE_SCALAR && node->type == PERI_NULL && !node->tag;
}

char *peri_rule_edited(const struct peri_node *rule, const struct peri_node *changes)
{
    struct peri_buf out;
    bool first = true;
    peri_buf_init(&out, PERI_RULE_MAX_TEXT * 2);
    (void)peri_buf_putc(&out, '{');
    for (int own = 1; own >= 0; own--) {
        const struct peri_node *from = own ? rule : changes;
        for (size_t i = 0; i < from->count; i++) {
            const struct peri_node *key = from->pairs[i].key, *value = from->pairs[i].value,
                                   *other = peri_node_get(own ? changes : rule, key->text, NULL);
            value = own && other ? other : value;
            if ((!own && other) || (is_null(value) && (!own || other)))
                continue;
            (void)peri_buf_puts(&out, first ? "" : ", ");
            peri_rule_write_node(&out, key, NULL);
            (void)peri_buf_puts(&out, ": ");
            peri_rule_write_node(&out, value, NULL);
            first = false;
        }
    }
    (void)peri_buf_putc(&out, '}');
    char *text = out.failed ? NULL : peri_buf_take(&out, NULL);
    peri_buf_finish(&out);
    return text;
}

enum peri_status peri_rule_mutants(const struct peri_node *rule, struct peri_mutants *ret)
{
    struct walker w = {.rule = rule, .list = ret};
    walk(&w, rule, "");
    if (!w.nomem)
        return PERI_OK;
    peri_mutants_finish(ret);
    return PERI_ENOMEM;
}

void peri_mutants_finish(struct peri_mutants *mutants)
{
    for (size_t i = 0; i < mutants->count; i++) {
        free(mutants->items[i].path);
        free(mutants->items[i].text);
        free(mutants->items[i].to);
    }
    free(mutants->items);
    memset(mutants, 0, sizeof(*mutants));
}
