/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/json.h"
#include "lang/rule_graph.h"

static const struct peri_graph_source sources[] = {
    {"comms.CallMissed", "twilio"}, {"comms.CallMissed", "device"}, {"shop.*", "shop"}, {"quiet.Type", "device"}};

/* id hears this and emits that; "" emits nothing, "disabled" as fourth word. */
struct rule_line {
    const char *id, *hears, *emits, *more;
};

static struct peri_value *graph_of(const struct rule_line *lines)
{
    struct peri_rule_list list = {0};
    struct peri_diag diag;
    peri_diag_init(&diag);
    for (; lines->id; lines++) {
        char text[500], emits[200] = "stop: true";
        if (lines->emits[0])
            snprintf(emits, sizeof(emits), "if: event.x, then: [{emit: {event: \"%s\"}}]", lines->emits);
        snprintf(text, sizeof(text), "name: %s\ntrigger: {%s}\n%sactions: [{%s}]\n", lines->id, lines->hears,
            lines->more ? lines->more : "", emits);
        if (peri_rules_load_text("t.yaml", text, strlen(text), NULL, &list, &diag) != PERI_OK)
            fail_msg("%s\n%s", text, diag.items[0].message);
    }
    struct peri_value *graph = peri_rule_graph(list.items, list.count, sources, sizeof(sources) / sizeof(sources[0]));
    assert_non_null(graph);
    peri_rule_list_finish(&list);
    peri_diag_finish(&diag);
    return graph;
}

static void expect(const struct peri_value *graph, const char *key, const char *json)
{
    char *got = peri_json_text(peri_map_at(graph, key), PERI_JSON_COMPACT);
    assert_string_equal(got, json);
    free(got);
}

#define RUNS ",\"awaited_by\":[],\"cancels\":[]"
#define IN_RUNS "\"waits_for\":[],\"cancelled_by\":[],"

static void test_who_sends_and_who_hears(void **state)
{
    static const struct rule_line lines[] = {{"a", "event: comms.CallMissed", "home.Alarm", NULL},
        {"b", "event: home.*", "", NULL}, {"c", "event: shop.Order", "nobody.Hears", NULL},
        {"d", "event: demo.Hello", "", NULL}, {"e", "event: \"void.**\"", "", NULL}, {0}};
    struct peri_value *graph = graph_of(lines);
    expect(graph, "events",
        "[{\"type\":\"comms.CallMissed\",\"from_plugins\":[\"twilio\",\"device\"],\"from_rules\":[],\"heard_by\":["
        "\"a\"]" RUNS "},"
        "{\"type\":\"demo.Hello\",\"from_plugins\":[],\"from_rules\":[],\"heard_by\":[\"d\"]" RUNS "},"
        "{\"type\":\"home.Alarm\",\"from_plugins\":[],\"from_rules\":[\"a\"],\"heard_by\":[\"b\"]" RUNS "},"
        "{\"type\":\"nobody.Hears\",\"from_plugins\":[],\"from_rules\":[\"c\"],\"heard_by\":[]" RUNS "},"
        "{\"type\":\"shop.*\",\"from_plugins\":[\"shop\"],\"from_rules\":[],\"heard_by\":[\"c\"]" RUNS "},"
        "{\"type\":\"shop.Order\",\"from_plugins\":[],\"from_rules\":[],\"heard_by\":[\"c\"]" RUNS "},"
        "{\"type\":\"void.**\",\"from_plugins\":[],\"from_rules\":[],\"heard_by\":[\"e\"]" RUNS "}]");
    expect(graph, "unreached", "[\"d\",\"e\"]");
    expect(graph, "cycles", "[]");
    peri_value_unref(graph);
}

static void test_a_rule_as_it_is_listed(void **state)
{
    static const struct rule_line lines[] = {{"a", "schedule: {every: 1h}", "garden.{{ event.x }}", NULL},
        {"b", "event: x.Y", "z.W", "enabled: false\n"}, {0}};
    struct peri_value *graph = graph_of(lines);
    expect(graph, "rules",
        "[{\"id\":\"a\",\"name\":\"a\",\"enabled\":true,\"hears\":[]," IN_RUNS
        "\"schedules\":1,\"emits\":[],\"emits_computed\":"
        "[\"actions[0].then[0]\"],\"reached\":true},"
        "{\"id\":\"b\",\"name\":\"b\",\"enabled\":false,\"hears\":[\"x.Y\"]," IN_RUNS
        "\"schedules\":0,\"emits\":[\"z.W\"],"
        "\"emits_"
        "computed\":[],\"reached\":false}]");
    expect(graph, "events", "[]");
    expect(graph, "unreached", "[]");
    peri_value_unref(graph);
}

static void test_cycles_with_their_path(void **state)
{
    static const struct rule_line lines[] = {{"self", "event: s.S", "s.S", NULL}, {"a", "event: t.A", "t.B", NULL},
        {"b", "event: t.B", "t.C", NULL}, {"c", "event: t.C", "t.A", NULL}, {"out", "event: t.A", "t.Out", NULL},
        {"off", "event: t.Off", "t.Off", "enabled: false\n"}, {0}};
    struct peri_value *graph = graph_of(lines);
    expect(graph, "cycles",
        "[[{\"rule\":\"self\",\"event\":\"s.S\"}],"
        "[{\"rule\":\"a\",\"event\":\"t.B\"},{\"rule\":\"b\",\"event\":\"t.C\"},{\"rule\":\"c\",\"event\":\"t.A\"}]]");
    expect(graph, "unreached", "[\"self\",\"a\",\"b\",\"c\",\"out\"]"); /* they only wake each other */
    peri_value_unref(graph);
}

static void test_the_shortest_cycle_is_shown(void **state)
{
    static const struct rule_line lines[] = {
        {"a", "event: t.*", "t.A", NULL}, {"b", "event: t.A", "t.B", NULL}, {"c", "event: t.B", "u.C", NULL}, {0}};
    struct peri_value *graph = graph_of(lines);
    expect(graph, "cycles",
        "[[{\"rule\":\"a\",\"event\":\"t.A\"}],"
        "[{\"rule\":\"b\",\"event\":\"t.B\"},{\"rule\":\"a\",\"event\":\"t.A\"}]]");
    peri_value_unref(graph);
}

static void test_what_a_reached_rule_emits_reaches_on(void **state)
{
    static const struct rule_line lines[] = {{"a", "schedule: {at: 08:30}", "t.A", NULL},
        {"b", "event: t.A", "t.B", NULL}, {"c", "event: t.B", "", NULL}, {"d", "event: t.D", "", NULL}, {0}};
    struct peri_value *graph = graph_of(lines);
    expect(graph, "unreached", "[\"d\"]");
    peri_value_unref(graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_sends_and_who_hears),
        cmocka_unit_test(test_a_rule_as_it_is_listed),
        cmocka_unit_test(test_cycles_with_their_path),
        cmocka_unit_test(test_the_shortest_cycle_is_shown),
        cmocka_unit_test(test_what_a_reached_rule_emits_reaches_on),
    };
    return cmocka_run_group_tests_name("lang.rule_graph", tests, NULL, NULL);
}
