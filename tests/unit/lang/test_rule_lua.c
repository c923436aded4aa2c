/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "data/json.h"
#include "lang/rule_kit.h"

/* What a script's call is given: rendered like any other parameters. */

static struct peri_rule *load(const struct peri_rule_env *env, const char *text)
{
    struct peri_rule_list list = {0};
    struct peri_diag diag;
    peri_diag_init(&diag);
    (void)!peri_rules_load_text("rules/x.yaml", text, strlen(text), env, &list, &diag);
    for (size_t i = 0; i < diag.count; i++)
        print_message("%d:%d: %s\n", diag.items[i].line, diag.items[i].column, diag.items[i].message);
    assert_int_equal(list.count, 1);
    struct peri_rule *rule = peri_rule_ref(list.items[0]);
    peri_rule_list_finish(&list);
    peri_diag_finish(&diag);
    return rule;
}

static const struct peri_value *find(void *ctx, const char *name, size_t len)
{
    return peri_map_atn(ctx, name, len);
}

static char *rendered(const struct peri_template *t, const char *roots)
{
    struct peri_value *scope_value = NULL, *v = NULL;
    struct peri_error err = {0};
    assert_int_equal(peri_json_parse(roots, strlen(roots), &scope_value, &err), PERI_OK);
    struct peri_scope scope = {.lookup = find, .ctx = scope_value};
    assert_int_equal(peri_template_render(t, &scope, &v, &err), PERI_OK);
    char *text = peri_json_text(v, PERI_JSON_COMPACT);
    peri_value_unref(v);
    peri_value_unref(scope_value);
    return text;
}

static const char RULE[] = "name: X\n"
                           "trigger: {event: a.B}\n"
                           "conditions:\n"
                           "  - lua: |\n"
                           "      -- event.vars x.trigger, {{ event }} { event.x }}\n"
                           "      return event.n > 1 and not rule\n"
                           "actions:\n"
                           "  - {operator: comms.sendSms, params: {to: \"1\", body: b}, as: sent}\n"
                           "  - {id: calc, lua: \"return sent ..vars.x\", as: sum}\n"
                           "  - if: {lua: sum == nil}\n"
                           "    then: [{stop: true}]\n";

static void gives_the_names_that_it_contains(void **state)
{
    struct kit kit;
    kit_init(&kit);
    struct peri_rule *rule = load(&kit.env, RULE);
    const struct peri_condition *c = rule->condition->items[0];
    assert_string_equal(c->operator_id, PERI_RULE_LUA);
    char *text = rendered(c->params, "{\"event\": {\"n\": 2}, \"trigger\": 7, \"vars\": 1}");
    assert_string_equal(text, "{\"kind\":\"condition\",\"code\":\"-- event.vars x.trigger, {{ event }} { event.x }}\\n"
                              "return event.n > 1 and not rule\\n\",\"at\":\"rules/x.yaml\",\"line\":5,"
                              "\"names\":{\"event\":{\"n\":2},\"rule\":null}}");
    free(text);
    const struct peri_step *step = rule->actions->steps[1];
    assert_int_equal(step->kind, PERI_STEP_OPERATOR);
    assert_string_equal(step->as, "sum");
    text = rendered(step->params, "{\"vars\": {\"x\": 1}, \"sent\": \"s\"}");
    assert_non_null(strstr(text, "\"line\":9,\"names\":{\"sent\":\"s\",\"vars\":{\"x\":1}}}"));
    free(text);
    text = rendered(rule->actions->steps[2]->guard->params, "{\"sum\": 3}");
    assert_non_null(strstr(text, "\"kind\":\"condition\",\"code\":\"sum == nil\""));
    assert_non_null(strstr(text, "\"names\":{\"sum\":3}"));
    free(text);
    peri_rule_unref(rule);
    kit_finish(&kit);
}

static void is_the_same_rule_when_it_was_stored(void **state)
{
    struct kit kit;
    struct peri_rule *again = NULL;
    struct peri_error err = {0};
    kit_init(&kit);
    struct peri_rule *rule = load(&kit.env, RULE);
    assert_int_equal(peri_rule_from_text(rule->text, strlen(rule->text), &kit.env, &again, &err), PERI_OK);
    assert_string_equal(again->hash, rule->hash);
    char *text = rendered(again->actions->steps[1]->params, "{}");
    assert_non_null(strstr(text, "\"code\":\"return sent ..vars.x\",\"at\":\"actions[1].lua\",\"line\":1,"));
    assert_non_null(strstr(text, "\"names\":{\"sent\":null,\"vars\":null}"));
    free(text);
    peri_rule_unref(again);
    peri_rule_unref(rule);
    kit_finish(&kit);
}

static void is_too_large_for_a_rule(void **state)
{
    struct kit kit;
    struct peri_rule_list list = {0};
    struct peri_diag diag;
    kit_init(&kit);
    peri_diag_init(&diag);
    char *text = peri_asprintf("name: X\ntrigger: {event: a.B}\nactions:\n  - lua: \"return '%17000d'\"\n", 1);
    assert_int_not_equal(peri_rules_load_text("x.yaml", text, strlen(text), &kit.env, &list, &diag), PERI_OK);
    assert_string_equal(diag.items[0].code, "too-large");
    assert_int_equal(diag.items[0].line, 4);
    free(text);
    peri_rule_list_finish(&list);
    peri_diag_finish(&diag);
    kit_finish(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_names_that_it_contains),
        cmocka_unit_test(is_the_same_rule_when_it_was_stored),
        cmocka_unit_test(is_too_large_for_a_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
