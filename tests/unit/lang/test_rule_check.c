/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "lang/rule_kit.h"

static struct peri_rule_list list;
static struct peri_diag diag;

static enum peri_status load(struct kit *kit, const char *text)
{
    peri_rule_list_finish(&list);
    peri_diag_finish(&diag);
    return peri_rules_load_text("r.yaml", text, strlen(text), &kit->env, &list, &diag);
}

static void test_the_vip_rule_loads_unchanged(void **state)
{
    static const char text[] = "name: VIP Missed Call Follow-up\n"
                               "trigger:\n"
                               "  event: comms.CallMissed\n"
                               "conditions:\n"
                               "  - operator: comms.missedCalls\n"
                               "    params: {contactId: \"{{ event.fromContactId }}\", count: 3}\n"
                               "  - operator: contact.HasTag\n"
                               "    params: {tag: \"vip\"}\n"
                               "actions:\n"
                               "  - operator: comms.sendEmail\n"
                               "    params:\n"
                               "      to: \"{{ event.fromContactId }}\"\n"
                               "      subject: \"Sorry we missed you\"\n"
                               "      body: \"We noticed we've missed your last few calls. Please reply to this email "
                               "or call us back at your convenience.\"\n";
    assert_int_equal(load(*state, text), PERI_OK);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.items[0]->id, "vip-missed-call-follow-up");
    assert_int_equal(diag.count, 0);
}

static void test_the_office_rule_says_what_is_unbound(void **state)
{
    static const char text[] =
        "name: Office Arrival Task Reminder\n"
        "trigger: {event: location.PlaceArrived}\n"
        "conditions:\n"
        "  - operator: location.IsUserAtPlace\n"
        "    params: {placeType: \"work\"}\n"
        "actions:\n"
        "  - operator: comms.sendSms\n"
        "    params: {to: \"{{ followUp.contactId }}\", body: \"Reminder: {{ followUp.note }}\"}\n";
    assert_int_equal(load(*state, text), PERI_EINVAL);
    assert_int_equal(list.count, 0);
    assert_int_equal(diag.count, 1);
    const struct peri_finding *f = &diag.items[0];
    assert_string_equal(f->code, "unknown-root");
    assert_int_equal(f->line, 8);
    assert_int_equal(f->column, 22);
    assert_non_null(strstr(f->message, "\"followUp\""));
    assert_non_null(strstr(f->message, "not bound here"));
    assert_non_null(strstr(f->hint, "for_each"));
    assert_non_null(strstr(f->hint, "as: followUp"));
}

static void test_each_unknown_name_is_reported_once(void **state)
{
    assert_int_equal(
        load(*state,
            "name: A\ntrigger: {event: a.B}\nactions:\n  - operator: comms.sendSms\n    params:\n"
            "      to: \"{{ alpha.x .. beta.y .. alpha.z }}\"\n      body: \"{{ gamma | upper }} {{ beta.z }}\"\n"),
        PERI_EINVAL);
    assert_int_equal(diag.count, 3);
    assert_int_equal(diag.items[0].column, 15);
    assert_int_equal(diag.items[1].column, 26);
    assert_int_equal(diag.items[2].line, 7);
}

static void test_fields_of_the_services_own_events_are_known(void **state)
{
    static const char head[] = "name: R\ntriggers: [{event: run.Failed}, {event: %s}]\nconditions:\n  - expr: \"{{ "
                               "event.%s == 'x' }}\"\nactions: [{stop: true}]\n";
    char text[512];
    snprintf(text, sizeof(text), head, "run.Finished", "state");
    assert_int_equal(load(*state, text), PERI_OK);
    snprintf(text, sizeof(text), head, "run.Finished", "rul");
    assert_int_equal(load(*state, text), PERI_EINVAL);
    assert_string_equal(diag.items[0].code, "unknown-field");
    assert_int_equal(diag.items[0].line, 4);
    snprintf(text, sizeof(text), head, "\"run.*\"", "rul"); /* whose data nobody knows */
    assert_int_equal(load(*state, text), PERI_OK);
}

static void test_names_are_bound_where_they_hold(void **state)
{
    /* as of an earlier step, in templates after it and in the branches; the item in its body only */
    assert_int_equal(
        load(*state, "name: A\ntrigger: {event: a.B}\nactions:\n"
                     "  - {operator: core.log, as: one, params: {message: x}}\n"
                     "  - if: one.ok\n    then: [{operator: core.log, as: two, params: {message: \"{{ one }}\"}}]\n"
                     "  - {operator: core.log, params: {message: \"{{ two or 'none' }}\"}}\n"
                     "  - {for_each: {in: \"{{ one.list }}\", as: it}, do: [{operator: core.log, as: deep, params: "
                     "{message: \"{{ it }}\"}}]}\n"
                     "on_error: [{operator: core.log, params: {message: \"{{ error.message }} {{ one }}\"}}]\n"),
        PERI_OK);
    assert_int_equal(load(*state, "name: A\ntrigger: {event: a.B}\nactions:\n"
                                  "  - {operator: core.log, as: one, params: {message: \"{{ one }}\"}}\n"),
        PERI_EINVAL);
    assert_int_equal(load(*state, "name: A\ntrigger: {event: a.B}\nactions:\n"
                                  "  - {for_each: {in: \"{{ event.list }}\", as: it}, do: [{operator: core.log, as: "
                                  "deep, params: {message: x}}]}\n"
                                  "  - {operator: core.log, params: {message: \"{{ deep }}\"}}\n"),
        PERI_EINVAL);
    assert_int_equal(load(*state, "name: A\ntrigger: {event: a.B}\nactions:\n"
                                  "  - {operator: core.log, params: {message: \"{{ error.message }}\"}}\n"),
        PERI_EINVAL);
}

static void test_templates_count_as_present(void **state)
{
    assert_int_equal(load(*state, "name: A\ntrigger: {event: a.B}\nconditions:\n"
                                  "  - {operator: comms.missedCalls, params: {count: \"{{ event.n }}\"}}\n"
                                  "  - {operator: location.IsUserAtPlace, params: {placeType: \"{{ event.place }}\"}}\n"
                                  "actions:\n  - {operator: comms.sendEmail, params: {to: !secret boss, subject: \"Hi "
                                  "{{ event.n }}\", body: \"{{ event.b }}\", cc: [\"{{ event.c }}\", x]}}\n"
                                  "  - {operator: core.log, params: {message: {a: [1]}, level: info}}\n"),
        PERI_OK);
}

static void test_a_constant_template_is_checked(void **state)
{
    assert_int_equal(
        load(*state, "name: A\ntrigger: {event: a.B}\nconditions:\n"
                     "  - {operator: comms.missedCalls, params: {count: \"{{ 1 + 2 }}\"}}\nactions: [{stop: true}]\n"),
        PERI_OK);
    assert_int_equal(
        load(*state, "name: A\ntrigger: {event: a.B}\nconditions:\n"
                     "  - {operator: comms.missedCalls, params: {count: \"{{ 1 - 2 }}\"}}\nactions: [{stop: true}]\n"),
        PERI_EINVAL);
    assert_string_equal(diag.items[0].code, "param-type");
}

static void test_parameters_against_the_schema(void **state)
{
    static const struct {
        const char *condition, *code;
        int column;
        const char *text; /* in message or hint */
    } cases[] = {
        {"{operator: location.IsUserAtPlace, params: {placeType: wrk}}", "param-type", 60, "did you mean \"work\"?"},
        {"{operator: location.IsUserAtPlace, params: {}}", "param-type", 48, ""},
        {"{operator: location.IsUserAtPlace}", NULL, 0, ""},
        {"{operator: contact.HasTag}", "param-missing", 16, "parameter \"tag\" of contact.HasTag is missing"},
        {"{operator: contact.HasTag, params: {tag: 5}}", "param-type", 46, "put it in quotes"},
        {"{operator: contact.HasTag, params: {tag: null}}", "param-type", 46, ""},
        {"{operator: contact.HasTag, params: {tag: [a]}}", "param-type", 46, ""},
        {"{operator: contact.HasTag, params: {tag: a, colour: red}}", "param-unknown", 49, "known: tag, contactId"},
        {"{operator: comms.missedCalls, params: {count: 1.5}}", "param-type", 51, "integer"},
        {"{operator: comms.missedCalls, params: {count: \"many\"}}", "param-type", 51, "integer"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[400];
        snprintf(text, sizeof(text), "name: A\ntrigger: {event: a.B}\nactions: [{stop: true}]\nconditions:\n  - %s\n",
            cases[i].condition);
        enum peri_status st = load(*state, text);
        if (!cases[i].code) {
            assert_int_equal(st, PERI_OK);
            continue;
        }
        const struct peri_finding *f = &diag.items[0];
        if (diag.count != 1 || f->line != 5 || f->column != cases[i].column || strcmp(f->code, cases[i].code) != 0 ||
            (!strstr(f->message, cases[i].text) && !(f->hint && strstr(f->hint, cases[i].text))))
            fail_msg("%s: %zu findings, %d:%d %s [%s] (%s)", cases[i].condition, diag.count, f->line, f->column,
                f->message, f->code, f->hint ? f->hint : "");
    }
}

static void test_several_mistakes_are_all_found(void **state)
{
    assert_int_equal(
        load(*state,
            "name: A\ntrigger: {event: a..B}\nconditions:\n  - operator: contact.HasTg\n  - expr: \"{{ 1 + }}\"\n"
            "actions:\n  - {operator: comms.sendSms, params: {to: 5}}\n  - {delay: soon}\n"),
        PERI_EINVAL);
    assert_int_equal(diag.count, 6);
    static const char *const codes[] = {
        "event-type", "unknown-operator", "expr-syntax", "param-type", "param-missing", "duration"};
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(diag.items[i].code, codes[i]);
}

static void test_without_an_environment_operators_are_not_checked(void **state)
{
    static const char text[] = "name: A\ntrigger: {event: a.B}\nactions: [{operator: any.thing, params: {x: 1}}]\n";
    peri_rule_list_finish(&list);
    peri_diag_finish(&diag);
    assert_int_equal(peri_rules_load_text("r.yaml", text, strlen(text), NULL, &list, &diag), PERI_OK);
}

static int setup(void **state)
{
    static struct kit kit;
    kit_init(&kit);
    peri_diag_init(&diag);
    *state = &kit;
    return 0;
}

static int teardown(void **state)
{
    peri_rule_list_finish(&list);
    peri_diag_finish(&diag);
    kit_finish(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_vip_rule_loads_unchanged),
        cmocka_unit_test(test_the_office_rule_says_what_is_unbound),
        cmocka_unit_test(test_each_unknown_name_is_reported_once),
        cmocka_unit_test(test_fields_of_the_services_own_events_are_known),
        cmocka_unit_test(test_names_are_bound_where_they_hold),
        cmocka_unit_test(test_templates_count_as_present),
        cmocka_unit_test(test_a_constant_template_is_checked),
        cmocka_unit_test(test_parameters_against_the_schema),
        cmocka_unit_test(test_several_mistakes_are_all_found),
        cmocka_unit_test(test_without_an_environment_operators_are_not_checked),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
