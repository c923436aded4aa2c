/* SPDX-License-Identifier: Apache-2.0 */
/* Verdicts of random rules and events: each pair has exactly one, it is what the rule says when it is asked by itself,
 * and what it names is what stands in the way: changing it lets the rule fire, or moves the verdict on. */
#include "run/pipekit.h"

#include "base/timefmt.h"
#include "run/scope.h"

#define RULES 100
#define EVENTS 80 /* PERIGEE_TEST_EVENTS: another number */
#define FIELDS 6

static uint64_t seed = 88172645463325252u;

static unsigned pick(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)((seed >> 11) % n);
}

static const char *const values[] = {
    "1", "2", "5", "7.5", "true", "\"\"", "\"a\"", "\"ab\"", "\"abc\"", "\"B\"", "null"};
#define VALUE() values[pick(sizeof(values) / sizeof(values[0]))]
#define LITERAL() values[pick(sizeof(values) / sizeof(values[0]) - 1)] /* expressions know no null */

/* ---- rules and events ---- */

static void put_alternative(struct peri_buf *out)
{
    static const char *const kinds[] = {"{prefix: \"a\"}", "{suffix: \"c\"}", "{numeric: [\">\", 2]}",
        "{numeric: [\">=\", 1, \"<\", 7]}", "{exists: true}", "{exists: false}", "{anything-but: [1, 2]}",
        "{anything-but: {prefix: \"a\"}}", "{equals-ignore-case: \"b\"}", "{wildcard: \"a*c\"}"};
    (void)peri_buf_puts(out, pick(2) ? VALUE() : kinds[pick(sizeof(kinds) / sizeof(kinds[0]))]);
}

/* Each field is asked for once, so that mending one thing breaks no other. */
static void put_rule(struct peri_buf *out, int n)
{
    static const char *const operators[] = {"==", "~=", "<", "<=", ">", ">="};
    unsigned used = 0, fields = pick(4), conditions = pick(3);
    (void)peri_buf_printf(out, "  - name: r%d\n    trigger: {event: a.B", n);
    for (unsigned i = 0; i < fields; i++, used++) {
        (void)peri_buf_printf(out, i ? ", f%u: [" : ", match: {f%u: [", used);
        put_alternative(out);
        if (pick(2)) {
            (void)peri_buf_puts(out, ", ");
            put_alternative(out);
        }
        (void)peri_buf_putc(out, ']');
    }
    (void)peri_buf_puts(out, fields ? "}}\n" : "}\n");
    for (unsigned i = 0; i < conditions; i++, used++)
        (void)peri_buf_printf(
            out, "%s      - 'event.f%u %s %s'\n", i ? "" : "    conditions:\n", used, operators[pick(6)], LITERAL());
    (void)peri_buf_puts(out, "    actions: [{stop: true}]\n");
}

static char *random_event(void)
{
    struct peri_buf out;
    peri_buf_init(&out, 4096);
    (void)peri_buf_putc(&out, '{');
    for (int i = 0; i < FIELDS; i++)
        if (pick(5))
            (void)peri_buf_printf(&out, "%s\"f%d\":%s", out.len > 1 ? "," : "", i, VALUE());
    (void)peri_buf_putc(&out, '}');
    return peri_buf_take(&out, NULL);
}

/* ---- asked by itself ---- */

struct said {
    const char *verdict;
    char at[64], reason[320];
    struct peri_value *detail;
};

static void said_finish(struct said *s)
{
    peri_value_unref(s->detail);
}

static void ask(const struct peri_rule *rule, const char *json, struct said *ret)
{
    const struct peri_trigger *trigger = &rule->triggers[0];
    struct peri_error err = {0};
    bool matches = true;
    *ret = (struct said){.verdict = "fired"};
    if (trigger->match) {
        assert_int_equal(peri_pattern_match(trigger->match, json, strlen(json), &matches, &ret->detail, &err), PERI_OK);
        if (!matches) {
            ret->verdict = "no";
            snprintf(ret->at, sizeof(ret->at), "match");
            return;
        }
    }
    struct peri_value *event = kit_json(json), *other = peri_value_map();
    struct peri_match_scope roots = {.event = event, .trigger = other, .rule = other};
    struct peri_scope scope = peri_match_scope(&roots, 0, NULL);
    struct peri_cond_eval eval;
    peri_cond_init(&eval, rule->condition);
    enum peri_cond_outcome outcome = peri_cond_start(&eval, &scope);
    if (outcome != PERI_COND_YES) {
        ret->verdict = outcome == PERI_COND_NO ? "no" : "error";
        snprintf(ret->at, sizeof(ret->at), "%s", eval.at);
        snprintf(ret->reason, sizeof(ret->reason), "%s", eval.reason);
        peri_value_unref(ret->detail);
        ret->detail = peri_value_ref(eval.detail);
    }
    peri_cond_finish(&eval);
    peri_value_unref(event);
    peri_value_unref(other);
}

static void same(const struct peri_value *stored, const struct said *said, const char *json)
{
    const char *at = peri_map_text(stored, "at");
    bool good = strcmp(peri_map_text(stored, "verdict"), said->verdict) == 0 && strcmp(at ? at : "", said->at) == 0 &&
                (!said->reason[0] || peri_streq(peri_map_text(stored, "reason"), said->reason)) &&
                (strcmp(said->verdict, "no") != 0 || peri_value_equal(peri_map_at(stored, "detail"), said->detail));
    if (good)
        return;
    char *a = peri_json_text(stored, PERI_JSON_COMPACT),
         *b = said->detail ? peri_json_text(said->detail, PERI_JSON_COMPACT) : NULL;
    fail_msg("%s\nstored %s\nasked %s at %s (%s) %s", json, a, said->verdict, said->at, said->reason, b ? b : "");
}

/* ---- what it names ---- */

static struct peri_value *fitting(const struct peri_value *alternative);

/* A value that an operator of patterns accepts; NULL: it must not be there. */
static struct peri_value *fitting_operator(const struct peri_value *map)
{
    if (peri_map_at(map, "prefix") || peri_map_at(map, "wildcard") || peri_map_at(map, "suffix"))
        return peri_value_str("abc");
    if (peri_map_at(map, "equals-ignore-case"))
        return peri_value_str("b");
    if (peri_map_at(map, "numeric"))
        return peri_value_int(5);
    if (peri_map_at(map, "exists"))
        return peri_map_bool(map, "exists", false) ? peri_value_int(0) : NULL;
    assert_non_null(peri_map_at(map, "anything-but"));
    return peri_value_int(77);
}

static struct peri_value *fitting(const struct peri_value *alternative)
{
    return peri_value_is(alternative, PERI_MAP) ? fitting_operator(alternative) : peri_value_ref(alternative);
}

/* A value for which `value op right` holds; NULL: there is none. */
static struct peri_value *fitting_compared(const char *op, const struct peri_value *right)
{
    double n = peri_value_as_real(right);
    bool number = peri_value_is_number(right), text = peri_value_is(right, PERI_STRING);
    if (strcmp(op, "==") == 0)
        return peri_value_ref(right);
    if (strcmp(op, "~=") == 0)
        return peri_value_str("something else");
    if (op[1] == '=')
        return number || text ? peri_value_ref(right) : NULL;
    if (op[0] == '<')
        return number ? peri_value_real(n - 1) : text && *peri_value_text(right) ? peri_value_str("") : NULL;
    return number ? peri_value_real(n + 1) : text ? peri_value_str("zzz") : NULL;
}

/* How far a verdict came: fields of the pattern in order, then conditions. */
static int place_of(const struct said *s)
{
    const char *field = peri_map_text(s->detail, "field");
    if (strcmp(s->verdict, "fired") == 0)
        return 1000;
    if (strcmp(s->at, "match") == 0)
        return field ? field[1] - '0' : 0;
    return 100 + (s->at[strlen("conditions[")] - '0');
}

/* The field and the value that the verdict asks for; false: there is none (`event.f > null`). */
static bool what_it_wants(const struct peri_rule *rule, const struct said *s, char field[8], struct peri_value **ret)
{
    if (strcmp(s->at, "match") == 0) {
        assert_non_null(peri_map_text(s->detail, "field"));
        snprintf(field, 8, "%s", peri_map_text(s->detail, "field"));
        assert_true(peri_value_count(peri_map_at(s->detail, "wanted")) > 0);
        *ret = fitting(peri_list_at(peri_map_at(s->detail, "wanted"), 0));
        return true;
    }
    size_t n = (size_t)(s->at[strlen("conditions[")] - '0');
    const char *text = rule->condition->items[n]->expr_text; /* event.f3 < 5 */
    char op[3], right[32];
    assert_int_equal(sscanf(text, "event.%7s %2s %31[^\n]", field, op, right), 3);
    struct peri_value *v = kit_json(right);
    if (s->detail) { /* what is shown is what was compared */
        assert_string_equal(peri_map_text(s->detail, "op"), op);
        assert_true(peri_value_equal(peri_map_at(s->detail, "right"), v));
    } else {
        char missing[40];
        snprintf(missing, sizeof(missing), "missing event.%s", field);
        assert_string_equal(s->reason, missing);
    }
    *ret = fitting_compared(op, v);
    peri_value_unref(v);
    return *ret != NULL;
}

static size_t moved, hopeless;

static void mend(const struct peri_rule *rule, const char *json, const struct said *before)
{
    char field[8];
    struct peri_value *value = NULL, *event = kit_json(json);
    struct said after;
    if (!what_it_wants(rule, before, field, &value)) {
        hopeless++;
        peri_value_unref(event);
        return;
    }
    if (value)
        assert_int_equal(peri_map_put(event, field, value), PERI_OK);
    else
        peri_map_drop(event, field);
    char *mended = peri_json_text(event, PERI_JSON_COMPACT);
    ask(rule, mended, &after);
    if (place_of(&after) <= place_of(before))
        fail_msg("%s of %s\nbecame %s\nstill %s at %s: %s\n%s", rule->id, json, mended, after.verdict, after.at,
            after.reason, rule->text);
    moved++;
    said_finish(&after);
    free(mended);
    peri_value_unref(event);
}

/* ---- the test ---- */

static struct peri_rule *rule_of(const struct peri_rule_list *rules, const char *id)
{
    for (size_t i = 0; i < rules->count; i++)
        if (strcmp(rules->items[i]->id, id) == 0)
            return rules->items[i];
    fail_msg("there is no rule %s", id);
    return NULL;
}

static void look_at(
    struct bed *bed, const struct peri_rule_list *rules, uint64_t seq, const char *json, size_t counts[3])
{
    struct peri_value *list = kit_verdicts(bed, seq), *seen = peri_value_map();
    assert_int_equal(peri_value_count(list), rules->count);
    for (size_t i = 0; i < peri_value_count(list); i++) {
        const struct peri_value *v = peri_list_at(list, i);
        const char *id = peri_map_text(v, "rule");
        const struct peri_rule *rule = rule_of(rules, id);
        struct said said;
        assert_null(peri_map_at(seen, id)); /* exactly one */
        assert_int_equal(peri_map_put_bool(seen, id, true), PERI_OK);
        ask(rule, json, &said);
        same(v, &said, json);
        counts[strcmp(said.verdict, "fired") == 0 ? 0 : strcmp(said.verdict, "no") == 0 ? 1 : 2]++;
        if (strcmp(said.verdict, "no") == 0)
            mend(rule, json, &said);
        said_finish(&said);
    }
    peri_value_unref(seen);
    peri_value_unref(list);
}

static void test_each_pair_has_one_verdict_and_it_names_what_stands_in_the_way(void **state)
{
    const char *more = getenv("PERIGEE_TEST_EVENTS");
    long events = more ? strtol(more, NULL, 10) : EVENTS;
    struct peri_buf yaml;
    struct peri_rule_list rules = {0};
    struct peri_diag diag;
    struct bed bed;
    size_t counts[3] = {0};
    peri_buf_init(&yaml, 1 << 20);
    (void)peri_buf_puts(&yaml, "rules:\n");
    for (int i = 0; i < RULES; i++)
        put_rule(&yaml, i);
    peri_diag_init(&diag);
    assert_int_equal(peri_rules_load_text("test.yaml", peri_buf_text(&yaml), yaml.len, NULL, &rules, &diag), PERI_OK);
    kit_open(&bed, peri_buf_text(&yaml));
    for (long i = 0; i < events; i++) {
        char *json = random_event();
        uint64_t seq = kit_send(&bed, "a.B", json);
        KIT_QUIET(&bed);
        look_at(&bed, &rules, seq, json, counts);
        free(json);
    }
    print_message("%ld pairs: %zu fired, %zu no, %zu errors; %zu moved on, %zu cannot hold\n", events * RULES,
        counts[0], counts[1], counts[2], moved, hopeless);
    assert_true(counts[0] > (size_t)events && counts[1] > (size_t)events * 10 && counts[2] > (size_t)events);
    assert_int_equal(moved + hopeless, counts[1]);
    kit_close(&bed);
    peri_rule_list_finish(&rules);
    peri_diag_finish(&diag);
    peri_buf_finish(&yaml);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_pair_has_one_verdict_and_it_names_what_stands_in_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
