/* SPDX-License-Identifier: Apache-2.0 */
/* Blueprints on their own, and rules made of them: every mistake has its place, and what is made is an ordinary rule.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "lang/blueprint.h"
#include "lang/rule_kit.h"

static struct kit kit;
static char file[64]; /* the blueprint that every path names */

static enum peri_status find(const struct peri_rule_env *env, const char *from, const char *path, char **ret_file,
    char *near, struct peri_error *err)
{
    enum peri_status st = peri_blueprint_path_check(path, err);
    near[0] = '\0';
    if (st)
        return st;
    *ret_file = peri_strdup(file);
    return *ret_file ? PERI_OK : PERI_ENOMEM;
}

static int setup(void **state)
{
    kit_init(&kit);
    kit.env.find_blueprint = find;
    snprintf(file, sizeof(file), "/tmp/perigee-blueprint-XXXXXX");
    int fd = mkstemp(file);
    return fd < 0 || close(fd) != 0 ? -1 : 0;
}

static int teardown(void **state)
{
    kit_finish(&kit);
    (void)unlink(file);
    return 0;
}

static void save(const char *text)
{
    FILE *f = fopen(file, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    fclose(f);
}

/* The findings as "line:column code, ..."; message of the first into first. */
static char *load(const char *text, struct peri_rule_list *list, char first[400])
{
    struct peri_diag diag;
    struct peri_buf out;
    peri_diag_init(&diag);
    peri_buf_init(&out, 4096);
    enum peri_status st = peri_rules_load_text("use.yaml", text, strlen(text), &kit.env, list, &diag);
    assert_true((st == PERI_OK) == (diag.errors == 0));
    first[0] = '\0';
    for (size_t i = 0; i < diag.count; i++) {
        const struct peri_finding *f = &diag.items[i];
        (void)peri_buf_printf(&out, "%s%s%d:%d %s", out.len ? ", " : "", strcmp(f->file, "use.yaml") == 0 ? "" : "?",
            f->line, f->column, f->code);
        if (!first[0])
            snprintf(first, 400, "%s | %s", f->message, f->hint ? f->hint : "");
    }
    char *found = peri_buf_take(&out, NULL);
    peri_diag_finish(&diag);
    return found ? found : peri_strdup("");
}

static void expect(const char *text, const char *wanted, const char *said)
{
    struct peri_rule_list list = {0};
    char first[400];
    char *found = load(text, &list, first);
    if (strcmp(found, wanted) != 0 || (said && !strstr(first, said)))
        fail_msg("%s\nfound:  %s (%s)\nwanted: %s (%s)", text, found, first, wanted, said ? said : "");
    free(found);
    peri_rule_list_finish(&list);
}

#define HEAD "blueprint:\n  name: B\n  input:\n    "
#define TRIGGER "\ntrigger: {event: a.B}\n"

/* What each type may not be, and what it may. The place is that of !input. */
static void test_positions(void **state)
{
    static const struct {
        const char *input, *rest, *wanted, *said;
    } cases[] = {
        {"x: {type: string}", "actions: [{delay: !input x}]", "6:19 input-type", "type: duration fits"},
        {"x: {type: duration}", "actions: [{delay: !input x}]", "", NULL},
        {"x: {type: integer}", "mode: queued\nmax: !input x\nactions: [{stop: true}]", "", NULL},
        {"x: {type: integer, min: 0}", "mode: queued\nmax: !input x\nactions: [{stop: true}]", "7:6 input-type",
            "as 0"},
        {"x: {type: integer, min: 1, max: 200000}", "mode: queued\nmax: !input x\nactions: [{stop: true}]",
            "7:6 input-type", "as 200000"},
        {"x: {type: number}", "mode: queued\nmax: !input x\nactions: [{stop: true}]", "7:6 input-type", "whole number"},
        {"x: {type: boolean}", "actions: [{stop: true, id: a, if: !input x}]", "", NULL},
        {"x: {type: enum, options: [single, restart]}", "mode: !input x\nactions: [{stop: true}]", "", NULL},
        {"x: {type: enum, options: [single, twice]}", "mode: !input x\nactions: [{stop: true}]", "6:7 input-type",
            "as twice"},
        {"x: {type: list, items: {type: integer}}", "tags: !input x\nactions: [{stop: true}]", "6:7 input-type", NULL},
        {"x: {type: list, items: {type: string}}", "tags: !input x\nactions: [{stop: true}]", "", NULL},
        {"x: {type: steps}", "actions: !input x", "", NULL},
        {"x: {type: steps}", "actions: [!input x, {stop: true}]", "", NULL},
        {"x: {type: steps}", "conditions: [!input x]\nactions: [{stop: true}]", "6:14 input-type", NULL},
        {"x: {type: conditions}", "conditions: [!input x]\nactions: [{stop: true}]", "", NULL},
        {"x: {type: secret}", "actions: [{operator: core.log, params: {message: !input x}}]", "", NULL},
        {"x: {type: secret}", "key: !input x\nactions: [{stop: true}]", "6:6 input-type", "!secret"},
        {"x: {type: string}", "actions: [{operator: comms.sendSms, params: {to: !input x, body: a}}]", "", NULL},
        {"x: {type: integer}", "actions: [{operator: comms.sendSms, params: {to: !input x, body: a}}]",
            "6:50 input-type", "must be a string"},
        {"x: {type: operator}", "actions: [{operator: !input x, params: {message: a}}]", "", NULL},
        {"x: {type: string}", "actions: [{operator: core.log, params: {message: {!input x: 1}}}]", "", NULL},
        {"x: {type: integer}", "actions: [{operator: core.log, params: {message: {!input x: 1}}}]", "6:51 input-type",
            "a key"},
        {"x: {type: integer, required: false}", "mode: queued\nmax: !input x\nactions: [{stop: true}]", "", NULL},
        {"x: {type: duration, required: false}", "actions: [{delay: !input x}]", "6:11 missing-key", NULL},
        {"x: {type: number}", "conditions: [{expr: \"{{ event.n > input.x }}\"}]\nactions: [{stop: true}]", "", NULL},
        {"xx: {type: number}", "conditions: [{expr: \"{{ event.n > input.xy }}\"}]\nactions: [{stop: true}]",
            "6:41 unknown-input", "did you mean \"xx\""},
        {"x: {type: number}", "actions: [{lua: return input.x}]", "", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text = peri_asprintf(HEAD "%s" TRIGGER "%s\n", cases[i].input, cases[i].rest);
        expect(text, cases[i].wanted, cases[i].said);
        free(text);
    }
}

static void test_declarations(void **state)
{
    static const struct {
        const char *input, *wanted, *said;
    } cases[] = {
        {"x: {type: strin}", "4:15 bad-value", "did you mean \"string\""},
        {"x: {}", "4:8 missing-key", "type"},
        {"x: {type: string, mix: 1}", "4:23 unknown-key", "min"},
        {"x: {type: boolean, min: 1}", "4:24 misplaced-key", NULL},
        {"x: {type: string, default: 5}", "4:32 input-type", "quotes"},
        {"x: {type: integer, default: 1.5}", "4:33 input-type", "is 1.5"},
        {"x: {type: integer, min: 3, default: 2}", "4:41 input-range", "at least 3"},
        {"x: {type: duration, max: 1h, default: 2h}", "4:43 input-range", "at most 1h"},
        {"x: {type: time, default: 24:00}", "4:30 input-value", NULL},
        {"x: {type: enum, options: [low, high], default: hihg}", "4:52 input-value", "did you mean \"high\""},
        {"x: {type: enum}", "4:8 missing-key", "options"},
        {"x: {type: event_type, default: a..b}", "4:36 input-value", NULL},
        {"x: {type: cron, default: \"61 * * * *\"}", "4:30 input-value", NULL},
        {"x: {type: operator, default: core.lug}", "4:34 input-value", "core.log"},
        {"x: {type: string, pattern: \"[\"}", "4:32 bad-value", NULL},
        {"x: {type: string, pattern: \"^a\", default: b}", "4:47 input-pattern", NULL},
        {"x: {type: list, max: 1, default: [a, b]}", "4:38 input-range", "holds 2"},
        {"x: {type: list, items: {type: integer}, default: [1, b]}", "4:58 input-type", NULL},
        {"x: {type: object, schema: {type: objct}}", "4:31 bad-schema", NULL},
        {"x: {type: object, schema: {required: [a]}, default: {}}", "4:57 input-value", NULL},
        {"x: {type: integer, min: 5, max: 1}", "4:37 out-of-range", NULL},
        {"x: {type: string, required: true, default: a}", "4:33 conflicting-keys", NULL},
        {"x: {type: string, default: !input y}", "4:32 input-outside", NULL},
        {"1x: {type: string}", "4:5 bad-name", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text = peri_asprintf(HEAD "%s" TRIGGER "actions: [{stop: true}]\n", cases[i].input);
        expect(text, cases[i].wanted, cases[i].said);
        free(text);
    }
    expect(
        "blueprint: {name: B}\nname: C\ntrigger: {event: a.B}\nactions: [{stop: true}]\n", "2:1 misplaced-key", NULL);
    expect(
        "blueprint: {name: B}\ntrigger: {event: a.B}\nactions: [{stop: !input x}]\n", "3:18 unknown-input", "declare");
    expect("blueprint: {name: B}\ntrigger: {event: a.B}\nactions: [{stop: true}]\n---\nname: x\ntrigger: {event: a.B}\n"
           "actions: [{stop: true}]\n",
        "1:1 misplaced-key", "file of its own");
    expect("name: x\ntrigger: {event: a.B}\nactions: [{stop: !input x}]\n", "3:18 input-outside", NULL);
}

#define BLUEPRINT                                                                                                      \
    "blueprint:\n  name: B\n  input:\n    count: {type: integer, default: 3, min: 1}\n    to: {type: string}\n"        \
    "    only: {type: conditions, required: false}\n    then: {type: steps, default: []}\n"                            \
    "    extra: {type: object, required: false}\n    op: {type: operator, default: core.log}\n"                        \
    "trigger: {event: a.B}\nconditions:\n  - {operator: comms.missedCalls, params: {count: !input count}}\n"           \
    "  - !input only\n  - \"{{ event.n > input.count }}\"\nactions:\n"                                                 \
    "  - {operator: comms.sendSms, params: {to: !input to, body: \"{{ input.count }}\"}}\n"                            \
    "  - {operator: !input op, params: {message: !input to, more: !input extra}}\n  - !input then\n"

static void test_uses(void **state)
{
    static const struct {
        const char *input, *wanted, *said;
    } cases[] = {
        {"{to: a}", "", NULL},
        {"{to: \"{{ event.who }}\"}", "", NULL},
        {"{to: !secret token}", "", NULL},
        {"{}", "2:31 missing-input", "to: a text"},
        {"{too: a}", "2:39 unknown-input", "did you mean \"to\""},
        {"{to: 1}", "2:43 input-type", "quotes"},
        {"{to: a, count: 0}", "2:53 input-range", NULL},
        {"{to: a, count: \"{{ event.n }}\"}", "2:53 input-type", NULL},
        {"{to: \"{{ evnt.who }}\"}", "2:47 unknown-root", "it goes into the blueprint at"},
        {"{to: a, only: [\"{{ event.x > }}\"]}", "2:67 expr-syntax", NULL},
        {"{to: a, then: [{delay: 1m}, {stpo: true}]}", "2:67 unknown-key", "stop"},
        {"{to: a, then: {delay: 1m}}", "", NULL},
        {"{to: a, op: comms.sendSms}", "2:25 param-missing", "in the blueprint at"},
        {"{to: !input x}", "2:43 input-outside", NULL},
    };
    save(BLUEPRINT);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool op = strstr(cases[i].input, "op:") != NULL;
        char *text = peri_asprintf("name: R\nuse_blueprint: {path: b.yaml, input: %s}\n", cases[i].input);
        struct peri_rule_list list = {0};
        char first[400];
        char *found = load(text, &list, first);
        if ((strcmp(found, cases[i].wanted) != 0 && !op) || (cases[i].said && !strstr(first, cases[i].said)))
            fail_msg("%s\nfound:  %s (%s)\nwanted: %s", text, found, first, cases[i].wanted);
        if (op) /* the blueprint is to blame as much as the value: at the path, once for each thing that is wrong */
            assert_true(strncmp(found, "2:23 param-", 11) == 0);
        assert_int_equal(list.count, cases[i].wanted[0] ? 0 : 1);
        free(found);
        free(text);
        peri_rule_list_finish(&list);
    }
    expect("name: R\nuse_blueprint: {path: ../b.yaml}\n", "2:23 no-blueprint", "out of the rule folder");
    expect("name: R\nuse_blueprint: {path: /b.yaml}\n", "2:23 no-blueprint", "relative");
    expect("name: R\nuse_blueprint: {path: a/./b.yaml}\n", "2:23 no-blueprint", NULL);
    expect("name: R\nuse_blueprint: {path: b.json}\n", "2:23 no-blueprint", "yaml");
    expect("name: R\nuse_blueprint: {path: b.yaml, inputs: {}}\n", "2:31 unknown-key", "did you mean \"input\"");
    expect("name: R\nmode: single\nuse_blueprint: {path: b.yaml}\n", "3:1 conflicting-keys", "mode");
    save("blueprint: {name: B}\ntrigger: {event: a.B}\nactions: [{delay: soon}]\n");
    expect("name: R\nuse_blueprint: {path: b.yaml}\n", "2:23 broken-blueprint", ":3:19: ");
    save("name: B\ntrigger: {event: a.B}\nactions: [{stop: true}]\n");
    expect("name: R\nuse_blueprint: {path: b.yaml}\n", "2:23 broken-blueprint", "no blueprint");
    save("blueprint: {name: B}\nuse_blueprint: {path: b.yaml}\n");
    expect("name: R\nuse_blueprint: {path: b.yaml}\n", "2:23 broken-blueprint", "does not go with");
}

static struct peri_rule *make(const char *use)
{
    struct peri_rule_list list = {0};
    char first[400];
    char *found = load(use, &list, first);
    if (list.count != 1)
        fail_msg("%s: %s %s", use, found, first);
    free(found);
    struct peri_rule *rule = peri_rule_ref(list.items[0]);
    peri_rule_list_finish(&list);
    return rule;
}

/* Waiting runs go on with the stored text, which needs no blueprint any more. */
static void test_what_is_made(void **state)
{
    struct peri_rule *again = NULL;
    struct peri_error err;
    save(BLUEPRINT);
    struct peri_rule *rule = make(
        "name: R\ntags: [x]\nuse_blueprint: {path: sub/b.yaml, input: {to: !secret token, then: [{delay: 1m}, {stop: "
        "true}], only: \"{{ event.ok }}\"}}\n");
    assert_string_equal(rule->blueprint, "sub/b.yaml");
    assert_string_equal(rule->blueprint_file, file);
    assert_string_equal(rule->place.file, "use.yaml");
    assert_int_equal(rule->actions->count, 4);
    assert_int_equal(rule->actions->steps[3]->kind, PERI_STEP_STOP);
    assert_string_equal(rule->actions->steps[3]->place.file, "use.yaml");
    assert_string_equal(rule->actions->steps[0]->place.file, file);
    assert_int_equal(rule->actions->steps[0]->place.line, 16);
    assert_int_equal(rule->condition->count, 3);
    assert_non_null(strstr(rule->text, "\"to\": !secret \"token\""));
    assert_null(strstr(rule->text, "!input"));
    assert_null(strstr(rule->text, "\"more\"")); /* nothing was given for it */
    unlink(file);
    assert_int_equal(peri_rule_from_text(rule->text, strlen(rule->text), &kit.env, &again, &err), PERI_OK);
    assert_string_equal(again->text, rule->text);
    assert_string_equal(again->hash, rule->hash);
    assert_string_equal(again->blueprint, "sub/b.yaml");
    peri_rule_unref(again);
    peri_rule_unref(rule);
}

/* An edit of the blueprint is an edit of the rule; one of its comments is not. */
static void test_hash(void **state)
{
    static const char use[] = "name: R\nuse_blueprint: {path: b.yaml, input: {to: a}}\n";
    save(BLUEPRINT);
    struct peri_rule *one = make(use);
    save("# a comment\n" BLUEPRINT);
    struct peri_rule *same = make(use);
    save(BLUEPRINT "  - {stop: true}\n");
    struct peri_rule *other = make(use);
    assert_string_equal(one->hash, same->hash);
    assert_string_not_equal(one->hash, other->hash);
    peri_rule_unref(one);
    peri_rule_unref(same);
    peri_rule_unref(other);
}

/* A value that goes to many places, and is large, does not make everything of a small file. */
static void test_bounded(void **state)
{
    struct peri_buf text;
    peri_buf_init(&text, 1 << 20);
    peri_buf_puts(&text, "blueprint: {name: B, input: {x: {type: list}}}\ntrigger: {event: a.B}\nactions:\n");
    peri_buf_puts(&text, "  - operator: core.log\n    params:\n      message:\n");
    for (int i = 0; i < 1000; i++)
        peri_buf_puts(&text, "        - !input x\n");
    save(peri_buf_text(&text));
    peri_buf_reset(&text);
    peri_buf_puts(&text, "name: R\nuse_blueprint: {path: b.yaml, input: {x: [1");
    for (int i = 0; i < 1000; i++)
        peri_buf_puts(&text, ", 1");
    peri_buf_puts(&text, "]}}\n");
    struct peri_rule_list list = {0};
    char first[400];
    char *found = load(peri_buf_text(&text), &list, first);
    assert_non_null(strstr(found, "too-large"));
    assert_non_null(strstr(first, "100000"));
    assert_int_equal(list.count, 0);
    free(found);
    peri_rule_list_finish(&list);
    peri_buf_finish(&text);
}

static void test_describe(void **state)
{
    struct peri_diag diag;
    peri_diag_init(&diag);
    save("blueprint:\n  name: B\n  description: D\n  input:\n    a: {type: integer, min: 1, default: 2}\n    s:\n      "
         "name: "
         "S\n      input: {b: {type: secret}}\ntrigger: {event: a.B}\nactions:\n  - {operator: core.log, params: "
         "{message: "
         "[!input a, !input b]}}\n");
    struct peri_value *v = peri_blueprint_describe(file, &kit.env, &diag);
    assert_non_null(v);
    assert_string_equal(peri_map_text(v, "name"), "B");
    const struct peri_value *inputs = peri_map_at(v, "inputs");
    assert_int_equal(peri_value_count(inputs), 2);
    assert_int_equal(peri_map_int(peri_list_at(inputs, 0), "default", 0), 2);
    assert_false(peri_map_bool(peri_list_at(inputs, 0), "required", true));
    assert_string_equal(peri_map_text(peri_list_at(inputs, 1), "section"), "S");
    assert_true(peri_map_bool(peri_list_at(inputs, 1), "required", false));
    peri_value_unref(v);
    peri_diag_finish(&diag);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_positions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_declarations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_uses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_made, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hash, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_describe, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
