/* SPDX-License-Identifier: Apache-2.0 */
#include "run/pipekit.h"

/* Types that many rules hear: their patterns are asked together, and those that do not match are told on demand. */

static const struct peri_value *verdict_of(const struct peri_value *list, const char *rule)
{
    for (size_t i = 0; i < peri_value_count(list); i++)
        if (peri_streq(peri_map_text(peri_list_at(list, i), "rule"), rule))
            return peri_list_at(list, i);
    fail_msg("no verdict of %s", rule);
    return NULL;
}

static void assert_text(const struct peri_value *map, const char *key, const char *want)
{
    const char *is = peri_map_text(map, key);
    if (!is || strcmp(is, want) != 0)
        fail_msg("%s is %s, not %s", key, is ? is : "absent", want);
}

/* Patterns of all kinds, one and two triggers to a rule, conditions behind some. */
static void write_rules(struct peri_buf *out, int from, int to)
{
    static const char *const patterns[] = {"{n: [1]}", "{n: [2, 3]}", "{s: [{prefix: ab}]}", "{s: [{suffix: yz}]}",
        "{o: {p: [{exists: false}]}}", "{n: [{numeric: [\">\", 5]}]}", "{$or: [{n: [9]}, {s: [q]}]}",
        "{l: [{anything-but: x}]}", "{s: [{wildcard: \"a*z\"}]}", "{n: [1], s: [abyz]}"};
    peri_buf_puts(out, "rules:\n");
    for (int i = from; i < to; i++) {
        const char *p = patterns[i % 10], *q = patterns[(i * 7 + 3) % 10];
        peri_buf_printf(out, "  - name: R%d\n    priority: %d\n    triggers: [{event: a.B, match: %s}", i, i % 3, p);
        if (i % 4 == 0)
            peri_buf_printf(out, ", {id: other, event: a.*, match: %s}", q);
        peri_buf_puts(out, "]\n");
        if (i % 3 == 0)
            peri_buf_puts(out, "    conditions: [\"{{ event.n > 1 }}\"]\n");
        peri_buf_puts(out, "    actions: [{stop: true}]\n");
    }
}

static const char *const payloads[] = {"{}", "{\"n\":1}", "{\"n\":3,\"s\":\"abyz\"}",
    "{\"n\":1,\"s\":\"abyz\",\"l\":[\"x\"]}", "{\"n\":7,\"o\":{\"p\":1}}",
    "{\"n\":\"1\",\"s\":\"q\",\"l\":[\"x\",\"y\"]}", "[]"};
#define PAYLOADS (sizeof(payloads) / sizeof(payloads[0]))

/* As one text: everything but the number of the run. */
static void tell(struct peri_buf *out, const struct peri_value *v)
{
    static const char *const keys[] = {"rule", "name", "trigger", "verdict", "at", "reason", NULL};
    for (size_t i = 0; keys[i]; i++)
        peri_buf_printf(out, "%s|", peri_map_text(v, keys[i]) ? peri_map_text(v, keys[i]) : "-");
    if (peri_map_at(v, "detail"))
        assert_int_equal(peri_json_write(out, peri_map_at(v, "detail"), PERI_JSON_COMPACT), PERI_OK);
    peri_buf_putc(out, '\n');
}

static void tell_all(struct peri_buf *out, int from, int to)
{
    struct bed bed;
    struct peri_buf rules;
    peri_buf_init(&rules, 1 << 20);
    write_rules(&rules, from, to);
    kit_open(&bed, peri_buf_text(&rules));
    for (size_t payload = 0; payload < PAYLOADS; payload++) {
        uint64_t seq = kit_send(&bed, "a.B", payloads[payload]);
        KIT_QUIET(&bed);
        struct peri_value *list = kit_verdicts(&bed, seq);
        assert_int_equal(peri_value_count(list), to - from);
        for (int i = from; i < to; i++) {
            char id[16];
            snprintf(id, sizeof(id), "r%d", i);
            tell(&out[payload], verdict_of(list, id));
        }
        peri_value_unref(list);
    }
    peri_buf_finish(&rules);
    kit_close(&bed);
}

static void test_asked_together_they_say_what_each_says_by_itself(void **state)
{
    struct peri_buf together[PAYLOADS], alone[PAYLOADS];
    for (size_t i = 0; i < PAYLOADS; i++) {
        peri_buf_init(&together[i], 1 << 20);
        peri_buf_init(&alone[i], 1 << 20);
    }
    tell_all(together, 0, 28);
    for (int from = 0; from < 28; from += 4)
        tell_all(alone, from, from + 4);
    for (size_t i = 0; i < PAYLOADS; i++) {
        assert_string_equal(peri_buf_text(&together[i]), peri_buf_text(&alone[i]));
        peri_buf_finish(&together[i]);
        peri_buf_finish(&alone[i]);
    }
}

static void test_what_did_not_match_is_told_by_the_rules_of_that_time(void **state)
{
    struct bed bed;
    struct peri_buf rules;
    struct peri_value *stored = NULL;
    peri_buf_init(&rules, 1 << 20);
    peri_buf_puts(&rules, "rules:\n");
    for (int i = 0; i < 30; i++)
        peri_buf_printf(
            &rules, "  - {name: R%d, trigger: {event: a.B, match: {n: [%d]}}, actions: [{stop: true}]}\n", i, i);
    kit_open(&bed, peri_buf_text(&rules));
    uint64_t seq = kit_send(&bed, "a.B", "{\"n\":29}");
    KIT_QUIET(&bed);
    assert_int_equal(peri_reader_verdicts(bed.reader, seq, &stored, NULL), PERI_OK);
    assert_int_equal(peri_value_count(stored), 2); /* that of r29, and one entry for all others */
    assert_int_equal(peri_map_int(peri_list_at(stored, 1), "unmatched", 0), 29);
    peri_value_unref(stored);
    kit_rules(&bed, "name: R0\ntrigger: {event: a.B, match: {n: [29]}}\nactions: [{stop: true}]\n");
    kit_restart(&bed, "name: R0\ntrigger: {event: a.B, match: {n: [29]}}\nactions: [{stop: true}]\n");
    struct peri_value *list = kit_verdicts(&bed, seq);
    assert_int_equal(peri_value_count(list), 30);
    assert_text(verdict_of(list, "r0"), "verdict", "no");
    assert_text(verdict_of(list, "r0"), "at", "match");
    kit_assert_json(peri_map_at(peri_map_at(verdict_of(list, "r0"), "detail"), "wanted"), "[0]");
    assert_text(verdict_of(list, "r29"), "verdict", "fired");
    peri_value_unref(list);
    peri_buf_finish(&rules);
    kit_close(&bed);
}

static void test_slim_rules_do_what_whole_ones_do(void **state)
{
    const char *rules =
        "rules:\n"
        "  - {name: A, trigger: {event: a.B}, key: \"{{ event.k }}\", mode: queued, conditions: [{operator: "
        "c.yes}, \"{{ event.n > 1 }}\"], actions: [{operator: x.ok, params: {n: \"{{ event.n }}\"}}]}\n"
        "  - {name: B, trigger: {event: a.B}, actions: [{operator: x.bad}], on_error: [{operator: x.ok, "
        "params: {code: \"{{ error.code }}\"}}]}\n";
    struct bed bed;
    memset(&bed, 0, sizeof(bed));
    kit_open(&bed, NULL);
    bed.slim = true;
    kit_rules(&bed, rules);
    (void)kit_send(&bed, "a.B", "{\"k\":\"x\",\"n\":2}");
    KIT_QUIET(&bed);
    assert_int_equal(kit_calls(&bed, "x.ok"), 2);
    assert_int_equal(peri_map_count(bed.pipe->rules_by_hash), 2); /* compiled once, and known by the same hash */
    (void)kit_send(&bed, "a.B", "{\"k\":\"x\",\"n\":1}");
    KIT_QUIET(&bed);
    assert_int_equal(peri_map_count(bed.pipe->rules_by_hash), 2);
    assert_int_equal(kit_calls(&bed, "x.ok"), 3);
    struct peri_value *runs = kit_runs(&bed, "b");
    assert_int_equal(peri_value_count(runs), 2);
    struct kit_changed changed = {0};
    uint64_t id = 0;
    assert_true(peri_run_id_parse(peri_map_text(peri_list_at(runs, 0), "id"), &id));
    peri_value_unref(runs);
    struct peri_error err = {0};
    assert_int_equal(peri_pipeline_retry(bed.pipe, id, kit_changed_done, &changed, &err), PERI_OK);
    KIT_UNTIL(&bed, changed.done);
    assert_int_equal(changed.st, PERI_OK);
    KIT_QUIET(&bed);
    assert_int_equal(kit_calls(&bed, "x.ok"), 4);
    kit_close(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_asked_together_they_say_what_each_says_by_itself),
        cmocka_unit_test(test_what_did_not_match_is_told_by_the_rules_of_that_time),
        cmocka_unit_test(test_slim_rules_do_what_whole_ones_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
