/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "lang/rule_warn.h"

static const char *const declared[] = {
    "comms.CallMissed", "comms.MessageReceived", "device.Battery", "shop.*", "schedule.Fired", NULL};

/* "code:line:column code:line:column", in order of place. */
static void check(const char *text, const char *wanted)
{
    struct peri_rule_list list = {0};
    struct peri_diag diag;
    char got[400] = "";
    peri_diag_init(&diag);
    if (peri_rules_load_text("t.yaml", text, strlen(text), NULL, &list, &diag) != PERI_OK)
        fail_msg("%d:%d: %s", diag.items[0].line, diag.items[0].column, diag.items[0].message);
    peri_rules_warn(list.items, list.count, declared, &diag);
    peri_diag_sort(&diag);
    assert_int_equal(diag.errors, 0);
    for (size_t i = 0; i < diag.count; i++) {
        size_t n = strlen(got);
        assert_int_equal(diag.items[i].severity, PERI_SEV_WARNING);
        snprintf(got + n, sizeof(got) - n, "%s%s:%d:%d", i ? " " : "", diag.items[i].code, diag.items[i].line,
            diag.items[i].column);
    }
    if (strcmp(got, wanted) != 0)
        fail_msg("\n%s\ngave   %s\nwanted %s\n%s", text, got, wanted, diag.count ? diag.items[0].message : "");
    peri_rule_list_finish(&list);
    peri_diag_finish(&diag);
}

#define HEAD "name: A\ntrigger: {event: comms.CallMissed}\n"
#define STOP "actions: [{stop: true}]\n"

static void check_expr(const char *expr, const char *code)
{
    char text[400], wanted[80] = "";
    snprintf(text, sizeof(text), HEAD "conditions:\n  - expr: >-\n      %s\n" STOP, expr);
    if (code)
        snprintf(wanted, sizeof(wanted), "%s:4:11", code);
    check(text, wanted);
}

static void test_conditions_that_are_certain(void **state)
{
    static const struct {
        const char *expr, *code;
    } cases[] = {
        {"1 == 2", "always-false"},
        {"false", "always-false"},
        {"nil", "always-false"},
        {"'vip'", "always-true"},
        {"0", "always-true"},
        {"event.kind == 'call' or 'sms'", "always-true"},
        {"event.a and false", "always-false"},
        {"not (event.a and false)", "always-true"},
        {"#event.items", "always-true"},
        {"event.a + 1", "always-true"},
        {"(event.name | upper) == 3", "always-false"},
        {"(event.name | length) ~= 'x'", "always-true"},
        {"(now | date('%H')) < 8", "always-false"},
        {"event.tags | split(',')", "always-true"},
        {"event.a", NULL},
        {"event.a == 'x' and event.b == 2", NULL},
        {"event.a or event.b", NULL},
        {"#event.items > 0", NULL},
        {"(now | date('%H') | number) < 8", NULL},
        {"event.tags | contains('a')", NULL},
        {"not event.a", NULL},
        {"event.a | default(false)", NULL},
        {"(event.a | upper) == event.b", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_expr(cases[i].expr, cases[i].code);
}

static void test_every_place_of_a_condition(void **state)
{
    check(HEAD "conditions: [\"{{ 1 == 2 }}\"]\n" STOP, "always-false:3:14");
    check(HEAD "conditions:\n  - any:\n      - event.x\n      - not: 'true'\n" STOP, "always-true:6:14");
    check(HEAD "actions:\n  - if: 1 > 2\n    then: [{set: {a: 1}}]\n", "always-false:4:9");
    check(HEAD "actions:\n  - {set: {a: 1}, if: \"'x'\"}\n", "always-true:4:23");
    check(HEAD "actions:\n  - choose: [{if: false, do: [{set: {a: 1}}]}]\n", "always-false:4:19");
    check(HEAD "actions:\n  - {set: {a: 1}, on_error: [{if: 1 == 1, then: [{set: {a: 2}}]}]}\n", "always-true:4:35");
    check(HEAD STOP "on_error: [{if: 1 == 1, then: [{set: {a: 2}}]}]\n", "always-true:4:17");
}

static void test_steps_behind_a_stop(void **state)
{
    check(HEAD "actions:\n  - stop: true\n  - set: {a: 1}\n  - set: {b: 1}\n", "unreachable-step:5:5");
    check(HEAD "actions:\n  - {stop: done, if: event.x}\n  - set: {a: 1}\n", "");
    check(HEAD "actions:\n  - set: {a: 1}\n  - stop: true\n", "");
    check(HEAD "actions:\n  - {if: event.x, then: [{stop: a}], else: [{set: {a: 1}}, {stop: b}]}\n  - set: {a: 1}\n",
        "unreachable-step:5:5");
    check(HEAD "actions:\n  - {if: event.x, then: [{stop: a}]}\n  - set: {a: 1}\n", "");
    check(HEAD "actions:\n  - {choose: [{if: event.x, do: [{stop: a}]}], else: [{stop: b}]}\n  - set: {a: 1}\n",
        "unreachable-step:5:5");
    check(HEAD
        "actions:\n  - for_each: {in: \"{{ event.l }}\", as: x}\n    do: [{stop: a}, {set: {a: 1}}]\n  - set: {a: 1}\n",
        "unreachable-step:5:21");
}

static void test_event_types(void **state)
{
    check("name: A\ntrigger: {event: comms.CallMised}\n" STOP, "unknown-event:2:18");
    check("name: A\ntrigger: {event: comms.callMissed}\n" STOP, "unknown-event:2:18");
    check("name: A\ntrigger: {event: comm.*}\n" STOP, "unknown-event:2:18");
    check("name: A\ntrigger: {event: device.Batery*}\n" STOP, "");
    check("name: A\ntrigger: {event: comms.*}\n" STOP, "");
    check("name: A\ntrigger: {event: \"**\"}\n" STOP, "");
    check("name: A\ntrigger: {event: shop.Order}\n" STOP, "");
    check("name: A\ntrigger: {event: garden.Watered}\n" STOP, "");
    check("name: A\ntrigger: {schedule: {every: 1h}}\n" STOP, "");
}

static void test_what_rules_emit_is_known(void **state)
{
    check("name: A\ntrigger: {event: garden.Dry}\n" STOP "---\nname: B\ntrigger: {event: demo.Hello}\n"
          "actions: [{if: event.x, then: [{emit: {event: garden.Dri}}]}]\n",
        "unknown-event:2:18");
    check("name: A\ntrigger: {event: garden.Dry}\n" STOP "---\nname: B\ntrigger: {event: demo.Hello}\n"
          "actions: [{emit: {event: garden.Dry}}, {emit: {event: \"garden.{{ event.x }}\"}}]\n",
        "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conditions_that_are_certain),
        cmocka_unit_test(test_every_place_of_a_condition),
        cmocka_unit_test(test_steps_behind_a_stop),
        cmocka_unit_test(test_event_types),
        cmocka_unit_test(test_what_rules_emit_is_known),
    };
    return cmocka_run_group_tests_name("lang.rule_warn", tests, NULL, NULL);
}
