/* SPDX-License-Identifier: Apache-2.0 */
#include "run/condition.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "data/json.h"

/* The tree is walked with a stack of its own, because the walk is interrupted wherever an operator has to be asked.
 * Each frame is an inner node; a leaf's answer is handed upwards by `settle` until an inner node needs another child.
 */

void peri_cond_init(struct peri_cond_eval *eval, const struct peri_condition *root)
{
    memset(eval, 0, sizeof(*eval));
    eval->root = root;
}

void peri_cond_finish(struct peri_cond_eval *eval)
{
    free(eval->stack);
    peri_value_unref(eval->params);
    peri_value_unref(eval->detail);
    memset(eval, 0, sizeof(*eval));
}

bool peri_condition_is_pure(const struct peri_condition *condition)
{
    if (!condition)
        return true;
    if (condition->kind == PERI_COND_OPERATOR)
        return false;
    for (size_t i = 0; i < condition->count; i++)
        if (!peri_condition_is_pure(condition->items[i]))
            return false;
    return true;
}

/* What a condition compared is kept for people: whole when it is small, else not at all. */
static void keep_detail(struct peri_cond_eval *eval, const struct peri_value *detail)
{
    struct peri_buf buf;
    peri_value_unref(eval->detail);
    eval->detail = NULL;
    if (!detail)
        return;
    peri_buf_init(&buf, PERI_COND_DETAIL_MAX);
    if (peri_json_write(&buf, detail, PERI_JSON_COMPACT) == PERI_OK)
        eval->detail = peri_value_ref(detail);
    peri_buf_finish(&buf);
}

static void note_leaf(struct peri_cond_eval *eval, const struct peri_condition *leaf, const struct peri_value *detail)
{
    eval->leaf = leaf;
    eval->at = leaf->path;
    eval->operator_at = leaf->kind == PERI_COND_OPERATOR ? leaf->operator_id : NULL;
    keep_detail(eval, detail);
}

/* A leaf is decided. */
static enum peri_cond_outcome tell(struct peri_cond_eval *eval, enum peri_cond_outcome outcome)
{
    if (eval->watch.decided && eval->leaf)
        eval->watch.decided(eval->watch.ctx, eval->watch.rule, eval->leaf, outcome);
    return outcome;
}

static enum peri_cond_outcome failed(struct peri_cond_eval *eval, const struct peri_error *error)
{
    eval->error = *error;
    snprintf(eval->reason, sizeof(eval->reason), "%.300s", error->message);
    return PERI_COND_FAILED;
}

/* A template that cannot be rendered: missing means "no", all else is a failure. */
static enum peri_cond_outcome unrendered(
    struct peri_cond_eval *eval, enum peri_status st, const struct peri_error *error)
{
    if (st != PERI_ENOTFOUND)
        return failed(eval, error);
    snprintf(eval->reason, sizeof(eval->reason), "%.300s", error->message);
    return PERI_COND_NO;
}

static enum peri_cond_outcome eval_expr(
    struct peri_cond_eval *eval, const struct peri_condition *leaf, const struct peri_scope *scope)
{
    struct peri_error error = {0};
    struct peri_value *value = NULL, *explain = NULL;
    const struct peri_expr *expr = peri_template_expr(leaf->expr);
    enum peri_status st = peri_template_render(leaf->expr, scope, &value, &error);
    if (st == PERI_OK && expr)
        explain = peri_expr_explain(expr, scope);
    note_leaf(eval, leaf, explain);
    peri_value_unref(explain);
    if (st != PERI_OK)
        return tell(eval, unrendered(eval, st, &error));
    bool holds = peri_truthy(value);
    peri_value_unref(value);
    if (!holds)
        snprintf(eval->reason, sizeof(eval->reason), "%.290s is not true",
            leaf->expr_text ? leaf->expr_text : "the expression");
    return tell(eval, holds ? PERI_COND_YES : PERI_COND_NO);
}

static enum peri_cond_outcome eval_operator(
    struct peri_cond_eval *eval, const struct peri_condition *leaf, const struct peri_scope *scope)
{
    struct peri_error error = {0};
    enum peri_status st = PERI_OK;
    peri_value_unref(eval->params);
    eval->params = NULL;
    note_leaf(eval, leaf, NULL);
    if (leaf->params) {
        st = peri_template_render(leaf->params, scope, &eval->params, &error);
    } else {
        eval->params = peri_value_map();
        if (!eval->params)
            st = peri_error_nomem(&error);
    }
    if (st != PERI_OK)
        return tell(eval, unrendered(eval, st, &error));
    eval->operator_id = leaf->operator_id;
    return PERI_COND_CALL;
}

/* The answer of an inner node, or "go on with the next child" (PERI_COND_CALL stands for that here). */
static enum peri_cond_outcome fold(
    struct peri_cond_eval *eval, struct peri_cond_frame *frame, enum peri_cond_outcome child)
{
    switch (frame->node->kind) {
    case PERI_COND_ALL:
        if (child != PERI_COND_YES)
            return child;
        return frame->next < frame->node->count ? PERI_COND_CALL : PERI_COND_YES;
    case PERI_COND_ANY:
        if (child == PERI_COND_YES)
            return child;
        if (child == PERI_COND_FAILED && !frame->some_error) {
            frame->some_error = true;
            frame->error = eval->error;
        }
        if (frame->next < frame->node->count)
            return PERI_COND_CALL;
        return frame->some_error ? failed(eval, &frame->error) : PERI_COND_NO;
    case PERI_COND_NOT:
        if (child == PERI_COND_YES) {
            snprintf(eval->reason, sizeof(eval->reason), "it holds, but stands under `not`");
            return PERI_COND_NO;
        }
        return child == PERI_COND_NO ? PERI_COND_YES : child;
    case PERI_COND_OPERATOR:
    case PERI_COND_EXPR:
        break;
    }
    return child;
}

static enum peri_cond_outcome empty_node(const struct peri_condition *node)
{
    return node->kind == PERI_COND_ANY ? PERI_COND_NO : PERI_COND_YES;
}

static enum peri_cond_outcome descend(
    struct peri_cond_eval *eval, const struct peri_condition *node, const struct peri_scope *scope);

/* Hands a decided child upwards. */
static enum peri_cond_outcome settle(
    struct peri_cond_eval *eval, enum peri_cond_outcome child, const struct peri_scope *scope)
{
    while (eval->depth > 0) {
        struct peri_cond_frame *frame = &eval->stack[eval->depth - 1];
        child = fold(eval, frame, child);
        if (child != PERI_COND_CALL) {
            eval->depth--;
            continue;
        }
        const struct peri_condition *next = frame->node->items[frame->next++];
        child = descend(eval, next, scope);
        if (child == PERI_COND_CALL)
            return child;
    }
    return child;
}

/* Goes down to the first leaf below node and evaluates it; inner nodes on the way are pushed. */
static enum peri_cond_outcome descend(
    struct peri_cond_eval *eval, const struct peri_condition *node, const struct peri_scope *scope)
{
    for (;;) {
        if (node->kind == PERI_COND_OPERATOR)
            return eval_operator(eval, node, scope);
        if (node->kind == PERI_COND_EXPR)
            return eval_expr(eval, node, scope);
        if (node->count == 0)
            return empty_node(node);
        if (!peri_vec_grow(&eval->stack, &eval->cap, eval->depth + 1, sizeof(*eval->stack))) {
            struct peri_error error;
            (void)peri_error_nomem(&error);
            return failed(eval, &error);
        }
        struct peri_cond_frame *frame = &eval->stack[eval->depth++];
        memset(frame, 0, sizeof(*frame));
        frame->node = node;
        node = node->items[frame->next++];
    }
}

enum peri_cond_outcome peri_cond_start(struct peri_cond_eval *eval, const struct peri_scope *scope)
{
    eval->depth = 0;
    eval->reason[0] = '\0';
    if (!eval->root)
        return PERI_COND_YES;
    enum peri_cond_outcome outcome = descend(eval, eval->root, scope);
    return outcome == PERI_COND_CALL ? outcome : settle(eval, outcome, scope);
}

enum peri_cond_outcome peri_cond_answer(struct peri_cond_eval *eval, const struct peri_scope *scope,
    enum peri_cond_outcome answer, const struct peri_value *detail, const struct peri_error *error)
{
    keep_detail(eval, detail);
    eval->operator_id = NULL;
    if (answer == PERI_COND_FAILED)
        (void)failed(eval, error);
    else if (answer == PERI_COND_NO)
        snprintf(
            eval->reason, sizeof(eval->reason), "%.290s does not hold", eval->operator_at ? eval->operator_at : "it");
    return settle(eval, tell(eval, answer), scope);
}
