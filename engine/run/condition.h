/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_CONDITION_H
#define PERI_RUN_CONDITION_H

#include <stdbool.h>
#include "base/error.h"
#include "data/value.h"
#include "lang/rule.h"

/* Evaluation of a condition tree that can be put aside while an operator works. Pure: calls are made by the caller.
 *
 * A missing field makes its condition false, with the reason "missing event.x". An operator that fails or an expression
 * that meets a wrong type makes the tree fail (ERROR), except below `any` when another branch holds. */
enum peri_cond_outcome {
    PERI_COND_NO, /* does not hold: eval->reason, at, detail say why */
    PERI_COND_YES,
    PERI_COND_FAILED, /* eval->error */
    PERI_COND_CALL    /* call eval->operator_id with eval->params, then peri_cond_answer */
};

#define PERI_COND_DETAIL_MAX 2048 /* bytes of JSON that are kept of what a condition compared */

struct peri_cond_frame {
    const struct peri_condition *node;
    size_t next;     /* child to evaluate next */
    bool some_error; /* below ANY: a branch failed and none has held so far */
    struct peri_error error;
};

/* Hears how each condition that was asked turned out, but for the inner nodes of a tree. */
struct peri_cond_watch {
    void (*decided)(
        void *ctx, const struct peri_rule *rule, const struct peri_condition *leaf, enum peri_cond_outcome outcome);
    void *ctx;
    const struct peri_rule *rule;
};

struct peri_cond_eval {
    const struct peri_condition *root;
    const struct peri_condition *leaf; /* the last that was asked */
    struct peri_cond_watch watch;      /* set after init; decided may be NULL */
    struct peri_cond_frame *stack;
    size_t depth, cap;
    /* While waiting for a call. Owned here. */
    const char *operator_id;
    struct peri_value *params;
    /* The leaf that decided, for verdicts. at and operator_at live as long as the rule. */
    const char *at, *operator_at;
    char reason[320];
    struct peri_value *detail;
    struct peri_error error;
};

void peri_cond_init(struct peri_cond_eval *eval, const struct peri_condition *root);
void peri_cond_finish(struct peri_cond_eval *eval);
/* Starts from the root; goes on until an operator is needed or the tree is decided. A NULL root holds. */
enum peri_cond_outcome peri_cond_start(struct peri_cond_eval *eval, const struct peri_scope *scope);
/* The operator's answer: outcome YES, NO or FAILED, what it compared (may be NULL), its error when FAILED. */
enum peri_cond_outcome peri_cond_answer(struct peri_cond_eval *eval, const struct peri_scope *scope,
    enum peri_cond_outcome answer, const struct peri_value *detail, const struct peri_error *error);
/* True when no operator is in the tree: it is decided without a call. NULL: true. */
bool peri_condition_is_pure(const struct peri_condition *condition);

#endif
