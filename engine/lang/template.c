/* SPDX-License-Identifier: Apache-2.0 */
/* A template is compiled to a tree in which everything constant is one ready value: rendering touches only what depends
 * on the scope. It keeps nothing of the YAML tree it came from. */
#include "lang/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"
#include "data/schema.h"
#include "lang/expr_internal.h"
#include "lang/template_internal.h"

#define MAX_UNKNOWN_NAMES 20 /* reported of one expression */

enum kind { CONSTANT, EXPRESSION, TEXT, LIST, MAP };

struct peri_template {
    enum kind kind;
    struct peri_value *value;     /* CONSTANT */
    struct peri_expr *expr;       /* EXPRESSION */
    struct peri_template **items; /* TEXT, LIST, MAP */
    char **keys;                  /* MAP */
    size_t count, cap;
};

/* ---- making ---- */

struct maker {
    const struct peri_expr_names *names;
    struct peri_diag *diag;
};

void peri_template_destroy(struct peri_template *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++) {
        peri_template_destroy(t->items[i]);
        if (t->keys)
            free(t->keys[i]);
    }
    free(t->items);
    free(t->keys);
    peri_value_unref(t->value);
    peri_expr_destroy(t->expr);
    free(t);
}

static struct peri_template *create(enum kind kind)
{
    struct peri_template *t = calloc(1, sizeof(*t));
    if (t)
        t->kind = kind;
    return t;
}

/* Takes v; NULL when it is NULL or memory is out. */
static struct peri_template *create_constant(struct peri_value *v)
{
    struct peri_template *t = v ? create(CONSTANT) : NULL;
    if (t)
        t->value = v;
    else
        peri_value_unref(v);
    return t;
}

/* Takes item. */
static enum peri_status add(struct peri_template *t, struct peri_template *item)
{
    if (!item || !peri_vec_grow(&t->items, &t->cap, t->count + 1, sizeof(struct peri_template *))) {
        peri_template_destroy(item);
        return PERI_ENOMEM;
    }
    t->items[t->count++] = item;
    return PERI_OK;
}

/* What to do about a name that is not bound: where it would be, or how it could be. */
static void hint_unbound(const char *name, const struct peri_expr_names *names, char *out, size_t size)
{
    static const struct {
        const char *name, *hint;
    } elsewhere[] = {{"error", "error is bound in on_error only"}, {"run", "there is no run before the actions"},
        {"steps", "no step has run before the actions"}, {"vars", "nothing is set before the actions"}};
    for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++) {
        if (strcmp(elsewhere[i].name, name) == 0) {
            snprintf(out, size, "%s", elsewhere[i].hint);
            return;
        }
    }
    const char *const *known = names && names->list ? names->list(names->ctx) : NULL;
    for (size_t i = 0; known && known[i] && names->member; i++) {
        struct peri_expr_problem unused;
        if ((strcmp(known[i], "vars") != 0 && strcmp(known[i], "steps") != 0) ||
            !names->member(names->ctx, known[i], name, &unused))
            continue;
        snprintf(out, size, "write %s.%s", known[i], name);
        return;
    }
    int n = snprintf(out, size,
        "a field of the payload is event.%s, a text stands in quotes: '%s', an element is bound by for_each: {in: \"{{ "
        "a "
        "list }}\", as: %s}; known here:",
        name, name, name);
    size_t at = n > 0 ? (size_t)n : 0;
    known = names && names->list ? names->list(names->ctx) : NULL;
    for (size_t i = 0; known && known[i] && at < size; i++) {
        n = snprintf(out + at, size - at, "%s %s", i ? "," : "", known[i]);
        at += n > 0 ? (size_t)n : 0;
    }
}

void peri_template_report(const struct peri_node *node, size_t offset, const struct peri_expr_problem *problem,
    const struct peri_expr_names *names, struct peri_diag *diag)
{
    struct peri_place place = peri_node_text_place(node, offset + problem->offset);
    bool root = strcmp(problem->code, "unknown-root") == 0;
    char hint[768], name[80] = "";
    snprintf(hint, sizeof(hint), "%s", problem->hint);
    if (root && !problem->hint[0]) {
        const char *quoted = strchr(problem->message, '"');
        snprintf(name, sizeof(name), "%.*s", quoted ? (int)strcspn(quoted + 1, "\"") : 0, quoted ? quoted + 1 : "");
        hint_unbound(name, names, hint, sizeof(hint));
    }
    peri_diag_add(diag, place, PERI_SEV_ERROR, strcmp(problem->code, "syntax") == 0 ? "expr-syntax" : problem->code,
        hint[0] ? hint : NULL, root ? "%s: it is not bound here" : "%s", problem->message);
    if (problem->from[0])
        peri_diag_fix(diag, place, problem->from, problem->to);
}

/* Every unknown name of the expression is reported: after each one it is compiled again, and a `names` that remembers
 * what it has refused lets us come to the next. */
static enum peri_status compile_at(
    struct maker *m, const struct peri_node *node, size_t offset, size_t len, struct peri_expr **ret)
{
    struct peri_expr_problem problem = {0};
    size_t last = (size_t)-1;
    if (m->names && m->names->enter)
        m->names->enter(m->names->ctx, node, offset);
    enum peri_status st = peri_expr_compile(node->text + offset, len, m->names, ret, &problem);
    if (st != PERI_EINVAL)
        return st;
    for (int i = 0; i < MAX_UNKNOWN_NAMES; i++) {
        peri_template_report(node, offset, &problem, m->names, m->diag);
        if (strcmp(problem.code, "unknown-root") != 0 || problem.offset == last)
            break;
        last = problem.offset;
        struct peri_expr *again = NULL;
        struct peri_expr_problem next = {0};
        enum peri_status more = peri_expr_compile(node->text + offset, len, m->names, &again, &next);
        peri_expr_destroy(again);
        if (more != PERI_EINVAL || next.offset == last)
            break;
        problem = next;
    }
    return PERI_EINVAL;
}

/* The end of the expression that starts at `at`: the "}}" outside of quotes; len when there is none. */
static size_t find_end(const char *text, size_t len, size_t at)
{
    size_t naive = len;
    char quote = '\0';
    for (size_t i = at; i < len; i++) {
        if (naive == len && i + 1 < len && text[i] == '}' && text[i + 1] == '}')
            naive = i;
        if (quote && text[i] == '\\')
            i++;
        else if (quote)
            quote = text[i] == quote ? '\0' : quote;
        else if (text[i] == '"' || text[i] == '\'')
            quote = text[i];
        else if (i + 1 < len && text[i] == '}' && text[i + 1] == '}')
            return i;
    }
    return naive; /* a quote that never closes: the expression says so better */
}

/* The next "{{" that is no escape, from `at`; *ret_literal gets the text before it with escapes undone. */
static size_t find_start(const char *text, size_t len, size_t at, struct peri_buf *literal)
{
    while (at < len) {
        bool open = at + 1 < len && text[at] == '{' && text[at + 1] == '{';
        if (open && at + 3 < len && text[at + 2] == '{' && text[at + 3] == '{') {
            (void)peri_buf_puts(literal, "{{");
            at += 4;
        } else if (open) {
            return at;
        } else {
            (void)peri_buf_putc(literal, text[at++]);
        }
    }
    return len;
}

bool peri_template_is_text_dynamic(const char *text, size_t len)
{
    return len > 1 && memmem(text, len, "{{", 2) != NULL;
}

static struct peri_template *create_literal(struct peri_buf *literal)
{
    struct peri_template *t =
        literal->failed ? NULL : create_constant(peri_value_strn(peri_buf_text(literal), literal->len));
    peri_buf_reset(literal);
    return t;
}

/* The pieces of a text. A piece that is wrong is reported and left out. */
static enum peri_status add_pieces(
    struct maker *m, const struct peri_node *node, size_t len, struct peri_template *t, struct peri_buf *literal)
{
    enum peri_status st = PERI_OK;
    bool wrong = false;
    for (size_t at = 0; at < len && st == PERI_OK;) {
        size_t start = find_start(node->text, len, at, literal);
        if (literal->len > 0 || literal->failed)
            st = add(t, create_literal(literal));
        if (st != PERI_OK || start == len)
            break;
        size_t end = find_end(node->text, len, start + 2);
        if (end == len) {
            struct peri_expr_problem problem = {
                .code = "syntax", .message = "this {{ has no }}", .hint = "a literal {{ is written {{{{"};
            peri_template_report(node, start, &problem, m->names, m->diag);
            return PERI_EINVAL;
        }
        struct peri_template *piece = create(EXPRESSION);
        enum peri_status made = piece ? compile_at(m, node, start + 2, end - start - 2, &piece->expr) : PERI_ENOMEM;
        if (made == PERI_OK) {
            st = add(t, piece);
        } else {
            peri_template_destroy(piece);
            wrong = true;
            st = made == PERI_EINVAL ? PERI_OK : made;
        }
        at = end + 2;
    }
    return st == PERI_OK && wrong ? PERI_EINVAL : st;
}

/* A constant expression is evaluated now; one that fails stays, and fails when it is rendered. */
static struct peri_template *fold(struct peri_template *t)
{
    struct peri_value *v = NULL;
    if (t->kind != EXPRESSION || !t->expr->constant || peri_expr_eval(t->expr, NULL, &v, NULL) != PERI_OK)
        return t;
    peri_expr_destroy(t->expr);
    t->expr = NULL;
    t->kind = CONSTANT;
    t->value = v;
    return t;
}

/* Drops the shell of a text with one piece. */
static struct peri_template *unwrap(struct peri_template *t)
{
    struct peri_template *only = t->items[0];
    t->count = 0;
    peri_template_destroy(t);
    return only;
}

static bool is_listed(const struct peri_expr_names *names, const char *word, size_t len)
{
    const char *const *known = names && names->list ? names->list(names->ctx) : NULL;
    for (; known && *known; known++)
        if (strlen(*known) == len && memcmp(*known, word, len) == 0)
            return true;
    return false;
}

/* "{ event.x }}": a brace was lost. JSON in a text never looks so, because its names are quoted. */
static bool lost_brace(const struct maker *m, const struct peri_node *node)
{
    const char *text = node->text, *end = text + node->len, *at = text;
    for (; (at = memchr(at, '{', (size_t)(end - at))); at++) {
        if ((at > text && at[-1] == '{') || at[1] == '{')
            continue;
        const char *word = at + 1 + strspn(at + 1, " "), *close = strstr(word, "}}");
        size_t len = strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
        if (len == 0 || !close || memchr(word, '{', (size_t)(close - word)) || !is_listed(m->names, word, len))
            continue;
        struct peri_expr_problem problem = {
            .code = "syntax", .message = "a template starts with two braces", .hint = "write {{ ... }}"};
        peri_template_report(node, (size_t)(at - text), &problem, m->names, m->diag);
        return true;
    }
    return false;
}

static enum peri_status compile_text(struct maker *m, const struct peri_node *node, struct peri_template **ret)
{
    size_t len = node->len;
    if (lost_brace(m, node))
        return PERI_EINVAL;
    if (!peri_template_is_text_dynamic(node->text, len)) {
        *ret = create_constant(peri_value_strn(node->text, len));
        return *ret ? PERI_OK : PERI_ENOMEM;
    }
    /* the line break that ends a block scalar does not make a text of its one expression */
    bool block = node->style == '|' || node->style == '>';
    size_t cut = len;
    while (block && cut > 0 && node->text[cut - 1] == '\n')
        cut--;
    if (block && cut > 4 && memcmp(node->text, "{{", 2) == 0 && memcmp(node->text + cut - 2, "}}", 2) == 0 &&
        find_end(node->text, cut, 2) == cut - 2)
        len = cut;
    struct peri_template *t = create(TEXT);
    struct peri_buf literal;
    peri_buf_init(&literal, node->len + 1);
    enum peri_status st = t ? add_pieces(m, node, len, t, &literal) : PERI_ENOMEM;
    peri_buf_finish(&literal);
    if (st != PERI_OK) {
        peri_template_destroy(t);
        return st;
    }
    *ret = t->count == 1 ? fold(unwrap(t)) : t;
    return PERI_OK;
}

static struct peri_template *create_secret(const char *name)
{
    struct peri_value *map = peri_value_map();
    if (map && peri_map_put_text(map, "$secret", name) != PERI_OK) {
        peri_value_unref(map);
        map = NULL;
    }
    return create_constant(map);
}

static enum peri_status compile_scalar(struct maker *m, const struct peri_node *node, struct peri_template **ret)
{
    if (node->tag && strcmp(node->tag, "!secret") == 0) {
        *ret = create_secret(node->text);
        return *ret ? PERI_OK : PERI_ENOMEM;
    }
    if (node->tag) {
        peri_diag_add(m->diag, node->place, PERI_SEV_ERROR, "input-outside", NULL, "%s cannot be used here", node->tag);
        return PERI_EINVAL;
    }
    if (node->type == PERI_STRING)
        return compile_text(m, node, ret);
    struct peri_value *v = NULL;
    enum peri_status st = peri_node_value(node, NULL, NULL, &v, NULL);
    if (st != PERI_OK)
        return st;
    *ret = create_constant(v);
    return *ret ? PERI_OK : PERI_ENOMEM;
}

/* The value of a container whose members are all constant. */
static struct peri_value *constant_value(const struct peri_template *t)
{
    struct peri_value *all = t->kind == MAP ? peri_value_map() : peri_value_list();
    enum peri_status st = all ? PERI_OK : PERI_ENOMEM;
    for (size_t i = 0; i < t->count && st == PERI_OK; i++)
        st = t->kind == MAP ? peri_map_put_ref(all, t->keys[i], t->items[i]->value)
                            : peri_list_push(all, peri_value_ref(t->items[i]->value));
    if (st == PERI_OK)
        return all;
    peri_value_unref(all);
    return NULL;
}

static enum peri_status compile(struct maker *m, const struct peri_node *node, struct peri_template **ret);

static enum peri_status compile_members(struct maker *m, const struct peri_node *node, struct peri_template *t)
{
    bool wrong = false;
    for (size_t i = 0; i < node->count; i++) {
        struct peri_template *item = NULL;
        enum peri_status st = compile(m, t->kind == MAP ? node->pairs[i].value : node->items[i], &item);
        if (st == PERI_EINVAL) {
            wrong = true;
            continue;
        }
        if (st != PERI_OK)
            return st;
        if (t->kind == MAP && !(t->keys[t->count] = peri_strndup(node->pairs[i].key->text, node->pairs[i].key->len))) {
            peri_template_destroy(item);
            return PERI_ENOMEM;
        }
        st = add(t, item);
        if (st != PERI_OK) {
            if (t->keys) {
                free(t->keys[t->count]);
                t->keys[t->count] = NULL;
            }
            return st;
        }
    }
    return wrong ? PERI_EINVAL : PERI_OK;
}

static enum peri_status compile_container(struct maker *m, const struct peri_node *node, struct peri_template **ret)
{
    struct peri_template *t = create(node->kind == PERI_NODE_MAP ? MAP : LIST);
    if (t && t->kind == MAP)
        t->keys = calloc(node->count + 1, sizeof(char *));
    enum peri_status st = t && (t->kind == LIST || t->keys) ? compile_members(m, node, t) : PERI_ENOMEM;
    bool constant = true;
    for (size_t i = 0; st == PERI_OK && i < t->count && constant; i++)
        constant = t->items[i]->kind == CONSTANT;
    if (st == PERI_OK && constant) {
        struct peri_template *folded = create_constant(constant_value(t));
        peri_template_destroy(t);
        t = folded;
        st = t ? PERI_OK : PERI_ENOMEM;
    }
    if (st == PERI_OK)
        *ret = t;
    else
        peri_template_destroy(t);
    return st;
}

static enum peri_status compile(struct maker *m, const struct peri_node *node, struct peri_template **ret)
{
    return node->kind == PERI_NODE_SCALAR ? compile_scalar(m, node, ret) : compile_container(m, node, ret);
}

enum peri_status peri_template_compile(const struct peri_node *node, const struct peri_expr_names *names,
    struct peri_template **ret, struct peri_diag *diag)
{
    struct maker m = {.names = names, .diag = diag};
    return compile(&m, node, ret);
}

struct peri_template *peri_template_constant(struct peri_value *value)
{
    return create_constant(value);
}

struct peri_template *peri_template_map(size_t room)
{
    struct peri_template *t = create(MAP);
    if (t && (t->keys = calloc(room + 1, sizeof(char *))))
        return t;
    peri_template_destroy(t);
    return NULL;
}

enum peri_status peri_template_map_add(
    struct peri_template *map, const char *key, size_t len, struct peri_template *item)
{
    char *copy = item ? peri_strndup(key, len) : NULL;
    if (!copy) {
        peri_template_destroy(item);
        return PERI_ENOMEM;
    }
    map->keys[map->count] = copy;
    enum peri_status st = add(map, item);
    if (st != PERI_OK) {
        map->keys[map->count] = NULL;
        free(copy);
    }
    return st;
}

enum peri_status peri_template_expression(
    const char *text, size_t len, const struct peri_expr_names *names, struct peri_template **ret)
{
    struct peri_template *t = create(EXPRESSION);
    enum peri_status st = t ? peri_expr_compile(text, len, names, &t->expr, NULL) : PERI_ENOMEM;
    if (st == PERI_OK)
        *ret = t;
    else
        peri_template_destroy(t);
    return st;
}

enum peri_status peri_template_compile_expr(const struct peri_node *node, const struct peri_expr_names *names,
    struct peri_template **ret, struct peri_diag *diag)
{
    struct maker m = {.names = names, .diag = diag};
    if (node->kind == PERI_NODE_SCALAR && node->type == PERI_BOOL)
        return compile(&m, node, ret);
    size_t start = 0, end = node->len;
    while (start < end && strchr(" \t\r\n", node->text[start]))
        start++;
    while (end > start && strchr(" \t\r\n", node->text[end - 1]))
        end--;
    if (end - start >= 2 && memcmp(node->text + start, "{{", 2) == 0) {
        size_t close = find_end(node->text, end, start + 2);
        struct peri_expr_problem problem = {.code = "syntax", .message = "this {{ has no }}"};
        if (close < end && close + 2 != end) {
            problem.offset = close + 2 - start;
            snprintf(problem.message, sizeof(problem.message),
                "a condition is one expression, but there is text after its }}");
            snprintf(problem.hint, sizeof(problem.hint), "write all of it between {{ and }}");
        }
        if (close + 2 != end) {
            peri_template_report(node, start, &problem, names, diag);
            return PERI_EINVAL;
        }
        start += 2;
        end = close;
    }
    struct peri_template *t = create(EXPRESSION);
    enum peri_status st = t ? compile_at(&m, node, start, end - start, &t->expr) : PERI_ENOMEM;
    if (st == PERI_OK)
        *ret = t;
    else
        peri_template_destroy(t);
    return st;
}

/* ---- rendering ---- */

/* What comes out of an expression must not pass for a !secret of the author: event data could ask for any. */
static enum peri_status evaluate(
    const struct peri_template *t, const struct peri_scope *scope, struct peri_value **ret, struct peri_error *err)
{
    struct peri_value *v = NULL;
    enum peri_status st = peri_expr_eval(t->expr, scope, &v, err);
    if (st == PERI_OK && peri_value_names_secret(v)) {
        peri_value_unref(v);
        return peri_error_set(
            err, PERI_EINVAL, "secret", "the value holds a member \"$secret\", which only !secret may make");
    }
    if (st == PERI_OK)
        *ret = v;
    return st;
}

static enum peri_status render_text(
    const struct peri_template *t, const struct peri_scope *scope, struct peri_value **ret, struct peri_error *err)
{
    struct peri_buf buf;
    enum peri_status st = PERI_OK;
    peri_buf_init(&buf, PERI_EXPR_MAX_RESULT);
    for (size_t i = 0; i < t->count && st == PERI_OK; i++) {
        struct peri_value *v = NULL;
        if (t->items[i]->kind == CONSTANT)
            v = peri_value_ref(t->items[i]->value);
        else
            st = evaluate(t->items[i], scope, &v, err);
        if (st == PERI_OK && peri_expr_append_text(&buf, v) != PERI_OK)
            st = buf.failed == PERI_ELIMIT ? peri_expr_too_large(err) : peri_error_nomem(err);
        peri_value_unref(v);
    }
    if (st == PERI_OK) {
        *ret = peri_value_strn(peri_buf_text(&buf), buf.len);
        st = *ret ? PERI_OK : peri_error_nomem(err);
    }
    peri_buf_finish(&buf);
    return st;
}

static enum peri_status render(
    const struct peri_template *t, const struct peri_scope *scope, struct peri_value **ret, struct peri_error *err);

/* "body: missing x" below "items" becomes "items[0].body: missing x". */
static void prefix_member(const struct peri_template *t, size_t i, struct peri_error *err)
{
    bool path = t->items[i]->kind == MAP || t->items[i]->kind == LIST;
    if (!err)
        return;
    struct peri_error inner = *err;
    const char *dot = path && inner.message[0] != '[' ? "." : path ? "" : ": ";
    if (t->kind == MAP)
        snprintf(err->message, sizeof(err->message), "%.64s%s%.*s", t->keys[i], dot, 900, inner.message);
    else
        snprintf(err->message, sizeof(err->message), "[%zu]%s%.*s", i, dot, 900, inner.message);
}

static enum peri_status render_members(
    const struct peri_template *t, const struct peri_scope *scope, struct peri_value *all, struct peri_error *err)
{
    for (size_t i = 0; i < t->count; i++) {
        struct peri_value *v = NULL;
        enum peri_status st = render(t->items[i], scope, &v, err);
        if (st != PERI_OK) {
            prefix_member(t, i, err);
            return st;
        }
        st = t->kind == MAP ? peri_map_put(all, t->keys[i], v) : peri_list_push(all, v);
        if (st != PERI_OK)
            return peri_error_nomem(err);
    }
    return PERI_OK;
}

static enum peri_status render(
    const struct peri_template *t, const struct peri_scope *scope, struct peri_value **ret, struct peri_error *err)
{
    if (t->kind == CONSTANT) {
        *ret = peri_value_ref(t->value);
        return PERI_OK;
    }
    if (t->kind == EXPRESSION)
        return evaluate(t, scope, ret, err);
    if (t->kind == TEXT)
        return render_text(t, scope, ret, err);
    struct peri_value *all = t->kind == MAP ? peri_value_map() : peri_value_list();
    enum peri_status st = all ? render_members(t, scope, all, err) : peri_error_nomem(err);
    if (st == PERI_OK)
        *ret = all;
    else
        peri_value_unref(all);
    return st;
}

enum peri_status peri_template_render(
    const struct peri_template *t, const struct peri_scope *scope, struct peri_value **ret, struct peri_error *err)
{
    return render(t, scope, ret, err);
}

struct peri_value *peri_template_render_partly(const struct peri_template *t, const struct peri_scope *scope)
{
    struct peri_value *all = t->kind == MAP ? peri_value_map() : NULL;
    for (size_t i = 0; all && i < t->count; i++) {
        struct peri_value *v = NULL;
        struct peri_error ignored;
        enum peri_status st = render(t->items[i], scope, &v, &ignored);
        if (st == PERI_ENOMEM || (st == PERI_OK && peri_map_put(all, t->keys[i], v) != PERI_OK)) {
            peri_value_unref(all);
            return NULL;
        }
    }
    return all;
}

/* A constant expression that failed to fold (a zone that needs its source, a division by zero) counts as constant too.
 */
bool peri_template_is_constant(const struct peri_template *t)
{
    if (t->kind == EXPRESSION)
        return t->expr->constant;
    for (size_t i = 0; i < t->count; i++)
        if (!peri_template_is_constant(t->items[i]))
            return false;
    return true;
}

const struct peri_expr *peri_template_expr(const struct peri_template *t)
{
    return t->kind == EXPRESSION ? t->expr : NULL;
}
