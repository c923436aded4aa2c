/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_EXPR_INTERNAL_H
#define PERI_LANG_EXPR_INTERNAL_H

#include "lang/expr.h"

/* What expr_parse.c builds and expr_eval.c walks. Only the files expr_*.c and template.c include this. */

#define PERI_EXPR_MAX_TEXT (16 * 1024)    /* bytes of one expression */
#define PERI_EXPR_MAX_DEPTH 100           /* of its tree, and so of every recursion over it */
#define PERI_EXPR_MAX_RESULT (256 * 1024) /* bytes of a text that an expression makes */
#define PERI_EXPR_MAX_ITEMS 10000         /* elements of a list that an expression makes */

enum expr_op {
    EXPR_LITERAL,
    EXPR_LIST, /* items are the elements */
    EXPR_PATH,
    EXPR_NOT,
    EXPR_NEG,
    EXPR_LEN,
    EXPR_OR,
    EXPR_AND,
    EXPR_EQ,
    EXPR_NE,
    EXPR_LT,
    EXPR_LE,
    EXPR_GT,
    EXPR_GE,
    EXPR_CONCAT,
    EXPR_ADD,
    EXPR_SUB,
    EXPR_MUL,
    EXPR_DIV,
    EXPR_MOD,
    EXPR_CALL /* items are the arguments; of a filter, the filtered value comes first */
};

struct expr_node;

/* One step of a path: a field by name, or a computed index. */
struct expr_part {
    char *key;
    size_t len;
    struct expr_node *index;
};

struct expr_node {
    enum expr_op op;
    int depth;
    size_t offset;
    struct peri_value *literal;
    char *root; /* PATH: the name it starts with; NULL when it has none. It hangs on items[0] if that is there */
    struct expr_part *parts;
    size_t part_count, part_cap;
    struct expr_node **items;
    size_t count, cap;
    const struct expr_function *function;
};

struct peri_expr {
    struct expr_node *top;
    bool constant; /* no path in it, hence no need of a scope */
};

/* A call under way. The arguments have been checked against the signature. */
struct expr_call {
    const struct expr_function *function;
    struct peri_value **args; /* borrowed */
    size_t count;
    const struct peri_scope *scope; /* never NULL */
    struct peri_error *err;
};

typedef enum peri_status (*expr_function_fn)(const struct expr_call *call, struct peri_value **ret);

/* Every filter is a function too: "x | f(y)" is "f(x, y)".
 * signature: one letter an argument, optional ones after '?', a trailing '*' repeats the last one: a any, s string,
 * n number, i integer, l list, m map, b boolean, t time (RFC 3339 text or ms), d duration (text or ms), c list or map
 * or string. fn NULL: handled by the evaluator, because arguments are evaluated only when needed. */
struct expr_function {
    const char *name;
    const char *signature;
    expr_function_fn fn;
    bool function_only;
};

const struct expr_function *peri_expr_function(const char *name);
size_t peri_expr_function_min_args(const struct expr_function *function);
size_t peri_expr_function_max_args(const struct expr_function *function); /* SIZE_MAX: any number */
/* The type letter that argument i must have. */
char peri_expr_function_arg(const struct expr_function *function, size_t i);
bool peri_expr_arg_fits(char letter, const struct peri_value *v);
const char *peri_expr_arg_name(char letter); /* "a string" */
enum peri_status peri_expr_call(const struct expr_call *call, struct peri_value **ret);

/* Shared by the function files. */
#define PERI_EXPR_SHOW 96
/* `"abc" (string)`, cut; into out, which it returns. */
const char *peri_expr_show(const struct peri_value *v, char out[PERI_EXPR_SHOW]);
/* Takes the buffer's text as a string result; the buffer is finished in any case. */
enum peri_status peri_expr_take_text(const struct expr_call *call, struct peri_buf *buf, struct peri_value **ret);
/* A value as text as templates join it: null "", strings as they are, the rest as JSON. */
enum peri_status peri_expr_append_text(struct peri_buf *buf, const struct peri_value *v);
enum peri_status peri_expr_too_large(struct peri_error *err);
/* v (taken) as the result, or out of memory when it is NULL. */
enum peri_status peri_expr_give(const struct expr_call *call, struct peri_value *v, struct peri_value **ret);
/* -1, 0, 1 for two numbers or two strings; false for anything else. */
bool peri_expr_order(const struct peri_value *a, const struct peri_value *b, int *ret);
/* RFC 3339 text or a number of ms. */
enum peri_status peri_expr_time(const struct peri_value *v, int64_t *ret_ms, struct peri_error *err);

#define EXPR_FUNCTION(name) enum peri_status name(const struct expr_call *call, struct peri_value **ret)
/* expr_text.c */
EXPR_FUNCTION(peri_expr_fn_upper);
EXPR_FUNCTION(peri_expr_fn_lower);
EXPR_FUNCTION(peri_expr_fn_capitalize);
EXPR_FUNCTION(peri_expr_fn_trim);
EXPR_FUNCTION(peri_expr_fn_split);
EXPR_FUNCTION(peri_expr_fn_replace);
EXPR_FUNCTION(peri_expr_fn_starts_with);
EXPR_FUNCTION(peri_expr_fn_ends_with);
EXPR_FUNCTION(peri_expr_fn_slug);
EXPR_FUNCTION(peri_expr_fn_truncate);
EXPR_FUNCTION(peri_expr_fn_url_encode);
EXPR_FUNCTION(peri_expr_fn_json);
EXPR_FUNCTION(peri_expr_fn_from_json);
EXPR_FUNCTION(peri_expr_fn_string);
/* expr_list.c */
EXPR_FUNCTION(peri_expr_fn_length);
EXPR_FUNCTION(peri_expr_fn_first);
EXPR_FUNCTION(peri_expr_fn_last);
EXPR_FUNCTION(peri_expr_fn_join);
EXPR_FUNCTION(peri_expr_fn_contains);
EXPR_FUNCTION(peri_expr_fn_keys);
EXPR_FUNCTION(peri_expr_fn_values);
EXPR_FUNCTION(peri_expr_fn_sort);
EXPR_FUNCTION(peri_expr_fn_reverse);
EXPR_FUNCTION(peri_expr_fn_unique);
EXPR_FUNCTION(peri_expr_fn_map);
EXPR_FUNCTION(peri_expr_fn_where);
EXPR_FUNCTION(peri_expr_fn_slice);
/* expr_time.c */
EXPR_FUNCTION(peri_expr_fn_date);
EXPR_FUNCTION(peri_expr_fn_duration);
EXPR_FUNCTION(peri_expr_fn_format_duration);
EXPR_FUNCTION(peri_expr_fn_add);
EXPR_FUNCTION(peri_expr_fn_time);
EXPR_FUNCTION(peri_expr_fn_timestamp);
#undef EXPR_FUNCTION

#endif
