/* SPDX-License-Identifier: Apache-2.0 */
#include "run/kit.h"

#include "run/condition.h"
#include "run/scope.h"

/* Evaluates the conditions of a rule against a payload. answers: one letter for each operator call, y, n or f; what was
 * asked is collected in asked. */
struct outcome {
    enum peri_cond_outcome outcome;
    char at[64], operator_at[64], reason[320], asked[256];
    struct peri_value *detail;
    struct peri_error error;
};

static void evaluate(const char *conditions, const char *payload, const char *answers, struct outcome *ret)
{
    char yaml[2048];
    snprintf(
        yaml, sizeof(yaml), "name: t\ntrigger: {event: a.B}\nconditions:\n%s\nactions:\n  - stop: true\n", conditions);
    struct peri_rule *rule = kit_rule(yaml);
    struct peri_match_scope roots = {.event = kit_json(payload)};
    struct peri_scope scope = peri_match_scope(&roots, 0, NULL);
    struct peri_cond_eval eval;
    memset(ret, 0, sizeof(*ret));
    peri_cond_init(&eval, rule->condition);
    enum peri_cond_outcome outcome = peri_cond_start(&eval, &scope);
    while (outcome == PERI_COND_CALL) {
        struct peri_error error = {0};
        struct peri_value *detail = kit_json("{\"actual\":4}");
        strncat(ret->asked, eval.operator_id, sizeof(ret->asked) - strlen(ret->asked) - 1);
        strncat(ret->asked, " ", sizeof(ret->asked) - strlen(ret->asked) - 1);
        assert_true(*answers);
        enum peri_cond_outcome answer = *answers == 'y'   ? PERI_COND_YES
                                        : *answers == 'n' ? PERI_COND_NO
                                                          : PERI_COND_FAILED;
        if (answer == PERI_COND_FAILED)
            (void)peri_error_set(&error, PERI_EIO, "broken", "it broke");
        outcome = peri_cond_answer(&eval, &scope, answer, detail, &error);
        peri_value_unref(detail);
        answers++;
    }
    assert_int_equal(*answers, '\0');
    ret->outcome = outcome;
    snprintf(ret->at, sizeof(ret->at), "%s", eval.at ? eval.at : "");
    snprintf(ret->operator_at, sizeof(ret->operator_at), "%s", eval.operator_at ? eval.operator_at : "");
    snprintf(ret->reason, sizeof(ret->reason), "%s", eval.reason);
    ret->detail = peri_value_ref(eval.detail);
    ret->error = eval.error;
    peri_cond_finish(&eval);
    peri_value_unref((struct peri_value *)(uintptr_t)roots.event);
    peri_rule_unref(rule);
}

static void test_tables(void **state)
{
    static const struct {
        const char *conditions, *answers;
        enum peri_cond_outcome want;
        const char *asked;
    } cases[] = {
        {"  - {operator: x.a}\n  - {operator: x.b}", "yy", PERI_COND_YES, "x.a x.b "},
        {"  - {operator: x.a}\n  - {operator: x.b}", "n", PERI_COND_NO, "x.a "},
        {"  - {operator: x.a}\n  - {operator: x.b}", "f", PERI_COND_FAILED, "x.a "},
        {"  - any: [{operator: x.a}, {operator: x.b}]", "y", PERI_COND_YES, "x.a "},
        {"  - any: [{operator: x.a}, {operator: x.b}]", "ny", PERI_COND_YES, "x.a x.b "},
        {"  - any: [{operator: x.a}, {operator: x.b}]", "nn", PERI_COND_NO, "x.a x.b "},
        {"  - any: [{operator: x.a}, {operator: x.b}]", "fy", PERI_COND_YES, "x.a x.b "},
        {"  - any: [{operator: x.a}, {operator: x.b}]", "fn", PERI_COND_FAILED, "x.a x.b "},
        {"  - not: {operator: x.a}", "y", PERI_COND_NO, "x.a "},
        {"  - not: {operator: x.a}", "n", PERI_COND_YES, "x.a "},
        {"  - not: {operator: x.a}", "f", PERI_COND_FAILED, "x.a "},
        {"  - any:\n    - all: [{operator: x.a}, {operator: x.b}]\n    - not: {any: [{operator: x.c}, {operator: "
         "x.d}]}\n  - {operator: x.e}",
            "ynnny", PERI_COND_YES, "x.a x.b x.c x.d x.e "},
        {"  - any:\n    - all: [{operator: x.a}, {operator: x.b}]\n    - not: {any: [{operator: x.c}, {operator: "
         "x.d}]}\n  - {operator: x.e}",
            "ny", PERI_COND_NO, "x.a x.c "},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct outcome o;
        evaluate(cases[i].conditions, "{}", cases[i].answers, &o);
        assert_int_equal(o.outcome, cases[i].want);
        assert_string_equal(o.asked, cases[i].asked);
        peri_value_unref(o.detail);
    }
}

static void test_what_stood_in_the_way_is_told(void **state)
{
    struct outcome o;
    evaluate("  - {operator: x.a}\n  - {operator: x.b}", "{}", "yn", &o);
    assert_string_equal(o.at, "conditions[1]");
    assert_string_equal(o.operator_at, "x.b");
    kit_assert_json(o.detail, "{\"actual\":4}");
    peri_value_unref(o.detail);

    evaluate("  - expr: \"{{ event.n > 3 }}\"", "{\"n\":2}", "", &o);
    assert_int_equal(o.outcome, PERI_COND_NO);
    assert_string_equal(o.at, "conditions[0]");
    assert_int_equal(peri_map_int(o.detail, "left", 0), 2);
    assert_int_equal(peri_map_int(o.detail, "right", 0), 3);
    peri_value_unref(o.detail);
}

static void test_a_missing_field_is_a_no_with_its_name(void **state)
{
    struct outcome o;
    evaluate("  - expr: \"{{ event.missing > 3 }}\"", "{}", "", &o);
    assert_int_equal(o.outcome, PERI_COND_NO);
    assert_non_null(strstr(o.reason, "missing event.missing"));
    peri_value_unref(o.detail);
    evaluate("  - {operator: x.a, params: {id: \"{{ event.who }}\"}}", "{}", "", &o);
    assert_int_equal(o.outcome, PERI_COND_NO);
    assert_string_equal(o.asked, "");
    assert_string_equal(o.operator_at, "x.a");
    assert_non_null(strstr(o.reason, "missing event.who"));
    peri_value_unref(o.detail);
}

static void test_a_wrong_type_is_an_error(void **state)
{
    struct outcome o;
    evaluate("  - expr: \"{{ event.n > 3 }}\"", "{\"n\":\"x\"}", "", &o);
    assert_int_equal(o.outcome, PERI_COND_FAILED);
    assert_string_equal(o.error.code, "type");
    peri_value_unref(o.detail);
}

static void test_no_conditions_hold(void **state)
{
    struct peri_cond_eval eval;
    peri_cond_init(&eval, NULL);
    assert_int_equal(peri_cond_start(&eval, NULL), PERI_COND_YES);
    peri_cond_finish(&eval);
    assert_true(peri_condition_is_pure(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_what_stood_in_the_way_is_told),
        cmocka_unit_test(test_a_missing_field_is_a_no_with_its_name),
        cmocka_unit_test(test_a_wrong_type_is_an_error),
        cmocka_unit_test(test_no_conditions_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
