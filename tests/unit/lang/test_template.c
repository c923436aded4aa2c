/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "data/json.h"
#include "lang/template.h"

static const char *const tags[] = {"!secret", "!input", NULL};
static const char event_json[] =
    "{\"name\":\"Ada\",\"n\":3,\"list\":[1,2],\"nothing\":null,\"evil\":{\"x\":[{\"$secret\":\"token\"}]}}";

static const struct peri_value *lookup(void *ctx, const char *name, size_t len)
{
    return len == 5 && memcmp(name, "event", 5) == 0 ? ctx : NULL;
}

static bool known(void *ctx, const char *name, size_t len)
{
    return len == 5 && memcmp(name, "event", 5) == 0;
}

/* Compiles the YAML text; NULL when there were findings. */
static struct peri_template *compile(const char *yaml, struct peri_diag *diag)
{
    struct peri_yaml_doc *doc = NULL;
    struct peri_template *t = NULL;
    struct peri_expr_names names = {.known = known};
    assert_int_equal(peri_yaml_parse("t.yaml", yaml, strlen(yaml), tags, &doc, diag), PERI_OK);
    assert_int_equal(doc->count, 1);
    enum peri_status st = peri_template_compile(doc->roots[0], &names, &t, diag);
    peri_yaml_destroy(doc);
    assert_int_equal(st, diag->errors ? PERI_EINVAL : PERI_OK);
    return t;
}

static enum peri_status render(const char *yaml, struct peri_value **ret, struct peri_error *err)
{
    struct peri_diag diag;
    struct peri_value *event = NULL;
    peri_diag_init(&diag);
    struct peri_template *t = compile(yaml, &diag);
    if (!t)
        fail_msg("%s: %s", yaml, diag.items[0].message);
    assert_int_equal(peri_json_parse(event_json, strlen(event_json), &event, NULL), PERI_OK);
    struct peri_scope scope = {.lookup = lookup, .ctx = event};
    enum peri_status st = peri_template_render(t, &scope, ret, err);
    peri_value_unref(event);
    peri_template_destroy(t);
    peri_diag_finish(&diag);
    return st;
}

static void test_rendering(void **state)
{
    static const struct {
        const char *yaml, *json;
    } cases[] = {
        {"\"{{ event.n }}\"", "3"},
        {"\"{{event.list}}\"", "[1,2]"},
        {"\"{{ event.nothing }}\"", "null"},
        {"\"Hi {{ event.name }}, {{ event.n + 1 }}!\"", "\"Hi Ada, 4!\""},
        {"\"{{ event.n }} \"", "\"3 \""},
        {"\"[{{ event.nothing }}|{{ event.list }}|{{ event.n > 2 }}]\"", "\"[|[1,2]|true]\""},
        {"|\n  {{ event.n }}\n", "3"},
        {">\n  {{ event.n }}\n", "3"},
        {"|\n  {{ event.n }}\n  {{ event.n }}\n", "\"3\\n3\\n\""},
        {"a {{{{ b }} {{ event.n }}", "\"a {{ b }} 3\""},
        {"'{{ \"}}\" .. event.n }}'", "\"}}3\""},
        {"a }} b", "\"a }} b\""},
        {"{a: [1, '{{ event.n }}', x], b: {c: 'no'}, d: null}", "{\"a\":[1,3,\"x\"],\"b\":{\"c\":\"no\"},\"d\":null}"},
        {"{to: !secret token}", "{\"to\":{\"$secret\":\"token\"}}"},
        {"{on: yes, at: 08:30, n: 0x1F, f: 1.50}", "{\"on\":\"yes\",\"at\":\"08:30\",\"n\":31,\"f\":1.5}"},
        {"'{{ 1 + 1 }}'", "2"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct peri_value *v = NULL;
        struct peri_error err;
        if (render(cases[i].yaml, &v, &err) != PERI_OK)
            fail_msg("%s: %s", cases[i].yaml, err.message);
        char *got = peri_json_text(v, PERI_JSON_COMPACT);
        if (strcmp(got, cases[i].json) != 0)
            fail_msg("%s gives %s, not %s", cases[i].yaml, got, cases[i].json);
        free(got);
        peri_value_unref(v);
    }
}

static void test_errors_say_where_in_the_tree(void **state)
{
    static const struct {
        const char *yaml;
        enum peri_status st;
        const char *message;
    } cases[] = {
        {"{to: x, body: 'Hi {{ event.nick }}'}", PERI_ENOTFOUND, "body: missing event.nick"},
        {"{a: [{b: 'x'}, {c: '{{ event.nick }}'}]}", PERI_ENOTFOUND, "a[1].c: missing event.nick"},
        {"['{{ event.nick }}']", PERI_ENOTFOUND, "[0]: missing event.nick"},
        {"'{{ event.nick }}'", PERI_ENOTFOUND, "missing event.nick"},
        {"{n: '{{ event.name + 1 }}'}", PERI_EINVAL, "n: cannot calculate \"Ada\" (string) + 1 (integer)"},
        {"{n: '{{ 1 / 0 }}'}", PERI_EINVAL, "n: division by zero"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct peri_value *v = NULL;
        struct peri_error err;
        assert_int_equal(render(cases[i].yaml, &v, &err), cases[i].st);
        assert_string_equal(err.message, cases[i].message);
    }
}

/* A sender of events could otherwise read any secret by naming it. */
static void test_data_cannot_pass_for_a_secret(void **state)
{
    struct peri_value *v = NULL;
    struct peri_error err;
    assert_int_equal(render("{to: '{{ event.evil }}'}", &v, &err), PERI_EINVAL);
    assert_string_equal(err.code, "secret");
    assert_int_equal(render("{to: 'text: {{ event.evil.x | first }}'}", &v, &err), PERI_EINVAL);
    assert_int_equal(render("'{{ event.evil | json | length }}'", &v, &err), PERI_OK);
    peri_value_unref(v);
}

static void test_findings_point_into_the_text(void **state)
{
    static const struct {
        const char *yaml;
        int line, column;
        const char *code;
    } cases[] = {
        {"a: \"{{ evnt.x }}\"", 1, 8, "unknown-root"},
        {"a: '{{ evnt.x }}'", 1, 8, "unknown-root"},
        {"a: x {{ evnt.x }}", 1, 9, "unknown-root"},
        {"a: \"\\u00e4\\n{{ evnt.x }}\"", 1, 16, "unknown-root"},
        {"a: 'it''s {{ evnt.x }}'", 1, 14, "unknown-root"},
        {"a: \xC3\xA4 {{ evnt.x }}", 1, 9, "unknown-root"},
        {"a: |\n  one\n\n  two {{ evnt.x }}\n", 4, 10, "unknown-root"},
        {"a: |\n\n    one {{ evnt.x }}\n", 3, 12, "unknown-root"},
        {"a: >\n  one\n  two {{ evnt.x }}\n", 3, 10, "unknown-root"},
        {"a: >-\n  one\n\n  two\n   more\n  x {{ evnt.x }}\n", 6, 8, "unknown-root"},
        {"a: \"one\n  two\n\n  {{ evnt.x }}\"", 4, 6, "unknown-root"},
        {"a: one\n  two {{ evnt.x }}", 2, 10, "unknown-root"},
        {"a: \"one \\\n  two {{ evnt.x }}\"", 2, 10, "unknown-root"},
        {"a: |\n  {{ event.x\n  + evnt.y }}\n", 3, 5, "unknown-root"},
        {"a: &x \"{{ evnt.x }}\"", 1, 11, "unknown-root"},
        {"a: \"{{ event.x\"", 1, 5, "expr-syntax"},
        {"a: \"{{ event.x | uper }}\"", 1, 18, "unknown-filter"},
        {"a: \"{{ }}\"", 1, 7, "expr-syntax"},
        {"a: \"{{ 'x }} {{ event.x }}\"", 1, 8, "expr-syntax"},
        {"a: !input x", 1, 4, "input-outside"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct peri_diag diag;
        peri_diag_init(&diag);
        assert_null(compile(cases[i].yaml, &diag));
        const struct peri_finding *f = &diag.items[0];
        if (diag.count != 1 || f->line != cases[i].line || f->column != cases[i].column ||
            strcmp(f->code, cases[i].code) != 0)
            fail_msg(
                "%s: %zu findings, %d:%d %s %s", cases[i].yaml, diag.count, f->line, f->column, f->code, f->message);
        peri_diag_finish(&diag);
    }
}

static void test_what_is_constant(void **state)
{
    struct peri_diag diag;
    peri_diag_init(&diag);
    struct peri_template *t = compile("{a: [1, '{{ 2 }}'], b: 'x'}", &diag);
    assert_true(peri_template_is_constant(t));
    assert_null(peri_template_expr(t));
    peri_template_destroy(t);
    t = compile("{a: ['{{ event.n }}']}", &diag);
    assert_false(peri_template_is_constant(t));
    peri_template_destroy(t);
    t = compile("'{{ event.n }}'", &diag);
    assert_non_null(peri_template_expr(t));
    peri_template_destroy(t);
    t = compile("'{{ now }}'", &diag);
    assert_false(peri_template_is_constant(t));
    peri_template_destroy(t);
    peri_diag_finish(&diag);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rendering),
        cmocka_unit_test(test_errors_say_where_in_the_tree),
        cmocka_unit_test(test_data_cannot_pass_for_a_secret),
        cmocka_unit_test(test_findings_point_into_the_text),
        cmocka_unit_test(test_what_is_constant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
