/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluation is a plain recursion over the tree, bounded by its depth. A missing path is an error (PERI_ENOTFOUND) that
 * `or`, `default` and comparisons with nil turn into nil; everything else passes it on. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/timefmt.h"
#include "data/json.h"
#include "lang/expr_internal.h"

struct run {
    const struct peri_scope *scope;
    struct peri_error *err;
};

static enum peri_status eval(struct run *r, const struct expr_node *n, struct peri_value **ret);

bool peri_truthy(const struct peri_value *v)
{
    enum peri_type t = peri_value_type(v);
    return t != PERI_NULL && (t != PERI_BOOL || peri_value_as_bool(v));
}

static const char *op_text(enum expr_op op)
{
    static const char *const texts[] = {[EXPR_EQ] = "==",
        [EXPR_NE] = "~=",
        [EXPR_LT] = "<",
        [EXPR_LE] = "<=",
        [EXPR_GT] = ">",
        [EXPR_GE] = ">=",
        [EXPR_CONCAT] = "..",
        [EXPR_ADD] = "+",
        [EXPR_SUB] = "-",
        [EXPR_MUL] = "*",
        [EXPR_DIV] = "/",
        [EXPR_MOD] = "%"};
    return (size_t)op < sizeof(texts) / sizeof(texts[0]) && texts[op] ? texts[op] : "?";
}

static enum peri_status give(struct run *r, struct peri_value *v, struct peri_value **ret)
{
    if (!v)
        return peri_error_nomem(r->err);
    *ret = v;
    return PERI_OK;
}

static enum peri_status give_real(struct run *r, double d, struct peri_value **ret)
{
    if (!isfinite(d))
        return peri_error_set(r->err, PERI_EINVAL, "arithmetic", "the result is no finite number");
    return give(r, peri_value_real(d), ret);
}

/* Writes "event.a[1].b" up to and with part count. */
static void path_text(const struct expr_node *n, size_t count, char *out, size_t size)
{
    size_t at = (size_t)snprintf(out, size, "%.64s", n->root ? n->root : "(...)");
    for (size_t i = 0; i < count && at < size; i++) {
        const struct expr_part *part = &n->parts[i];
        bool plain = part->key && part->len > 0 && part->len == strlen(part->key);
        for (size_t k = 0; plain && k < part->len; k++)
            plain = (part->key[k] >= 'a' && part->key[k] <= 'z') || (part->key[k] >= 'A' && part->key[k] <= 'Z') ||
                    part->key[k] == '_' || (k > 0 && part->key[k] >= '0' && part->key[k] <= '9');
        int wrote;
        if (plain)
            wrote = snprintf(out + at, size - at, ".%.64s", part->key);
        else if (part->key)
            wrote = snprintf(out + at, size - at, "[\"%.64s\"]", part->key);
        else if (part->index->op == EXPR_LITERAL)
            wrote = snprintf(out + at, size - at, "[%lld]", (long long)peri_value_as_int(part->index->literal));
        else
            wrote = snprintf(out + at, size - at, "[...]");
        at += wrote > 0 ? (size_t)wrote : 0;
    }
}

static enum peri_status missing(struct run *r, const struct expr_node *n, size_t count)
{
    char text[PERI_ERROR_MESSAGE_MAX / 2];
    path_text(n, count, text, sizeof(text));
    return peri_error_set(r->err, PERI_ENOTFOUND, "missing", "missing %s", text);
}

/* The member that a part names, borrowed, or NULL. */
static enum peri_status step(
    struct run *r, const struct peri_value *v, const struct expr_part *part, struct peri_value **ret)
{
    *ret = NULL;
    if (part->key) {
        *ret = peri_value_is(v, PERI_MAP) ? peri_map_atn(v, part->key, part->len) : NULL;
        return PERI_OK;
    }
    struct peri_value *index = NULL;
    enum peri_status st = eval(r, part->index, &index);
    if (st != PERI_OK)
        return st;
    if (peri_value_is(index, PERI_STRING)) {
        size_t len = 0;
        const char *key = peri_value_textn(index, &len);
        *ret = peri_value_is(v, PERI_MAP) ? peri_map_atn(v, key, len) : NULL;
    } else if (peri_value_is_number(index) && (double)peri_value_as_int(index) == peri_value_as_real(index)) {
        int64_t i = peri_value_as_int(index), count = (int64_t)peri_value_count(v);
        if (i < 0 && i >= -count)
            i += count + 1;
        *ret = peri_value_is(v, PERI_LIST) && i >= 1 && i <= count ? peri_list_at(v, (size_t)(i - 1)) : NULL;
    } else {
        char shown[PERI_EXPR_SHOW];
        st = peri_error_set(
            r->err, PERI_EINVAL, "type", "an index is a whole number or a text, not %s", peri_expr_show(index, shown));
    }
    peri_value_unref(index);
    return st;
}

static enum peri_status eval_path(struct run *r, const struct expr_node *n, struct peri_value **ret)
{
    struct peri_value *base = NULL; /* owned; v borrows from it or from the scope */
    enum peri_status st = PERI_OK;
    if (n->count > 0) {
        st = eval(r, n->items[0], &base);
    } else if (strcmp(n->root, "now") == 0) {
        char text[PERI_TIME_TEXT];
        st = give(r, peri_value_str(peri_time_format(r->scope->now_ms, text)), &base);
    } else if (r->scope->lookup) {
        base = peri_value_ref(r->scope->lookup(r->scope->ctx, n->root, strlen(n->root)));
    }
    if (st == PERI_OK && !base)
        st = missing(r, n, 0);
    struct peri_value *v = base;
    for (size_t i = 0; i < n->part_count && st == PERI_OK; i++) {
        struct peri_value *member = NULL;
        st = step(r, v, &n->parts[i], &member);
        if (st == PERI_OK && !member)
            st = missing(r, n, i + 1);
        v = member;
    }
    if (st == PERI_OK)
        *ret = peri_value_ref(v);
    peri_value_unref(base);
    return st;
}

static enum peri_status eval_list(struct run *r, const struct expr_node *n, struct peri_value **ret)
{
    struct peri_value *list = peri_value_list();
    enum peri_status st = list ? PERI_OK : peri_error_nomem(r->err);
    for (size_t i = 0; i < n->count && st == PERI_OK; i++) {
        struct peri_value *item = NULL;
        st = eval(r, n->items[i], &item);
        if (st == PERI_OK && peri_list_push(list, item) != PERI_OK)
            st = peri_error_nomem(r->err);
    }
    if (st == PERI_OK)
        *ret = list;
    else
        peri_value_unref(list);
    return st;
}

/* A missing path counts as nil. */
static enum peri_status eval_or_nil(struct run *r, const struct expr_node *n, struct peri_value **ret)
{
    enum peri_status st = eval(r, n, ret);
    if (st != PERI_ENOTFOUND)
        return st;
    peri_error_clear(r->err);
    return give(r, peri_value_null(), ret);
}

static enum peri_status eval_logic(struct run *r, const struct expr_node *n, struct peri_value **ret)
{
    struct peri_value *left = NULL;
    enum peri_status st = n->op == EXPR_OR ? eval_or_nil(r, n->items[0], &left) : eval(r, n->items[0], &left);
    if (st != PERI_OK)
        return st;
    if (peri_truthy(left) == (n->op == EXPR_OR)) {
        *ret = left;
        return PERI_OK;
    }
    peri_value_unref(left);
    return eval(r, n->items[1], ret);
}

static bool is_nil(const struct expr_node *n)
{
    return n->op == EXPR_LITERAL && peri_value_is(n->literal, PERI_NULL);
}

/* Both operands; against a literal nil a missing path is nil. */
static enum peri_status eval_operands(
    struct run *r, const struct expr_node *n, struct peri_value **ret_a, struct peri_value **ret_b)
{
    bool lenient = (n->op == EXPR_EQ || n->op == EXPR_NE) && (is_nil(n->items[0]) || is_nil(n->items[1]));
    struct peri_value *a = NULL;
    enum peri_status st = lenient ? eval_or_nil(r, n->items[0], &a) : eval(r, n->items[0], &a);
    if (st != PERI_OK)
        return st;
    st = lenient ? eval_or_nil(r, n->items[1], ret_b) : eval(r, n->items[1], ret_b);
    if (st == PERI_OK)
        *ret_a = a;
    else
        peri_value_unref(a);
    return st;
}

static enum peri_status fail_types(
    struct run *r, const struct expr_node *n, const struct peri_value *a, const struct peri_value *b)
{
    char left[PERI_EXPR_SHOW], right[PERI_EXPR_SHOW];
    const char *what = n->op == EXPR_CONCAT ? "join" : n->op >= EXPR_LT && n->op <= EXPR_GE ? "compare" : "calculate";
    return peri_error_set(r->err, PERI_EINVAL, "type", "cannot %s %s %s %s", what, peri_expr_show(a, left),
        op_text(n->op), peri_expr_show(b, right));
}

static bool is_textual(const struct peri_value *v)
{
    return peri_value_is(v, PERI_STRING) || peri_value_is_number(v);
}

static enum peri_status eval_concat(struct run *r, const struct expr_node *n, const struct peri_value *a,
    const struct peri_value *b, struct peri_value **ret)
{
    if (!is_textual(a) || !is_textual(b))
        return fail_types(r, n, a, b);
    struct peri_buf buf;
    peri_buf_init(&buf, PERI_EXPR_MAX_RESULT);
    (void)peri_expr_append_text(&buf, a);
    (void)peri_expr_append_text(&buf, b);
    struct expr_call call = {.scope = r->scope, .err = r->err};
    return peri_expr_take_text(&call, &buf, ret);
}

static enum peri_status eval_compare(struct run *r, const struct expr_node *n, const struct peri_value *a,
    const struct peri_value *b, struct peri_value **ret)
{
    if (n->op == EXPR_EQ || n->op == EXPR_NE)
        return give(r, peri_value_bool(peri_value_equal(a, b) == (n->op == EXPR_EQ)), ret);
    int order = 0;
    if (!peri_expr_order(a, b, &order))
        return fail_types(r, n, a, b);
    bool holds = n->op == EXPR_LT   ? order < 0
                 : n->op == EXPR_LE ? order <= 0
                 : n->op == EXPR_GT ? order > 0
                                    : order >= 0;
    return give(r, peri_value_bool(holds), ret);
}

/* False when it overflows or the operator always gives a float. */
static bool integer_result(enum expr_op op, long long a, long long b, long long *ret)
{
    switch (op) {
    case EXPR_ADD:
        return !__builtin_add_overflow(a, b, ret);
    case EXPR_SUB:
        return !__builtin_sub_overflow(a, b, ret);
    case EXPR_MUL:
        return !__builtin_mul_overflow(a, b, ret);
    case EXPR_MOD:
        if (b == -1) { /* INT64_MIN % -1 traps */
            *ret = 0;
            return true;
        }
        *ret = a % b;
        if (*ret != 0 && (*ret < 0) != (b < 0))
            *ret += b;
        return true;
    default:
        return false;
    }
}

static double real_mod(double a, double b)
{
    double m = fmod(a, b);
    return m != 0 && (m < 0) != (b < 0) ? m + b : m;
}

static enum peri_status eval_arithmetic(struct run *r, const struct expr_node *n, const struct peri_value *a,
    const struct peri_value *b, struct peri_value **ret)
{
    if (!peri_value_is_number(a) || !peri_value_is_number(b))
        return fail_types(r, n, a, b);
    double x = peri_value_as_real(a), y = peri_value_as_real(b);
    if ((n->op == EXPR_DIV || n->op == EXPR_MOD) && y == 0)
        return peri_error_set(r->err, PERI_EINVAL, "arithmetic", "division by zero");
    long long whole = 0;
    if (peri_value_is(a, PERI_INT) && peri_value_is(b, PERI_INT) &&
        integer_result(n->op, peri_value_as_int(a), peri_value_as_int(b), &whole))
        return give(r, peri_value_int(whole), ret);
    switch (n->op) {
    case EXPR_ADD:
        return give_real(r, x + y, ret);
    case EXPR_SUB:
        return give_real(r, x - y, ret);
    case EXPR_MUL:
        return give_real(r, x * y, ret);
    case EXPR_DIV:
        return give_real(r, x / y, ret);
    default:
        return give_real(r, real_mod(x, y), ret);
    }
}

static enum peri_status eval_binary(struct run *r, const struct expr_node *n, struct peri_value **ret)
{
    struct peri_value *a = NULL, *b = NULL;
    enum peri_status st = eval_operands(r, n, &a, &b);
    if (st != PERI_OK)
        return st;
    if (n->op == EXPR_CONCAT)
        st = eval_concat(r, n, a, b, ret);
    else if (n->op >= EXPR_EQ && n->op <= EXPR_GE)
        st = eval_compare(r, n, a, b, ret);
    else
        st = eval_arithmetic(r, n, a, b, ret);
    peri_value_unref(a);
    peri_value_unref(b);
    return st;
}

static enum peri_status eval_unary(struct run *r, const struct expr_node *n, struct peri_value **ret)
{
    struct peri_value *v = NULL;
    enum peri_status st = eval(r, n->items[0], &v);
    if (st != PERI_OK)
        return st;
    char shown[PERI_EXPR_SHOW];
    size_t len = 0;
    if (n->op == EXPR_NOT) {
        st = give(r, peri_value_bool(!peri_truthy(v)), ret);
    } else if (n->op == EXPR_NEG && peri_value_is(v, PERI_INT) && peri_value_as_int(v) != INT64_MIN) {
        st = give(r, peri_value_int(-peri_value_as_int(v)), ret);
    } else if (n->op == EXPR_NEG && peri_value_is_number(v)) {
        st = give_real(r, -peri_value_as_real(v), ret);
    } else if (n->op == EXPR_LEN && peri_value_is(v, PERI_STRING)) {
        const char *text = peri_value_textn(v, &len);
        st = give(r, peri_value_int((int64_t)peri_utf8_length(text, len)), ret);
    } else if (n->op == EXPR_LEN && (peri_value_is(v, PERI_LIST) || peri_value_is(v, PERI_MAP))) {
        st = give(r, peri_value_int((int64_t)peri_value_count(v)), ret);
    } else {
        st = peri_error_set(r->err, PERI_EINVAL, "type", "%s", peri_expr_show(v, shown));
        peri_error_prefix(r->err, n->op == EXPR_NEG ? "- needs a number" : "# needs a text, a list or a map");
    }
    peri_value_unref(v);
    return st;
}

/* default(x, y): y when x is missing or nil. if(c, a, b): only the branch that is taken is evaluated. */
static enum peri_status eval_lazy(struct run *r, const struct expr_node *n, struct peri_value **ret)
{
    struct peri_value *v = NULL;
    if (strcmp(n->function->name, "if") == 0) {
        enum peri_status st = eval(r, n->items[0], &v);
        if (st != PERI_OK)
            return st;
        bool holds = peri_truthy(v);
        peri_value_unref(v);
        if (!holds && n->count < 3)
            return give(r, peri_value_null(), ret);
        return eval(r, n->items[holds ? 1 : 2], ret);
    }
    enum peri_status st = eval_or_nil(r, n->items[0], &v);
    if (st != PERI_OK)
        return st;
    if (!peri_value_is(v, PERI_NULL)) {
        *ret = v;
        return PERI_OK;
    }
    peri_value_unref(v);
    return eval(r, n->items[1], ret);
}

static enum peri_status eval_call(struct run *r, const struct expr_node *n, struct peri_value **ret)
{
    if (!n->function->fn)
        return eval_lazy(r, n, ret);
    struct peri_value *few[8], **args = n->count <= 8 ? few : calloc(n->count, sizeof(*args));
    size_t count = 0;
    enum peri_status st = args ? PERI_OK : peri_error_nomem(r->err);
    for (; count < n->count && st == PERI_OK; count++) {
        args[count] = NULL;
        st = eval(r, n->items[count], &args[count]);
    }
    if (st == PERI_OK) {
        struct expr_call call = {
            .function = n->function, .args = args, .count = count, .scope = r->scope, .err = r->err};
        st = peri_expr_call(&call, ret);
    }
    for (size_t i = 0; i < count; i++)
        peri_value_unref(args[i]);
    if (args != few)
        free(args);
    return st;
}

static enum peri_status eval(struct run *r, const struct expr_node *n, struct peri_value **ret)
{
    switch (n->op) {
    case EXPR_LITERAL:
        *ret = peri_value_ref(n->literal);
        return PERI_OK;
    case EXPR_LIST:
        return eval_list(r, n, ret);
    case EXPR_PATH:
        return eval_path(r, n, ret);
    case EXPR_NOT:
    case EXPR_NEG:
    case EXPR_LEN:
        return eval_unary(r, n, ret);
    case EXPR_OR:
    case EXPR_AND:
        return eval_logic(r, n, ret);
    case EXPR_CALL:
        return eval_call(r, n, ret);
    default:
        return eval_binary(r, n, ret);
    }
}

static const struct peri_scope empty_scope = {0};

enum peri_status peri_expr_eval(
    const struct peri_expr *expr, const struct peri_scope *scope, struct peri_value **ret, struct peri_error *err)
{
    struct peri_error unused;
    struct run r = {.scope = scope ? scope : &empty_scope, .err = err ? err : &unused};
    struct peri_value *v = NULL;
    enum peri_status st = eval(&r, expr->top, &v);
    if (st == PERI_OK)
        *ret = v;
    return st;
}

/* Of `a and b`, the first part that does not hold is the telling one. */
static const struct expr_node *telling_part(struct run *r, const struct expr_node *n)
{
    while (n->op == EXPR_AND) {
        struct peri_value *v = NULL;
        bool holds = eval(r, n->items[0], &v) == PERI_OK && peri_truthy(v);
        peri_value_unref(v);
        n = n->items[holds ? 1 : 0];
    }
    return n->op >= EXPR_EQ && n->op <= EXPR_GE ? n : NULL;
}

struct peri_value *peri_expr_explain(const struct peri_expr *expr, const struct peri_scope *scope)
{
    struct peri_error unused;
    struct run r = {.scope = scope ? scope : &empty_scope, .err = &unused};
    const struct expr_node *n = telling_part(&r, expr->top);
    struct peri_value *a = NULL, *b = NULL, *map = NULL;
    if (!n || eval_operands(&r, n, &a, &b) != PERI_OK)
        return NULL;
    map = peri_value_map();
    if (!map || peri_map_put_ref(map, "left", a) != PERI_OK ||
        peri_map_put_text(map, "op", op_text(n->op)) != PERI_OK || peri_map_put_ref(map, "right", b) != PERI_OK) {
        peri_value_unref(map);
        map = NULL;
    }
    peri_value_unref(a);
    peri_value_unref(b);
    return map;
}
