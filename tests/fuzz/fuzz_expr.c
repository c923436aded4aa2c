/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as an expression, evaluated against one event: an end in bounded time, a value that JSON can hold or an
 * error, and a problem inside the text. The first byte chooses between an expression and a template. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "data/json.h"
#include "lang/expr.h"
#include "lang/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char event_json[] =
    "{\"a\":{\"b\":[10,20,30]},\"s\":\"text\",\"n\":3,\"f\":2.5,\"t\":true,\"z\":null,\"at\":\"2026-07-01T12:00:00Z\","
    "\"l\":[{\"x\":1,\"y\":\"p\"},{\"x\":2,\"y\":\"q\"}],\"m\":-9223372036854775808}";

static const struct peri_value *lookup(void *ctx, const char *name, size_t len)
{
    return len == 1 && *name == 'e' ? ctx : NULL;
}

static void check(enum peri_status st, struct peri_value *v, const struct peri_error *err)
{
    if (st == PERI_OK) {
        char *text = peri_json_text(v, PERI_JSON_COMPACT);
        if (!text)
            abort();
        free(text);
        peri_value_unref(v);
    } else if (st != PERI_ENOTFOUND && st != PERI_EINVAL && st != PERI_ELIMIT) {
        abort();
    } else if (!err->message[0] || !err->code[0]) {
        abort();
    }
}

static void run_expr(const char *text, size_t len, const struct peri_scope *scope)
{
    struct peri_expr *expr = NULL;
    struct peri_expr_problem problem = {0};
    struct peri_value *v = NULL;
    struct peri_error err = {0};
    if (peri_expr_compile(text, len, NULL, &expr, &problem) != PERI_OK) {
        if (problem.offset > len || !problem.code[0] || !problem.message[0])
            abort();
        return;
    }
    check(peri_expr_eval(expr, scope, &v, &err), v, &err);
    peri_value_unref(peri_expr_explain(expr, scope));
    peri_expr_destroy(expr);
}

static void run_template(const char *text, size_t len, const struct peri_scope *scope)
{
    char *copy = malloc(len + 1);
    struct peri_template *t = NULL;
    struct peri_diag diag;
    struct peri_value *v = NULL;
    struct peri_error err = {0};
    if (!copy)
        return;
    memcpy(copy, text, len);
    copy[len] = '\0';
    struct peri_node node = {.kind = PERI_NODE_SCALAR,
        .place = {"f", 1, 1},
        .text = copy,
        .len = len,
        .style = '"',
        .type = PERI_STRING,
        .source = copy,
        .source_len = len};
    peri_diag_init(&diag);
    if (strlen(copy) == len && peri_utf8_valid(copy, len, NULL)) {
        enum peri_status st = peri_template_compile(&node, NULL, &t, &diag);
        if ((st == PERI_OK) != (diag.errors == 0))
            abort();
        if (st == PERI_OK)
            check(peri_template_render(t, scope, &v, &err), v, &err);
        peri_template_destroy(t);
    }
    peri_diag_finish(&diag);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct peri_value *event;
    if (!event && peri_json_parse(event_json, strlen(event_json), &event, NULL) != PERI_OK)
        abort();
    struct peri_scope scope = {.lookup = lookup, .ctx = event, .now_ms = 1700000000000};
    if (size == 0)
        return 0;
    if (data[0] & 1)
        run_expr((const char *)data + 1, size - 1, &scope);
    else
        run_template((const char *)data + 1, size - 1, &scope);
    return 0;
}
