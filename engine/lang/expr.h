/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_EXPR_H
#define PERI_LANG_EXPR_H

#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
#include "base/error.h"
#include "data/value.h"
#include "lang/tz.h"

/* The template expression language: total (no loops, no calls but filters and pure functions), parsed once, evaluated
 * in C. Lua's operators and precedence, literals, paths, filters ("| default('x')"). docs/rules.md is its reference.
 * Compiled expressions are immutable: evaluate from any thread. */
struct peri_expr;
struct peri_expr_problem;
struct peri_node;

/* What a name at the start of a path may be. */
struct peri_expr_names {
    bool (*known)(void *ctx, const char *name, size_t len); /* is this root bound here? */
    const char *const *(*list)(void *ctx); /* the bound names, NULL-ended, for "did you mean"; may be NULL */
    void *ctx;
    /* May root.field be? False with code, message and hint in problem. May be NULL: any field may. */
    bool (*member)(void *ctx, const char *root, const char *field, struct peri_expr_problem *problem);
    /* Told of each path root.field that is right, with the offset of the field in the expression, and before that of
     * the text that an expression stands in: node from byte offset on. May be NULL. */
    void (*seen)(void *ctx, const char *root, const char *field, size_t offset);
    void (*enter)(void *ctx, const struct peri_node *node, size_t offset);
    /* Told of a part of the expression, at offset, that can only fail. May be NULL. */
    void (*doubt)(void *ctx, size_t offset, const char *hint, const char *message);
    /* The value of a root that is the same for ever: it is built in, and no scope is asked for it. borrow; NULL: this
     * root has none. May be NULL. */
    const struct peri_value *(*constant)(void *ctx, const char *root);
};

/* Where values come from while evaluating. */
struct peri_scope {
    /* The value of a root, borrowed for the time of the evaluation; NULL when it has none now. */
    const struct peri_value *(*lookup)(void *ctx, const char *name, size_t len);
    void *ctx;
    int64_t now_ms;                  /* what `now` is */
    const struct peri_tz_source *tz; /* for the date filter; NULL: UTC only */
};

struct peri_expr_problem {
    size_t offset; /* bytes into the text */
    char code[32]; /* "syntax", "unknown-root", "unknown-filter", "unknown-function", "filter-args", or what
                      peri_expr_names.member says */
    char message[512];
    char hint[256];
    char from[64], to[64]; /* what stands at offset and what surely belongs there; empty: not certain */
};

/* names may be NULL: then any root is accepted. problem may be NULL. */
enum peri_status peri_expr_compile(const char *text, size_t len, const struct peri_expr_names *names,
    struct peri_expr **ret, struct peri_expr_problem *problem) PERI_MUST_CHECK;
void peri_expr_destroy(struct peri_expr *expr);

/* PERI_OK with a new reference in *ret. PERI_ENOTFOUND, code "missing", message "missing event.x": a path led nowhere
 * and nothing gave a default. PERI_EINVAL, code "type": an operator met a wrong type, the message has both values.
 * PERI_ELIMIT: the result outgrew 256 KiB. */
enum peri_status peri_expr_eval(const struct peri_expr *expr, const struct peri_scope *scope, struct peri_value **ret,
    struct peri_error *err) PERI_MUST_CHECK;
/* For a comparison at the top of the expression: a map {left, op, right} with the values it compared, for verdicts.
 * NULL when the expression is none or the values are missing. New reference. */
struct peri_value *peri_expr_explain(const struct peri_expr *expr, const struct peri_scope *scope);
/* What is certain of the expression's truth before any event: `1 == 2` never holds, `#event.items` and
 * `event.x == 'a' or 'b'` always do when they can be evaluated. why gets half a sentence, or stays empty. */
enum peri_truth { PERI_TRUTH_OPEN, PERI_TRUTH_YES, PERI_TRUTH_NO };
enum peri_truth peri_expr_truth(const struct peri_expr *expr, struct peri_buf *why);
/* The names of filters and functions, sorted, NULL-ended. */
const char *const *peri_expr_function_names(void);
/* Appends how one is called: "replace(a text, a text, a text)"; nothing for a name that is none. */
void peri_expr_function_usage(const char *name, struct peri_buf *out);
/* Lua's truth: everything but false and null. */
bool peri_truthy(const struct peri_value *v);

#endif
