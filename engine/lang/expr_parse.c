/* SPDX-License-Identifier: Apache-2.0 */
/* Precedence climbing over the tokens of expr_lex.c. Filters bind tighter than every operator (as in Jinja and Liquid):
 * "a .. b | upper" raises b only. Lua's own "|" stands between ".." and the comparisons; it was not taken, because
 * "'Hello ' .. event.name | default('you')" would then drop the greeting. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "lang/expr_internal.h"
#include "lang/expr_lex.h"
#include "lang/foreign.h"

struct parser {
    struct expr_lexer lx;
    const struct peri_expr_names *names;
    int depth;
    bool constant;
};

static enum peri_status parse_binary(struct parser *p, int min_level, struct expr_node **ret);
static enum peri_status fail_rest(struct parser *p, const char *wanted);

static void node_destroy(struct expr_node *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < n->part_count; i++) {
        free(n->parts[i].key);
        node_destroy(n->parts[i].index);
    }
    for (size_t i = 0; i < n->count; i++)
        node_destroy(n->items[i]);
    peri_value_unref(n->literal);
    free(n->root);
    free(n->parts);
    free(n->items);
    free(n);
}

static enum peri_status fail(struct parser *p, size_t offset, const char *code, const char *hint, const char *message)
{
    return peri_expr_problem_set(p->lx.problem, offset, code, hint, "%s", message);
}

static enum peri_status next(struct parser *p)
{
    return peri_expr_lex(&p->lx);
}

/* "found ..." for the current token. */
static enum peri_status fail_token(struct parser *p, const char *wanted)
{
    if (p->lx.kind == TOKEN_END)
        return peri_expr_problem_set(
            p->lx.problem, p->lx.offset, "syntax", NULL, "%s, but the expression ends here", wanted);
    int n = p->lx.size > 40 ? 40 : (int)p->lx.size;
    return peri_expr_problem_set(
        p->lx.problem, p->lx.offset, "syntax", NULL, "%s, not %.*s", wanted, n, p->lx.text + p->lx.offset);
}

static struct expr_node *node_create(enum expr_op op, size_t offset)
{
    struct expr_node *n = calloc(1, sizeof(*n));
    if (n) {
        n->op = op;
        n->offset = offset;
        n->depth = 1;
    }
    return n;
}

static enum peri_status deepen(struct parser *p, struct expr_node *n, const struct expr_node *child)
{
    if (child->depth + 1 > n->depth)
        n->depth = child->depth + 1;
    if (n->depth > PERI_EXPR_MAX_DEPTH)
        return fail(p, n->offset, "syntax", "join long lists of texts with a template: {{ a }} {{ b }}",
            "the expression is nested too deep");
    return PERI_OK;
}

/* Takes child, also on failure. */
static enum peri_status node_add(struct parser *p, struct expr_node *n, struct expr_node *child)
{
    if (!peri_vec_grow(&n->items, &n->cap, n->count + 1, sizeof(struct expr_node *))) {
        node_destroy(child);
        return PERI_ENOMEM;
    }
    n->items[n->count++] = child;
    return deepen(p, n, child);
}

static enum peri_status parse_expression(struct parser *p, struct expr_node **ret)
{
    if (p->depth >= PERI_EXPR_MAX_DEPTH)
        return fail(p, p->lx.offset, "syntax", NULL, "the expression is nested too deep");
    p->depth++;
    enum peri_status st = parse_binary(p, 0, ret);
    p->depth--;
    return st;
}

/* Elements up to the closing token, which is consumed. */
static enum peri_status parse_items(
    struct parser *p, struct expr_node *n, enum expr_token_kind close, const char *wanted)
{
    enum peri_status st = next(p);
    bool first = true;
    while (st == PERI_OK && (p->lx.kind != close || !first)) {
        struct expr_node *item = NULL;
        st = parse_expression(p, &item);
        if (st == PERI_OK)
            st = node_add(p, n, item);
        if (st != PERI_OK || p->lx.kind == close)
            break;
        if (p->lx.kind != TOKEN_COMMA)
            return fail_rest(p, wanted);
        st = next(p);
        first = false;
    }
    return st == PERI_OK ? next(p) : st;
}

static enum peri_status fail_unknown_function(struct parser *p, size_t offset, const char *name, bool filter)
{
    char hint[200] = "";
    const char *other = peri_foreign_function(name);
    const char *near = other ? NULL : peri_nearest(name, peri_expr_function_names());
    if (other)
        snprintf(hint, sizeof(hint), "%s", other);
    else if (near)
        snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
    enum peri_status st = peri_expr_problem_set(p->lx.problem, offset, filter ? "unknown-filter" : "unknown-function",
        hint, "unknown %s \"%.64s\"", filter ? "filter" : "function", name);
    if (near)
        peri_expr_problem_fix(p->lx.problem, name, near);
    return st;
}

/* Number and literal types of the arguments; the rest is found while evaluating. */
static enum peri_status check_arguments(struct parser *p, const struct expr_node *n, bool filter)
{
    const struct expr_function *f = n->function;
    size_t min = peri_expr_function_min_args(f), max = peri_expr_function_max_args(f), hidden = filter ? 1 : 0;
    if (n->count < min || n->count > max) {
        char wanted[64];
        if (max == SIZE_MAX)
            snprintf(wanted, sizeof(wanted), "at least %zu", min - hidden);
        else if (min == max)
            snprintf(wanted, sizeof(wanted), "%zu", min - hidden);
        else
            snprintf(wanted, sizeof(wanted), "%zu to %zu", min - hidden, max - hidden);
        return peri_expr_problem_set(p->lx.problem, n->offset, "filter-args", NULL, "%s takes %s argument%s, not %zu",
            f->name, wanted, strcmp(wanted, "1") == 0 ? "" : "s", n->count - hidden);
    }
    for (size_t i = 0; i < n->count; i++) {
        const struct expr_node *arg = n->items[i];
        char letter = peri_expr_function_arg(f, i);
        char shown[PERI_EXPR_SHOW];
        if (arg->op == EXPR_LITERAL && !peri_expr_arg_fits(letter, arg->literal))
            return peri_expr_problem_set(p->lx.problem, arg->offset, "filter-args", NULL, "%s needs %s here, not %s",
                f->name, peri_expr_arg_name(letter), peri_expr_show(arg->literal, shown));
    }
    return PERI_OK;
}

/* At the name of a filter or function; input (taken, may be NULL) is what a filter is applied to. */
static enum peri_status parse_call(struct parser *p, struct expr_node *input, struct expr_node **ret)
{
    size_t offset = p->lx.offset;
    char name[64];
    snprintf(name, sizeof(name), "%.*s", p->lx.size < sizeof(name) ? (int)p->lx.size : 63, p->lx.text + offset);
    struct expr_node *n = node_create(EXPR_CALL, offset);
    enum peri_status st = n ? PERI_OK : PERI_ENOMEM;
    if (st != PERI_OK) {
        node_destroy(input);
        return st;
    }
    if (input)
        st = node_add(p, n, input);
    n->function = peri_expr_function(name);
    if (st == PERI_OK && (!n->function || (input && n->function->function_only)))
        st = fail_unknown_function(p, offset, name, input != NULL);
    if (st == PERI_OK)
        st = next(p);
    if (st == PERI_OK && p->lx.kind == TOKEN_OPEN)
        st = parse_items(p, n, TOKEN_CLOSE, "expected , or ) after an argument");
    if (st == PERI_OK)
        st = check_arguments(p, n, input != NULL);
    if (st == PERI_OK)
        *ret = n;
    else
        node_destroy(n);
    return st;
}

static enum peri_status add_part(
    struct parser *p, struct expr_node *path, const char *key, size_t len, struct expr_node *index)
{
    char *copy = key ? peri_strndup(key, len) : NULL;
    if ((key && !copy) ||
        !peri_vec_grow(&path->parts, &path->part_cap, path->part_count + 1, sizeof(struct expr_part))) {
        free(copy);
        node_destroy(index);
        return PERI_ENOMEM;
    }
    path->parts[path->part_count++] = (struct expr_part){.key = copy, .len = len, .index = index};
    return index ? deepen(p, path, index) : PERI_OK;
}

static enum peri_status parse_index(struct parser *p, struct expr_node *path)
{
    struct expr_node *index = NULL;
    enum peri_status st = next(p);
    if (st == PERI_OK)
        st = parse_expression(p, &index);
    if (st != PERI_OK)
        return st;
    if (p->lx.kind != TOKEN_CLOSE_LIST) {
        node_destroy(index);
        return fail_token(p, "expected ] after an index");
    }
    if (index->op == EXPR_LITERAL && peri_value_is(index->literal, PERI_STRING)) {
        size_t len = 0;
        const char *key = peri_value_textn(index->literal, &len);
        st = add_part(p, path, key, len, NULL);
        node_destroy(index);
    } else if (index->op == EXPR_LITERAL &&
               (!peri_value_is(index->literal, PERI_INT) || peri_value_as_int(index->literal) == 0)) {
        st = fail(p, index->offset, "syntax", "the first element is [1], the last one [-1]",
            peri_value_is(index->literal, PERI_INT) ? "lists start at 1" : "an index is a whole number or a text");
        node_destroy(index);
    } else {
        st = add_part(p, path, NULL, 0, index);
    }
    return st == PERI_OK ? next(p) : st;
}

static enum peri_status check_member(struct parser *p, const struct expr_node *n, size_t offset)
{
    struct peri_expr_problem unused, *problem = p->lx.problem ? p->lx.problem : &unused;
    if (!p->names || !p->names->member || n->op != EXPR_PATH || !n->root || n->part_count == 0 || !n->parts[0].key)
        return PERI_OK;
    problem->hint[0] = problem->from[0] = '\0';
    problem->offset = offset;
    if (!p->names->member(p->names->ctx, n->root, n->parts[0].key, problem))
        return PERI_EINVAL;
    if (p->names->seen)
        p->names->seen(p->names->ctx, n->root, n->parts[0].key, offset);
    return PERI_OK;
}

/* Paths are short and there are many of them. */
static void trim_parts(struct expr_node *path)
{
    struct expr_part *fit = path->part_count ? realloc(path->parts, path->part_count * sizeof(*fit)) : NULL;
    if (fit) {
        path->parts = fit;
        path->part_cap = path->part_count;
    }
}

/* .name and [index] behind a primary. A primary that is no path becomes the base of one. */
static enum peri_status parse_parts(struct parser *p, struct expr_node **node)
{
    size_t first = p->lx.at; /* after the dot or bracket */
    enum peri_status st = PERI_OK;
    while (st == PERI_OK && (p->lx.kind == TOKEN_DOT || p->lx.kind == TOKEN_OPEN_LIST)) {
        if ((*node)->op != EXPR_PATH) {
            struct expr_node *path = node_create(EXPR_PATH, (*node)->offset);
            if (!path)
                return PERI_ENOMEM;
            struct expr_node *base = *node;
            *node = path;
            st = node_add(p, path, base);
            if (st != PERI_OK)
                return st;
        }
        if (p->lx.kind == TOKEN_OPEN_LIST) {
            st = parse_index(p, *node);
            continue;
        }
        st = next(p);
        if (st != PERI_OK)
            return st;
        if (p->lx.kind == TOKEN_NUMBER)
            return fail(p, p->lx.offset, "syntax", "write the index in brackets: [1] is the first element",
                "a field name cannot be a number");
        if (p->lx.kind < TOKEN_NAME || p->lx.kind > TOKEN_NOT || p->lx.kind == TOKEN_STRING)
            return fail_token(p, "expected a field name after the dot");
        st = add_part(p, *node, p->lx.text + p->lx.offset, p->lx.size, NULL);
        if (st == PERI_OK)
            st = next(p);
    }
    trim_parts(*node);
    return st == PERI_OK ? check_member(p, *node, first) : st;
}

static enum peri_status check_root(struct parser *p, const struct expr_node *n)
{
    size_t len = strlen(n->root);
    if (!p->names || !p->names->known || strcmp(n->root, "now") == 0 || p->names->known(p->names->ctx, n->root, len))
        return PERI_OK;
    char hint[200] = "";
    const char *near = NULL, *other = peri_foreign_root(n->root);
    if (strcmp(n->root, "null") == 0)
        near = "nil";
    else if (p->names->list)
        near = peri_nearest(n->root, p->names->list(p->names->ctx));
    if (near)
        snprintf(hint, sizeof(hint), strcmp(near, "nil") == 0 ? "write %s" : "did you mean \"%s\"?", near);
    else if (other)
        snprintf(hint, sizeof(hint), "%s", other);
    enum peri_status st =
        peri_expr_problem_set(p->lx.problem, n->offset, "unknown-root", hint, "unknown name \"%.64s\"", n->root);
    if (near)
        peri_expr_problem_fix(p->lx.problem, n->root, near);
    return st;
}

/* A root with a value of its own carries it. */
static enum peri_status add_constant(struct parser *p, struct expr_node *n)
{
    const struct peri_value *v = p->names && p->names->constant ? p->names->constant(p->names->ctx, n->root) : NULL;
    if (!v)
        return PERI_OK;
    struct expr_node *literal = node_create(EXPR_LITERAL, n->offset);
    if (!literal)
        return PERI_ENOMEM;
    literal->literal = peri_value_ref(v);
    return node_add(p, n, literal);
}

/* At a name: a call when "(" follows, else the root of a path. */
static enum peri_status parse_name(struct parser *p, struct expr_node **ret)
{
    size_t offset = p->lx.offset, size = p->lx.size, after = p->lx.at;
    while (after < p->lx.len && p->lx.text[after] && strchr(" \t\r\n", p->lx.text[after]))
        after++;
    if (after < p->lx.len && p->lx.text[after] == '(')
        return parse_call(p, NULL, ret);
    struct expr_node *n = node_create(EXPR_PATH, offset);
    if (!n)
        return PERI_ENOMEM;
    n->root = peri_strndup(p->lx.text + offset, size);
    enum peri_status st = n->root ? check_root(p, n) : PERI_ENOMEM;
    if (st == PERI_OK)
        st = add_constant(p, n);
    if (st == PERI_OK)
        st = next(p);
    if (st != PERI_OK) {
        node_destroy(n);
        return st;
    }
    p->constant = false;
    *ret = n;
    return PERI_OK;
}

static enum peri_status parse_literal(struct parser *p, struct peri_value *v, struct expr_node **ret)
{
    struct expr_node *n = v ? node_create(EXPR_LITERAL, p->lx.offset) : NULL;
    if (!n) {
        peri_value_unref(v);
        return PERI_ENOMEM;
    }
    n->literal = v;
    enum peri_status st = next(p);
    if (st == PERI_OK)
        *ret = n;
    else
        node_destroy(n);
    return st;
}

static enum peri_status parse_list(struct parser *p, struct expr_node **ret)
{
    struct expr_node *n = node_create(EXPR_LIST, p->lx.offset);
    if (!n)
        return PERI_ENOMEM;
    enum peri_status st = parse_items(p, n, TOKEN_CLOSE_LIST, "expected , or ] after an element");
    if (st == PERI_OK)
        *ret = n;
    else
        node_destroy(n);
    return st;
}

static enum peri_status parse_parentheses(struct parser *p, struct expr_node **ret)
{
    struct expr_node *n = NULL;
    enum peri_status st = next(p);
    if (st == PERI_OK)
        st = parse_expression(p, &n);
    if (st == PERI_OK && p->lx.kind != TOKEN_CLOSE)
        st = fail_rest(p, "expected )");
    if (st == PERI_OK)
        st = next(p);
    if (st == PERI_OK)
        *ret = n;
    else
        node_destroy(n);
    return st;
}

static enum peri_status parse_primary(struct parser *p, struct expr_node **ret)
{
    switch (p->lx.kind) {
    case TOKEN_NUMBER:
    case TOKEN_STRING:
        return parse_literal(p, peri_value_ref(p->lx.value), ret);
    case TOKEN_TRUE:
    case TOKEN_FALSE:
        return parse_literal(p, peri_value_bool(p->lx.kind == TOKEN_TRUE), ret);
    case TOKEN_NIL:
        return parse_literal(p, peri_value_null(), ret);
    case TOKEN_NAME:
        return parse_name(p, ret);
    case TOKEN_OPEN:
        return parse_parentheses(p, ret);
    case TOKEN_OPEN_LIST:
        return parse_list(p, ret);
    default:
        return fail_token(p, "expected a value");
    }
}

/* A primary with its path and its filters. */
static enum peri_status parse_filtered(struct parser *p, struct expr_node **ret)
{
    struct expr_node *n = NULL;
    enum peri_status st = parse_primary(p, &n);
    if (st == PERI_OK)
        st = parse_parts(p, &n);
    while (st == PERI_OK && p->lx.kind == TOKEN_PIPE) {
        struct expr_node *input = n;
        n = NULL;
        st = next(p);
        if (st == PERI_OK && p->lx.kind != TOKEN_NAME)
            st = fail_token(p, "expected the name of a filter after |");
        if (st != PERI_OK) {
            node_destroy(input);
            return st;
        }
        st = parse_call(p, input, &n);
        if (st == PERI_OK)
            st = parse_parts(p, &n);
    }
    if (st == PERI_OK)
        *ret = n;
    else
        node_destroy(n);
    return st;
}

static enum peri_status parse_unary(struct parser *p, struct expr_node **ret);

/* "-3 | abs" is about the number -3. */
static enum peri_status parse_minus(struct parser *p, struct expr_node **ret)
{
    size_t offset = p->lx.offset;
    enum peri_status st = next(p);
    if (st == PERI_OK && p->lx.kind == TOKEN_NUMBER) {
        struct peri_value *v = peri_value_is(p->lx.value, PERI_INT) ? peri_value_int(-peri_value_as_int(p->lx.value))
                                                                    : peri_value_real(-peri_value_as_real(p->lx.value));
        if (!v)
            return PERI_ENOMEM;
        peri_value_unref(p->lx.value);
        p->lx.value = v;
        return parse_filtered(p, ret);
    }
    struct expr_node *n = NULL, *operand = NULL;
    if (st == PERI_OK)
        st = parse_unary(p, &operand);
    if (st != PERI_OK)
        return st;
    n = node_create(EXPR_NEG, offset);
    if (!n) {
        node_destroy(operand);
        return PERI_ENOMEM;
    }
    st = node_add(p, n, operand);
    if (st == PERI_OK)
        *ret = n;
    else
        node_destroy(n);
    return st;
}

static enum peri_status parse_unary(struct parser *p, struct expr_node **ret)
{
    enum expr_token_kind kind = p->lx.kind;
    if (kind != TOKEN_NOT && kind != TOKEN_HASH && kind != TOKEN_MINUS)
        return parse_filtered(p, ret);
    if (p->depth >= PERI_EXPR_MAX_DEPTH)
        return fail(p, p->lx.offset, "syntax", NULL, "the expression is nested too deep");
    enum peri_status st = PERI_OK;
    p->depth++;
    if (kind == TOKEN_MINUS) {
        st = parse_minus(p, ret);
        p->depth--;
        return st;
    }
    struct expr_node *n = node_create(kind == TOKEN_NOT ? EXPR_NOT : EXPR_LEN, p->lx.offset), *operand = NULL;
    st = n ? next(p) : PERI_ENOMEM;
    if (st == PERI_OK)
        st = parse_unary(p, &operand);
    if (st == PERI_OK)
        st = node_add(p, n, operand);
    p->depth--;
    if (st == PERI_OK)
        *ret = n;
    else
        node_destroy(n);
    return st;
}

/* Lua's levels, lowest first. */
static const struct level {
    enum expr_token_kind token;
    enum expr_op op;
    int level;
} levels[] = {{TOKEN_OR, EXPR_OR, 1}, {TOKEN_AND, EXPR_AND, 2}, {TOKEN_LT, EXPR_LT, 3}, {TOKEN_GT, EXPR_GT, 3},
    {TOKEN_LE, EXPR_LE, 3}, {TOKEN_GE, EXPR_GE, 3}, {TOKEN_NE, EXPR_NE, 3}, {TOKEN_EQ, EXPR_EQ, 3},
    {TOKEN_CONCAT, EXPR_CONCAT, 4}, {TOKEN_PLUS, EXPR_ADD, 5}, {TOKEN_MINUS, EXPR_SUB, 5}, {TOKEN_STAR, EXPR_MUL, 6},
    {TOKEN_SLASH, EXPR_DIV, 6}, {TOKEN_PERCENT, EXPR_MOD, 6}};

static const struct level *find_level(enum expr_token_kind token)
{
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
        if (levels[i].token == token)
            return &levels[i];
    return NULL;
}

/* 'Hello ' + event.name is tried by everybody who comes from elsewhere. */
static void doubt_text(struct parser *p, const struct expr_node *n)
{
    bool adds = n->op == EXPR_ADD || n->op == EXPR_SUB || n->op == EXPR_MUL || n->op == EXPR_DIV || n->op == EXPR_MOD;
    for (size_t i = 0; adds && p->names && p->names->doubt && i < n->count; i++)
        if (n->items[i]->op == EXPR_LITERAL && peri_value_is(n->items[i]->literal, PERI_STRING)) {
            p->names->doubt(p->names->ctx, n->items[i]->offset,
                n->op == EXPR_ADD ? "texts are joined with .." : "a number stands without quotes",
                "this is a text, and only numbers can be calculated with");
            return;
        }
}

/* Takes left. */
static enum peri_status parse_right(
    struct parser *p, const struct level *l, struct expr_node *left, struct expr_node **ret)
{
    struct expr_node *n = node_create(l->op, p->lx.offset), *right = NULL;
    if (!n) {
        node_destroy(left);
        return PERI_ENOMEM;
    }
    enum peri_status st = node_add(p, n, left);
    if (st == PERI_OK)
        st = next(p);
    if (st == PERI_OK && p->depth >= PERI_EXPR_MAX_DEPTH)
        st = fail(p, p->lx.offset, "syntax", NULL, "the expression is nested too deep");
    p->depth++;
    if (st == PERI_OK)
        st = parse_binary(p, l->op == EXPR_CONCAT ? l->level : l->level + 1, &right); /* .. binds to the right */
    p->depth--;
    if (st == PERI_OK)
        st = node_add(p, n, right);
    if (st == PERI_OK)
        doubt_text(p, n);
    if (st == PERI_OK)
        *ret = n;
    else
        node_destroy(n);
    return st;
}

static enum peri_status parse_binary(struct parser *p, int min_level, struct expr_node **ret)
{
    struct expr_node *left = NULL;
    enum peri_status st = parse_unary(p, &left);
    const struct level *l;
    while (st == PERI_OK && (l = find_level(p->lx.kind)) && l->level >= min_level) {
        struct expr_node *operand = left;
        left = NULL;
        st = parse_right(p, l, operand, &left);
    }
    if (st == PERI_OK)
        *ret = left;
    else
        node_destroy(left);
    return st;
}

/* The name of the field right before the token. */
static bool name_before(const struct parser *p, char ret[64])
{
    size_t end = p->lx.offset, at = end;
    const char *text = p->lx.text;
    while (at > 0 && (text[at - 1] == '_' || (text[at - 1] >= '0' && text[at - 1] <= '9') ||
                         ((text[at - 1] | 0x20) >= 'a' && (text[at - 1] | 0x20) <= 'z')))
        at--;
    if (at == 0 || at == end || text[at - 1] != '.')
        return false;
    snprintf(ret, 64, "%.*s", end - at > 63 ? 63 : (int)(end - at), text + at);
    return true;
}

/* What a person meant who wrote a word of another language where an operator belongs. */
static enum peri_status fail_rest(struct parser *p, const char *wanted)
{
    const char *word = p->lx.text + p->lx.offset, *hint = NULL;
    int size = p->lx.size > 40 ? 40 : (int)p->lx.size;
    char method[64];
    if (p->lx.kind == TOKEN_OPEN && name_before(p, method)) {
        return peri_expr_problem_set(p->lx.problem, p->lx.offset, "syntax", peri_foreign_method(method),
            "\"%s\" cannot be called on a value", method);
    }
    if (p->lx.kind == TOKEN_NAME || p->lx.kind == TOKEN_NOT)
        hint = peri_foreign_word(word, p->lx.size, p->lx.text + p->lx.at, p->lx.len - p->lx.at);
    return hint ? peri_expr_problem_set(
                      p->lx.problem, p->lx.offset, "syntax", hint, "there is no operator \"%.*s\"", size, word)
                : fail_token(p, wanted);
}

enum peri_status peri_expr_compile(const char *text, size_t len, const struct peri_expr_names *names,
    struct peri_expr **ret, struct peri_expr_problem *problem)
{
    struct parser p = {.lx = {.text = text, .len = len, .problem = problem}, .names = names, .constant = true};
    struct expr_node *top = NULL;
    size_t bad = 0;
    if (len > PERI_EXPR_MAX_TEXT)
        return peri_expr_problem_set(
            problem, 0, "syntax", NULL, "the expression is longer than %d bytes", PERI_EXPR_MAX_TEXT);
    if (!peri_utf8_valid(text, len, &bad))
        return peri_expr_problem_set(problem, bad, "syntax", NULL, "the expression is not valid UTF-8");
    enum peri_status st = next(&p);
    if (st == PERI_OK && p.lx.kind == TOKEN_END)
        st = fail(&p, 0, "syntax", NULL, "the expression is empty");
    if (st == PERI_OK)
        st = parse_expression(&p, &top);
    if (st == PERI_OK && p.lx.kind != TOKEN_END)
        st = fail_rest(&p, "expected an operator or the end");
    peri_value_unref(p.lx.value);
    struct peri_expr *expr = st == PERI_OK ? calloc(1, sizeof(*expr)) : NULL;
    if (!expr) {
        node_destroy(top);
        if (st == PERI_OK || st == PERI_ENOMEM)
            (void)peri_expr_problem_set(problem, 0, "memory", NULL, "out of memory");
        return st == PERI_OK ? PERI_ENOMEM : st;
    }
    expr->top = top;
    expr->constant = p.constant;
    *ret = expr;
    return PERI_OK;
}

void peri_expr_destroy(struct peri_expr *expr)
{
    if (!expr)
        return;
    node_destroy(expr->top);
    free(expr);
}
