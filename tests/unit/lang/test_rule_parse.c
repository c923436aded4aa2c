/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/timefmt.h"
#include "lang/rule_kit.h"

struct loaded {
    struct peri_rule_list list;
    struct peri_diag diag;
    enum peri_status st;
};

static void load(struct loaded *l, const struct peri_rule_env *env, const char *text)
{
    memset(l, 0, sizeof(*l));
    peri_diag_init(&l->diag);
    l->st = peri_rules_load_text("r.yaml", text, strlen(text), env, &l->list, &l->diag);
}

static void finish(struct loaded *l)
{
    peri_rule_list_finish(&l->list);
    peri_diag_finish(&l->diag);
}

/* One good rule. */
static struct peri_rule *load_one(struct loaded *l, const char *text)
{
    struct peri_rule_env env = {.timezone = "UTC"};
    load(l, &env, text);
    if (l->st != PERI_OK || l->list.count != 1)
        fail_msg("%s", l->diag.count ? l->diag.items[0].message : "no rule");
    return l->list.items[0];
}

#define HEAD "name: A Rule\ntrigger: {event: a.B}\n"
#define LOG "{operator: core.log, params: {message: x}}"

static void test_head_and_defaults(void **state)
{
    struct loaded l;
    struct peri_rule *r = load_one(&l, HEAD "actions: [" LOG "]\n");
    assert_string_equal(r->name, "A Rule");
    assert_string_equal(r->id, "a-rule");
    assert_null(r->description);
    assert_true(r->enabled);
    assert_int_equal(r->priority, 0);
    assert_null(r->condition);
    assert_null(r->on_error);
    assert_int_equal(r->trigger_count, 1);
    assert_string_equal(r->triggers[0].id, "t1");
    assert_string_equal(r->triggers[0].event, "a.B");
    const struct peri_step *s = r->actions->steps[0];
    assert_string_equal(s->path, "actions[0]");
    assert_int_equal(s->place.line, 3);
    assert_int_equal(s->place.column, 11);
    assert_string_equal(s->place.file, "r.yaml");
    assert_int_equal(s->retry.maximum_attempts, 8);
    assert_int_equal(s->retry.initial_ms, 1000);
    assert_int_equal(s->retry.maximum_ms, 300000);
    assert_int_equal(s->timeout_ms, 0);
    finish(&l);
    r = load_one(&l, "name: A\nid: x.y-1\ndescription: d\nenabled: false\ntags: [a, b]\npriority: -3\ntriggers: "
                     "[{event: a.*}, {id: two, event: b.C}]\nactions: [{stop: true}]\n");
    assert_string_equal(r->id, "x.y-1");
    assert_false(r->enabled);
    assert_int_equal(r->tag_count, 2);
    assert_int_equal(r->priority, -3);
    assert_string_equal(r->triggers[1].id, "two");
    finish(&l);
}

static void test_conditions(void **state)
{
    struct loaded l;
    struct peri_rule *r = load_one(&l, HEAD "conditions:\n"
                                            "  - operator: contact.HasTag\n"
                                            "    params: {tag: vip}\n"
                                            "  - any: [\"{{ event.x }}\", event.y > 2, true]\n"
                                            "  - not: [{expr: event.a}, {expr: event.b}]\n"
                                            "  - not: event.c\n"
                                            "actions: [{stop: true}]\n");
    struct peri_condition *c = r->condition;
    assert_int_equal(c->kind, PERI_COND_ALL);
    assert_int_equal(c->count, 4);
    assert_string_equal(c->items[0]->operator_id, "contact.HasTag");
    assert_string_equal(c->items[0]->path, "conditions[0]");
    assert_int_equal(c->items[1]->kind, PERI_COND_ANY);
    assert_int_equal(c->items[1]->count, 3);
    assert_string_equal(c->items[1]->items[1]->path, "conditions[1].any[1]");
    assert_string_equal(c->items[1]->items[1]->expr_text, "event.y > 2");
    assert_int_equal(c->items[1]->items[1]->place.line, 6);
    assert_int_equal(c->items[2]->kind, PERI_COND_NOT);
    assert_int_equal(c->items[2]->count, 1);
    assert_int_equal(c->items[2]->items[0]->kind, PERI_COND_ALL);
    assert_int_equal(c->items[2]->items[0]->count, 2);
    assert_int_equal(c->items[3]->items[0]->kind, PERI_COND_EXPR);
    finish(&l);
}

static const char steps_text[] =
    HEAD "actions:\n"
         "  - id: first\n"
         "    operator: core.log\n"
         "    as: one\n"
         "    if: event.go\n"
         "    params: {message: x}\n"
         "    timeout: 5s\n"
         "    retry: {initial_interval: 2s, maximum_interval: 1m, backoff_coefficient: 3, maximum_attempts: 1, "
         "non_retryable: [a, b]}\n"
         "    idempotency_key: \"{{ event.id }}\"\n"
         "    continue_on_error: true\n"
         "    on_error:\n"
         "      - set: {why: \"{{ error.message }}\"}\n"
         "  - delay: \"{{ event.wait }}\"\n"
         "  - if: {all: [event.a, event.b]}\n"
         "    then: [{stop: \"because {{ one }}\"}]\n"
         "    else: [{emit: {event: x.Y, data: {a: 1}}}]\n"
         "  - choose:\n"
         "      - if: event.a\n"
         "        do: [{stop: true}]\n"
         "      - {if: event.b, do: [{delay: 5}]}\n"
         "    else: [{stop: true}]\n"
         "  - for_each: {in: \"{{ event.items }}\", as: item}\n"
         "    do: [{for_each: {in: [1, 2], as: n, max: 5}, do: [{operator: core.log, params: {message: \"{{ item }} {{ "
         "n }}\"}}]}]\n"
         "on_error: [{operator: core.log, params: {message: \"{{ error.message }} {{ one }}\"}}]\n";

static void test_steps(void **state)
{
    struct loaded l;
    struct peri_rule *r = load_one(&l, steps_text);
    struct peri_step **s = r->actions->steps;
    assert_int_equal(r->actions->count, 5);
    assert_string_equal(s[0]->id, "first");
    assert_string_equal(s[0]->as, "one");
    assert_non_null(s[0]->guard);
    assert_int_equal(s[0]->timeout_ms, 5000);
    assert_int_equal(s[0]->retry.initial_ms, 2000);
    assert_int_equal(s[0]->retry.maximum_ms, 60000);
    assert_int_equal(s[0]->retry.maximum_attempts, 1);
    assert_true(s[0]->retry.coefficient == 3.0);
    assert_int_equal(s[0]->retry.non_retryable_count, 2);
    assert_non_null(s[0]->idempotency_key);
    assert_true(s[0]->continue_on_error);
    assert_string_equal(s[0]->on_error->path, "actions[0].on_error");
    assert_string_equal(s[0]->on_error->steps[0]->bindings[0].name, "why");
    assert_int_equal(s[1]->kind, PERI_STEP_DELAY);
    assert_int_equal(s[2]->kind, PERI_STEP_IF);
    assert_int_equal(s[2]->guard->kind, PERI_COND_ALL);
    assert_non_null(s[2]->then->steps[0]->reason);
    assert_int_equal(s[2]->els->steps[0]->kind, PERI_STEP_EMIT);
    assert_int_equal(s[3]->choice_count, 2);
    assert_string_equal(s[3]->choices[1].then->path, "actions[3].choose[1].do");
    assert_string_equal(s[3]->choices[1].when->path, "actions[3].choose[1].if");
    assert_null(s[3]->choices[0].then->steps[0]->reason);
    assert_int_equal(s[4]->max, 1000);
    assert_string_equal(s[4]->as, "item");
    assert_int_equal(s[4]->body->steps[0]->max, 5);
    finish(&l);
}

static void test_every_block_is_found_by_its_path(void **state)
{
    static const char *const paths[] = {"actions", "actions[0].on_error", "actions[2].then", "actions[2].else",
        "actions[3].choose[0].do", "actions[3].choose[1].do", "actions[3].else", "actions[4].do", "actions[4].do[0].do",
        "on_error"};
    struct loaded l;
    struct peri_rule *r = load_one(&l, steps_text);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        const struct peri_block *b = peri_rule_block(r, paths[i]);
        assert_non_null(b);
        assert_string_equal(b->path, paths[i]);
    }
    assert_null(peri_rule_block(r, "actions[1].then"));
    assert_null(peri_rule_block(r, "action"));
    assert_null(peri_rule_block(r, ""));
    finish(&l);
}

/* What a waiting run keeps is enough to go on, whatever the file looked like. */
static void test_a_rule_survives_as_text(void **state)
{
    struct peri_rule_env env = {.timezone = "UTC"};
    static const char odd[] =
        "# c\nname: \"Quote \\\" back \\\\ tab \\t \\u2028 \\u0007 \xE2\x82\xAC \xF0\x9F\x98\x80\"\nid: odd\n"
        "trigger: {event: a.B, match: {n: [{numeric: [\">\", 1.50]}], s: [null, true, \"true\"]}}\n"
        "actions:\n  - &step\n    operator: core.log\n    params:\n      message: !secret token\n      on: yes\n"
        "      text: |\n        two\n\n        lines\n      empty:\n      n: 0x1F\n      s: \"07\"\n  - *step\n";
    const char *const texts[] = {steps_text, odd};
    for (size_t i = 0; i < 2; i++) {
        struct loaded l;
        struct peri_error err;
        struct peri_rule *again = NULL;
        struct peri_rule *r = load_one(&l, texts[i]);
        assert_null(strchr(r->text, '\n'));
        assert_int_equal(strlen(r->hash), 64);
        if (peri_rule_from_text(r->text, strlen(r->text), &env, &again, &err) != PERI_OK)
            fail_msg("%s in %s", err.message, r->text);
        assert_string_equal(again->text, r->text);
        assert_string_equal(again->hash, r->hash);
        assert_string_equal(again->id, r->id);
        assert_string_equal(again->name, r->name);
        assert_int_equal(again->actions->count, r->actions->count);
        peri_rule_unref(again);
        finish(&l);
    }
    struct peri_error err;
    struct peri_rule *none = NULL;
    assert_int_equal(peri_rule_from_text("{}", 2, &env, &none, &err), PERI_EINVAL);
    assert_int_equal(peri_rule_from_text("[", 1, &env, &none, &err), PERI_EINVAL);
}

static void test_the_hash_ignores_layout_only(void **state)
{
    struct loaded a, b, c;
    struct peri_rule *x = load_one(&a, "name: N\ntrigger: {event: a.B}\nactions: [{delay: 5}]\n");
    struct peri_rule *y = load_one(&b, "# why\nname: 'N'\ntrigger:\n  event: \"a.B\"\nactions:\n  - delay: 5\n");
    struct peri_rule *z = load_one(&c, "name: N\ntrigger: {event: a.B}\nactions: [{delay: 6}]\n");
    assert_string_equal(x->hash, y->hash);
    assert_string_not_equal(x->hash, z->hash);
    finish(&a);
    finish(&b);
    finish(&c);
}

static void test_files_with_several_rules(void **state)
{
    static const char *const forms[] = {
        "rules:\n- {name: A, trigger: {event: a.B}, actions: [{stop: true}]}\n- {name: B, trigger: {event: a.B}, "
        "actions: [{stop: true}]}\n",
        "name: A\ntrigger: {event: a.B}\nactions: [{stop: true}]\n---\nname: B\ntrigger: {event: a.B}\nactions: "
        "[{stop: true}]\n",
    };
    for (size_t i = 0; i < 2; i++) {
        struct loaded l;
        load(&l, NULL, forms[i]);
        assert_int_equal(l.st, PERI_OK);
        assert_int_equal(l.list.count, 2);
        assert_string_equal(l.list.items[1]->id, "b");
        finish(&l);
    }
    struct loaded l;
    load(&l, NULL, "# nothing yet\n");
    assert_int_equal(l.st, PERI_OK);
    assert_int_equal(l.list.count, 0);
    finish(&l);
}

static void test_a_bad_rule_leaves_the_others(void **state)
{
    struct loaded l;
    load(&l, NULL,
        "rules:\n- {name: A, trigger: {event: a.B}, actions: [{stop: true}]}\n- {name: B}\n- {name: C, trigger: "
        "{event: a.B}, actions: [{stop: true}]}\n");
    assert_int_equal(l.st, PERI_EINVAL);
    assert_int_equal(l.list.count, 2);
    assert_string_equal(l.list.items[1]->id, "c");
    assert_int_equal(l.diag.count, 2); /* no trigger, no actions */
    finish(&l);
}

static void test_two_rules_with_one_id(void **state)
{
    struct loaded l;
    load(&l, NULL,
        "rules:\n- {name: A B, trigger: {event: a.B}, actions: [{stop: true}]}\n- {name: a-b, trigger: {event: a.B}, "
        "actions: [{stop: true}]}\n");
    assert_int_equal(l.diag.count, 1);
    assert_string_equal(l.diag.items[0].code, "duplicate-id");
    assert_int_equal(l.diag.items[0].line, 3);
    assert_int_equal(l.diag.items[0].column, 10);
    assert_int_equal(l.list.count, 1);
    finish(&l);
}

static void test_schedules(void **state)
{
    struct loaded l;
    int64_t at = 0;
    struct peri_rule *r = load_one(&l,
        "name: S\ntriggers:\n  - schedule: {cron: '*/5 * * * *', dst: skip, catch_up: 0s}\n"
        "  - schedule: {every: 90s}\n  - schedule: {at: 08:30}\n  - schedule: {at: \"2026-12-24T18:00:00+01:00\"}\n"
        "  - schedule: {at: \"2026-12-24 18:00\", timezone: UTC}\nactions: [{stop: true}]\n");
    assert_int_equal(r->triggers[0].kind, PERI_TRIGGER_SCHEDULE);
    assert_int_equal(r->triggers[0].schedule->kind, PERI_SCHEDULE_CRON);
    assert_int_equal(r->triggers[0].schedule->dst, PERI_DST_SKIP);
    assert_int_equal(r->triggers[0].schedule->catch_up_ms, 0);
    assert_non_null(r->triggers[0].schedule->tz);
    assert_int_equal(r->triggers[1].schedule->every_ms, 90000);
    assert_int_equal(r->triggers[1].schedule->catch_up_ms, 3600000);
    assert_true(r->triggers[2].schedule->at_daily);
    assert_true(r->triggers[2].schedule->cron.minutes == UINT64_C(1) << 30);
    assert_true(r->triggers[2].schedule->cron.hours == 1u << 8);
    assert_true(peri_time_parse("2026-12-24T17:00:00Z", 20, &at));
    assert_true(r->triggers[3].schedule->at_ms == at);
    assert_true(r->triggers[4].schedule->at_ms == at + 3600000);
    int64_t due = 0, after = 0;
    assert_true(peri_time_parse("2026-03-01T08:30:00Z", 20, &after));
    assert_int_equal(peri_schedule_next(r->triggers[2].schedule, 0, after, &due), PERI_OK);
    assert_true(due == after + 86400000);
    finish(&l);
}

/* Endless files and deep ones end with a finding. */
static void test_caps(void **state)
{
    struct peri_buf buf;
    struct loaded l;
    peri_buf_init(&buf, 1 << 20);
    (void)peri_buf_puts(&buf, HEAD "actions:\n");
    for (int i = 0; i < 1001; i++)
        (void)peri_buf_puts(&buf, "  - delay: 1\n");
    load(&l, NULL, peri_buf_text(&buf));
    assert_int_equal(l.diag.count, 1);
    assert_string_equal(l.diag.items[0].code, "too-many");
    assert_int_equal(l.diag.items[0].line, 1004);
    finish(&l);

    peri_buf_reset(&buf);
    (void)peri_buf_puts(&buf, HEAD "actions: [{stop: true}]\nconditions: [");
    for (int i = 0; i < 40; i++)
        (void)peri_buf_puts(&buf, "{not: ");
    (void)peri_buf_puts(&buf, "true");
    for (int i = 0; i < 40; i++)
        (void)peri_buf_puts(&buf, "}");
    (void)peri_buf_puts(&buf, "]\n");
    load(&l, NULL, peri_buf_text(&buf));
    assert_int_equal(l.diag.count, 1);
    assert_string_equal(l.diag.items[0].code, "too-deep");
    finish(&l);

    peri_buf_reset(&buf);
    (void)peri_buf_puts(&buf, HEAD "actions:\n  - operator: core.log\n    params: {message: \"");
    for (int i = 0; i < 30000; i++)
        (void)peri_buf_puts(&buf, "0123456789");
    (void)peri_buf_puts(&buf, "\"}\n");
    load(&l, NULL, peri_buf_text(&buf));
    assert_int_equal(l.diag.count, 1);
    assert_string_equal(l.diag.items[0].code, "too-large");
    finish(&l);
    peri_buf_finish(&buf);
}

static void test_missing_file(void **state)
{
    struct loaded l;
    memset(&l, 0, sizeof(l));
    peri_diag_init(&l.diag);
    assert_int_equal(peri_rules_load_file("/no/such/rule.yaml", NULL, &l.list, &l.diag), PERI_EINVAL);
    assert_int_equal(l.diag.count, 1);
    finish(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head_and_defaults),
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_every_block_is_found_by_its_path),
        cmocka_unit_test(test_a_rule_survives_as_text),
        cmocka_unit_test(test_the_hash_ignores_layout_only),
        cmocka_unit_test(test_files_with_several_rules),
        cmocka_unit_test(test_a_bad_rule_leaves_the_others),
        cmocka_unit_test(test_two_rules_with_one_id),
        cmocka_unit_test(test_schedules),
        cmocka_unit_test(test_caps),
        cmocka_unit_test(test_missing_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
