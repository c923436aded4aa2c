/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_LANG_EXPR_LEX_H
#define PERI_LANG_EXPR_LEX_H

#include <stdbool.h>
#include <stddef.h>
#include "lang/expr.h"

enum expr_token_kind {
    TOKEN_END,
    TOKEN_NAME,
    TOKEN_NUMBER,
    TOKEN_STRING,
    TOKEN_TRUE,
    TOKEN_FALSE,
    TOKEN_NIL,
    TOKEN_AND,
    TOKEN_OR,
    TOKEN_NOT,
    TOKEN_EQ,
    TOKEN_NE,
    TOKEN_LT,
    TOKEN_LE,
    TOKEN_GT,
    TOKEN_GE,
    TOKEN_CONCAT,
    TOKEN_PLUS,
    TOKEN_MINUS,
    TOKEN_STAR,
    TOKEN_SLASH,
    TOKEN_PERCENT,
    TOKEN_HASH,
    TOKEN_DOT,
    TOKEN_COMMA,
    TOKEN_PIPE,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_OPEN_LIST,
    TOKEN_CLOSE_LIST
};

struct expr_lexer {
    const char *text;
    size_t len, at;
    struct peri_expr_problem *problem;
    /* the current token */
    enum expr_token_kind kind;
    size_t offset, size;
    struct peri_value *value; /* of a number or a string; owned until taken */
};

/* Moves to the next token. On PERI_EINVAL the problem is filled. */
enum peri_status peri_expr_lex(struct expr_lexer *lexer) PERI_MUST_CHECK;
/* Fills problem (may be NULL) and returns PERI_EINVAL. */
/* Gives a problem that was set its change. */
void peri_expr_problem_fix(struct peri_expr_problem *problem, const char *from, const char *to);
enum peri_status peri_expr_problem_set(struct peri_expr_problem *problem, size_t offset, const char *code,
    const char *hint, const char *fmt, ...) PERI_PRINTF(5, 6);

#endif
