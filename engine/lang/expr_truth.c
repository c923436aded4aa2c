/* SPDX-License-Identifier: Apache-2.0 */
/* What can be said of an expression's truth before there is any event. Only what is certain is said: a value that comes
 * from outside may be anything. */
#include <string.h>

#include "lang/expr_internal.h"

/* The kind of a value, as far as == and < care. */
enum kind { ANY, TEXT, NUMBER, BOOLEAN, LIST, MAP, NIL };

static const char *const kind_names[] = {"", "a text", "a number", "a boolean", "a list", "a map", "nil"};

static enum kind kind_of_value(const struct peri_value *v)
{
    static const enum kind kinds[] = {[PERI_NULL] = NIL,
        [PERI_BOOL] = BOOLEAN,
        [PERI_INT] = NUMBER,
        [PERI_REAL] = NUMBER,
        [PERI_STRING] = TEXT,
        [PERI_LIST] = LIST,
        [PERI_MAP] = MAP};
    return kinds[peri_value_type(v)];
}

static enum kind kind_of_call(const char *name)
{
    static const struct {
        enum kind kind;
        const char *names[16];
    } table[] = {
        {TEXT, {"capitalize", "date", "format_duration", "join", "json", "lower", "replace", "slug", "string", "time",
                   "trim", "truncate", "type", "upper", "url_encode"}},
        {NUMBER, {"abs", "ceil", "duration", "floor", "int", "len", "length", "number", "round", "sum", "timestamp"}},
        {BOOLEAN, {"bool", "contains", "ends_with", "in", "starts_with"}},
        {LIST, {"keys", "map", "sort", "split", "unique", "values", "where"}},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        for (const char *const *n = table[i].names; *n; n++)
            if (strcmp(*n, name) == 0)
                return table[i].kind;
    return ANY;
}

static enum kind kind_of(const struct expr_node *n)
{
    switch (n->op) {
    case EXPR_LITERAL:
        return kind_of_value(n->literal);
    case EXPR_LIST:
        return LIST;
    case EXPR_NOT:
    case EXPR_EQ:
    case EXPR_NE:
    case EXPR_LT:
    case EXPR_LE:
    case EXPR_GT:
    case EXPR_GE:
        return BOOLEAN;
    case EXPR_CONCAT:
        return TEXT;
    case EXPR_NEG:
    case EXPR_LEN:
    case EXPR_ADD:
    case EXPR_SUB:
    case EXPR_MUL:
    case EXPR_DIV:
    case EXPR_MOD:
        return NUMBER;
    case EXPR_CALL:
        return kind_of_call(n->function->name);
    default:
        return ANY;
    }
}

static enum peri_truth opposite(enum peri_truth t)
{
    return t == PERI_TRUTH_YES ? PERI_TRUTH_NO : t == PERI_TRUTH_NO ? PERI_TRUTH_YES : t;
}

static enum peri_truth truth_of(const struct expr_node *n, struct peri_buf *why);

static enum peri_truth truth_of_logic(const struct expr_node *n, struct peri_buf *why)
{
    enum peri_truth decides = n->op == EXPR_OR ? PERI_TRUTH_YES : PERI_TRUTH_NO;
    enum peri_truth a = truth_of(n->items[0], why), b = truth_of(n->items[1], why);
    if (a == decides || b == decides)
        return decides;
    if (a == opposite(decides))
        return b;
    return b == opposite(decides) ? a : PERI_TRUTH_OPEN;
}

static bool is_comparison(const struct expr_node *n)
{
    return n->op == EXPR_LT || n->op == EXPR_LE || n->op == EXPR_GT || n->op == EXPR_GE;
}

/* `now > '22:00'`: now begins with the year, so what is no date decides by its first letters. */
static enum peri_truth truth_of_now(const struct expr_node *n, struct peri_buf *why)
{
    static const char now[] = "2026-01-05T09:00:00.000Z";
    bool left = n->items[0]->op == EXPR_PATH;
    const struct expr_node *path = n->items[left ? 0 : 1], *literal = n->items[left ? 1 : 0];
    if (path->op != EXPR_PATH || !path->root || strcmp(path->root, "now") != 0 || path->part_count > 0 ||
        literal->op != EXPR_LITERAL || !peri_value_is(literal->literal, PERI_STRING) || why->len > 0)
        return PERI_TRUTH_OPEN;
    const char *text = peri_value_text(literal->literal);
    if (strspn(text, "0123456789") >= 4)
        return PERI_TRUTH_OPEN;
    int order = left ? strcmp(now, text) : strcmp(text, now);
    bool holds = n->op == EXPR_LT || n->op == EXPR_LE ? order < 0 : order > 0;
    (void)peri_buf_printf(why,
        "now is a text such as 2026-01-05T09:00:00.000Z: compare (now | date('%%H:%%M', "
        "'Europe/Berlin')) with '%s'",
        text);
    return holds ? PERI_TRUTH_YES : PERI_TRUTH_NO;
}

static enum peri_truth truth_of_comparison(const struct expr_node *n, struct peri_buf *why)
{
    if (is_comparison(n) && truth_of_now(n, why) != PERI_TRUTH_OPEN) {
        peri_buf_reset(why);
        return truth_of_now(n, why);
    }
    enum kind a = kind_of(n->items[0]), b = kind_of(n->items[1]);
    if (a == ANY || b == ANY || a == b || (why->len > 0))
        return PERI_TRUTH_OPEN;
    if (n->op != EXPR_EQ && n->op != EXPR_NE) {
        if (is_comparison(n->items[0]))
            (void)peri_buf_puts(why, "two comparisons are joined: a < x and x < b");
        else
            (void)peri_buf_printf(why, "%s and %s have no order", kind_names[a], kind_names[b]);
        return PERI_TRUTH_NO; /* an error, which holds as little as false */
    }
    (void)peri_buf_printf(why, "%s is never equal to %s", kind_names[a], kind_names[b]);
    return n->op == EXPR_EQ ? PERI_TRUTH_NO : PERI_TRUTH_YES;
}

static bool has_path(const struct expr_node *n)
{
    bool found = n->op == EXPR_PATH;
    for (size_t i = 0; i < n->count && !found; i++)
        found = has_path(n->items[i]);
    return found;
}

/* Literals only: the value itself tells. */
static enum peri_truth truth_of_constant(const struct expr_node *n)
{
    struct peri_expr expr = {.top = (struct expr_node *)(uintptr_t)n, .constant = true};
    struct peri_value *v = NULL;
    if (peri_expr_eval(&expr, NULL, &v, NULL) != PERI_OK)
        return PERI_TRUTH_OPEN;
    enum peri_truth truth = peri_truthy(v) ? PERI_TRUTH_YES : PERI_TRUTH_NO;
    peri_value_unref(v);
    return truth;
}

static enum peri_truth truth_of(const struct expr_node *n, struct peri_buf *why)
{
    enum kind kind = kind_of(n);
    if (!has_path(n) && n->op != EXPR_LIST)
        return truth_of_constant(n);
    switch (n->op) {
    case EXPR_NOT:
        return opposite(truth_of(n->items[0], why));
    case EXPR_OR:
    case EXPR_AND:
        return truth_of_logic(n, why);
    case EXPR_EQ:
    case EXPR_NE:
    case EXPR_LT:
    case EXPR_LE:
    case EXPR_GT:
    case EXPR_GE:
        return truth_of_comparison(n, why);
    default:
        break;
    }
    if (kind == ANY || kind == BOOLEAN)
        return PERI_TRUTH_OPEN;
    if (why->len == 0)
        (void)peri_buf_printf(why, "%s counts as true, whatever it is", kind_names[kind]);
    return PERI_TRUTH_YES;
}

enum peri_truth peri_expr_truth(const struct peri_expr *expr, struct peri_buf *why)
{
    peri_buf_reset(why);
    return truth_of(expr->top, why);
}
