/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/timefmt.h"
#include "data/json.h"
#include "lang/expr.h"
#include "lang/zone_files.h"

static const char event_json[] =
    "{\"a\":{\"b\":[10,20,30]},\"name\":\"Ada\",\"n\":3,\"f\":2.5,\"t\":true,\"nothing\":null,\"empty\":\"\",\"list\":["
    "],"
    "\"key with space\":1,\"end\":\"x\",\"at\":\"2026-07-01T12:00:00Z\",\"text\":\" Stra\xC3\x9F"
    "e \xC3\xA4 \","
    "\"people\":[{\"name\":\"Bo\",\"age\":7,\"vip\":true},{\"name\":\"Al\",\"age\":5},{\"name\":\"Cy\",\"age\":7,"
    "\"vip\":false}],"
    "\"addr\":[{\"c\":{\"z\":2}},{\"c\":{\"z\":1}}],\"csv\":\"a,b,,c\",\"big\":9223372036854775807}";

static const struct peri_value *lookup(void *ctx, const char *name, size_t len)
{
    return len == 5 && memcmp(name, "event", 5) == 0 ? ctx : NULL;
}

static enum peri_status evaluate(const char *text, struct peri_value **ret, struct peri_error *err)
{
    struct peri_value *event = NULL;
    struct peri_expr *expr = NULL;
    struct peri_expr_problem problem;
    int64_t now = 0;
    assert_int_equal(peri_json_parse(event_json, strlen(event_json), &event, NULL), PERI_OK);
    assert_true(peri_time_parse("2026-01-02T03:04:05Z", 20, &now));
    static const struct peri_tz_source zones = {read_zone, NULL};
    struct peri_scope scope = {.lookup = lookup, .ctx = event, .now_ms = now, .tz = &zones};
    enum peri_status st = peri_expr_compile(text, strlen(text), NULL, &expr, &problem);
    if (st != PERI_OK) {
        snprintf(
            err->message, sizeof(err->message), "%s at %zu: %.300s", problem.code, problem.offset, problem.message);
        peri_value_unref(event);
        return st;
    }
    peri_error_clear(err);
    st = peri_expr_eval(expr, &scope, ret, err);
    peri_expr_destroy(expr);
    peri_value_unref(event);
    return st;
}

static void expect(const char *text, const char *json)
{
    struct peri_value *v = NULL;
    struct peri_error err;
    if (evaluate(text, &v, &err) != PERI_OK)
        fail_msg("%s: %s", text, err.message);
    char *got = peri_json_text(v, PERI_JSON_COMPACT);
    if (strcmp(got, json) != 0)
        fail_msg("%s gives %s, not %s", text, got, json);
    free(got);
    peri_value_unref(v);
}

static void expect_error(const char *text, enum peri_status st, const char *message)
{
    struct peri_value *v = NULL;
    struct peri_error err;
    enum peri_status got = evaluate(text, &v, &err);
    if (got != st || !strstr(err.message, message))
        fail_msg("%s gives \"%s\" (%d), not \"%s\"", text, got ? err.message : "a value", got, message);
}

static const struct {
    const char *text, *json;
} values[] = {
    /* literals and operators as in Lua */
    {"1", "1"},
    {"1.5", "1.5"},
    {"1e3", "1000.0"},
    {"-3", "-3"},
    {"'x'", "\"x\""},
    {"\"x\"", "\"x\""},
    {"true", "true"},
    {"false", "false"},
    {"nil", "null"},
    {"[1, 'a', [nil]]", "[1,\"a\",[null]]"},
    {"[]", "[]"},
    {"'it\\'s \\u{20AC}\\n'", "\"it's \xE2\x82\xAC\\n\""},
    {"1 + 2 * 3", "7"},
    {"(1 + 2) * 3", "9"},
    {"7 / 2", "3.5"},
    {"4 / 2", "2.0"},
    {"7 % 3", "1"},
    {"-7 % 3", "2"},
    {"7 % -3", "-2"},
    {"5.5 % 2", "1.5"},
    {"2 - 3 - 4", "-5"},
    {"1 .. 2 .. 3", "\"123\""},
    {"'a' .. 1 + 2", "\"a3\""},
    {"1 + 1 == 2", "true"},
    {"1 == 1.0", "true"},
    {"1 < 2 and 2 < 3", "true"},
    {"'a' < 'b'", "true"},
    {"'a' == 1", "false"},
    {"'a' ~= 1", "true"},
    {"[1,2] == [1,2]", "true"},
    {"not nil", "true"},
    {"not 0", "false"},
    {"not not ''", "true"},
    {"nil or 'x'", "\"x\""},
    {"false or nil", "null"},
    {"0 and 'yes'", "\"yes\""},
    {"nil and x.y", "null"},
    {"true or x.y", "true"},
    {"1 or 2 and nil", "1"},
    {"not true == false", "true"},
    {"-2 + 5", "3"},
    {"- - 2", "2"},
    {"2 --3", "5"},
    {"#'abc'", "3"},
    {"#event.people", "3"},
    {"#event.text", "10"},
    {"-event.n", "-3"},
    {"9223372036854775807 + 1", "9.223372036854776e+18"},
    {"event.big * 2", "1.8446744073709552e+19"},
    {"9007199254740993 > 9007199254740992.0", "true"},
    /* paths */
    {"event.a.b[1]", "10"},
    {"event.a.b[-1]", "30"},
    {"event.a['b'][2]", "20"},
    {"event[\"key with space\"]", "1"},
    {"event.end", "\"x\""},
    {"event.a.b[event.n]", "30"},
    {"event.people[2].name", "\"Al\""},
    {"[5, 6][2]", "6"},
    {"event[event.end .. ''] == nil", "true"},
    {"(event.people | first).name", "\"Bo\""},
    {"event.people | first | keys", "[\"name\",\"age\",\"vip\"]"},
    {"split('a-b', '-')[2]", "\"b\""},
    {"event.nothing", "null"},
    {"now", "\"2026-01-02T03:04:05.000Z\""},
    /* missing is nil where that is asked for */
    {"event.x == nil", "true"},
    {"event.x ~= nil", "false"},
    {"nil == event.x.y.z", "true"},
    {"event.x or 'd'", "\"d\""},
    {"event.x.y | default('d')", "\"d\""},
    {"event.nothing | default('d')", "\"d\""},
    {"event.empty | default('d')", "\"\""},
    {"event.a.b[9] | default(0)", "0"},
    {"event.x | upper | default('d')", "\"d\""},
    {"default(event.x, 4) + 1", "5"},
    {"event.x | default(0) + 1", "1"},
    {"event.x | default(0) > 3", "false"},
    {"'Hello ' .. event.nick | default('you')", "\"Hello you\""},
    {"not event.x | default(false)", "true"},
    {"event.x ~= nil and event.x > 3", "false"},
    /* texts */
    {"event.name | upper", "\"ADA\""},
    {"upper('\xC3\xA4\xCF\x89\xD0\xB6\xC5\x82')", "\"\xC3\x84\xCE\xA9\xD0\x96\xC5\x81\""},
    {"lower('\xC3\x84\xCE\xA9\xD0\x96')", "\"\xC3\xA4\xCF\x89\xD0\xB6\""},
    {"'ab cd' | capitalize", "\"Ab cd\""},
    {"event.text | trim", "\"Stra\xC3\x9F"
                          "e \xC3\xA4\""},
    {"event.csv | split(',')", "[\"a\",\"b\",\"\",\"c\"]"},
    {"' a  b ' | split", "[\"a\",\"b\"]"},
    {"'ab' | split('')", "[\"a\",\"b\"]"},
    {"'a-b-a' | replace('a', 'x')", "\"x-b-x\""},
    {"'abc' | replace('', 'x')", "\"abc\""},
    {"'abc' | contains('bc')", "true"},
    {"contains([1, 2], 2.0)", "true"},
    {"event | contains('a')", "true"},
    {"event.name | in(['Bo', 'Ada'])", "true"},
    {"'abc' | starts_with('ab')", "true"},
    {"'abc' | ends_with('ab')", "false"},
    {"'VIP Missed Call!' | slug", "\"vip-missed-call\""},
    {"'abcdef' | truncate(4)", "\"abc\xE2\x80\xA6\""},
    {"'abcd' | truncate(4)", "\"abcd\""},
    {"'abcdef' | truncate(3, '')", "\"abc\""},
    {"'a b/\xC3\xA4' | url_encode", "\"a%20b%2F%C3%A4\""},
    {"event.a | json", "\"{\\\"b\\\":[10,20,30]}\""},
    {"'[1,2]' | from_json | last", "2"},
    {"12 | string", "\"12\""},
    {"nil | string", "\"\""},
    {"'abc' | reverse", "\"cba\""},
    {"'abcdef' | slice(2, 3)", "\"bc\""},
    {"'abcdef' | slice(-2)", "\"ef\""},
    {"[1,2,3] | slice(2)", "[2,3]"},
    {"'abc' | slice(3, 1)", "\"\""},
    {"'\xC3\xA4"
     "bc' | first",
        "\"\xC3\xA4\""},
    {"'abc' | length", "3"},
    /* numbers */
    {"2.675 | round(2)", "2.68"},
    {"2.5 | round", "3"},
    {"-2.5 | round", "-3"},
    {"10 / 3 | round(2)", "3.3333333333333335"},
    {"(10 / 3) | round(2)", "3.33"},
    {"1234567.891 | round(1)", "1234567.9"},
    {"3 | round(2)", "3"},
    {"-2.5 | floor", "-3"},
    {"2.1 | ceil", "3"},
    {"-3 | abs", "3"},
    {"3.9 | int", "3"},
    {"'42' | int", "42"},
    {"'-1.5' | number", "-1.5"},
    {"' 7 ' | number", "7"},
    {"min(3, 1, 2)", "1"},
    {"[3, 1.5] | max", "3"},
    {"[] | max", "null"},
    {"max('a', 'b')", "\"b\""},
    {"[1, 2, 3] | sum", "6"},
    {"[1, 0.5] | sum", "1.5"},
    {"'true' | bool", "true"},
    {"0 | bool", "false"},
    {"1.5 | type", "\"number\""},
    /* lists */
    {"event.list | first", "null"},
    {"event.a.b | join", "\"10, 20, 30\""},
    {"event.a.b | join('-')", "\"10-20-30\""},
    {"[3, 1, 2] | sort", "[1,2,3]"},
    {"['b', 'a'] | sort | join('')", "\"ab\""},
    {"event.people | sort('age') | map('name')", "[\"Al\",\"Bo\",\"Cy\"]"},
    {"event.addr | sort('c.z') | map('c.z')", "[1,2]"},
    {"[1, 2, 1, 'a', 'a'] | unique", "[1,2,\"a\"]"},
    {"event.people | where('age', 7) | map('name')", "[\"Bo\",\"Cy\"]"},
    {"event.people | where('vip') | length", "1"},
    {"event.people | map('vip')", "[true,false]"},
    {"event.a | values", "[[10,20,30]]"},
    {"[1,2] | reverse", "[2,1]"},
    /* choices */
    {"if(event.n > 2, 'many', 'few')", "\"many\""},
    {"if(false, event.x)", "null"},
    {"if(true, 1, event.x)", "1"},
    /* times */
    {"event.at | date('%Y-%m-%d %H:%M')", "\"2026-07-01 12:00\""},
    {"event.at | date('%a %-d %b %y, week %V, day %j')", "\"Wed 1 Jul 26, week 27, day 182\""},
    {"event.at | date('%H:%M %Z %:z', 'Europe/Berlin')", "\"14:00 CEST +02:00\""},
    {"0 | date('%F %T%z %Z')", "\"1970-01-01 00:00:00+0000 UTC\""},
    {"'2027-01-01T00:30:00Z' | date('%G-W%V %I:%M %p')", "\"2026-W53 12:30 AM\""},
    {"duration('1h30m')", "5400000"},
    {"90000 | format_duration", "\"1m30s\""},
    {"event.at | add('2d')", "\"2026-07-03T12:00:00.000Z\""},
    {"event.at | add('-90s')", "\"2026-07-01T11:58:30.000Z\""},
    {"now | add(duration('1s')) | timestamp - (now | timestamp)", "1000"},
    {"'2026-07-01T14:00:00+02:00' | time", "\"2026-07-01T12:00:00.000Z\""},
    {"1000 | time", "\"1970-01-01T00:00:01.000Z\""},
    {"now < (now | add('1s'))", "true"},
};

static void test_values(void **state)
{
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        expect(values[i].text, values[i].json);
}

static void test_a_missing_path_names_where_it_ended(void **state)
{
    expect_error("event.x", PERI_ENOTFOUND, "missing event.x");
    expect_error("event.x.y.z", PERI_ENOTFOUND, "missing event.x");
    expect_error("event.a.c.d", PERI_ENOTFOUND, "missing event.a.c");
    expect_error("event.name.first", PERI_ENOTFOUND, "missing event.name.first");
    expect_error("event.a.b[4]", PERI_ENOTFOUND, "missing event.a.b[4]");
    expect_error("event['odd key']", PERI_ENOTFOUND, "missing event[\"odd key\"]");
    expect_error("other.x", PERI_ENOTFOUND, "missing other");
    expect_error("event.x > 3", PERI_ENOTFOUND, "missing event.x");
    expect_error("event.x and 1", PERI_ENOTFOUND, "missing event.x");
    expect_error("not event.x", PERI_ENOTFOUND, "missing event.x");
}

static void test_wrong_types_show_both_values(void **state)
{
    expect_error("event.n < 'a'", PERI_EINVAL, "cannot compare 3 (integer) < \"a\" (string)");
    expect_error("nil > 1", PERI_EINVAL, "cannot compare nil > 1 (integer)");
    expect_error("'1' + 1", PERI_EINVAL, "cannot calculate \"1\" (string) + 1 (integer)");
    expect_error("'a' .. true", PERI_EINVAL, "cannot join \"a\" (string) .. true (boolean)");
    expect_error("-event.name", PERI_EINVAL, "- needs a number: \"Ada\" (string)");
    expect_error("#1", PERI_EINVAL, "# needs a text, a list or a map");
    expect_error("1 / 0", PERI_EINVAL, "division by zero");
    expect_error("1 % 0", PERI_EINVAL, "division by zero");
    expect_error("1e308 * 10", PERI_EINVAL, "no finite number");
    expect_error("event.n | upper", PERI_EINVAL, "upper needs a text, not 3 (integer)");
    expect_error("event.name | number", PERI_EINVAL, "number cannot read \"Ada\"");
    expect_error("[1, 'a'] | sort", PERI_EINVAL, "sort cannot take");
    expect_error("[1, 'a'] | sum", PERI_EINVAL, "sum needs numbers");
    expect_error("event.name | date('%F')", PERI_EINVAL, "\"Ada\" (string) is no time");
    expect_error("now | date('%Q')", PERI_EINVAL, "unknown conversion %Q");
    expect_error("now | date('%F', 'Europe/Atlantis')", PERI_EINVAL, "date: ");
    expect_error("now | add('soon')", PERI_EINVAL, "add: ");
    expect_error("'x' | from_json", PERI_EINVAL, "from_json: ");
    expect_error("event.people | sort('zip')", PERI_ENOTFOUND, "missing zip in element 1");
}

static void test_results_are_bounded(void **state)
{
    char text[4096];
    int at = snprintf(text, sizeof(text), "'0123456789012345678901234567890123456789' ");
    for (int i = 0; i < 14; i++)
        at += snprintf(text + at, sizeof(text) - (size_t)at, "| replace('0', '0000000000') ");
    expect_error(text, PERI_ELIMIT, "larger than 256 KiB");
}

static void test_problems_have_an_offset(void **state)
{
    static const struct {
        const char *text, *message;
    } wrong[] = {
        {"", "syntax at 0: the expression is empty"},
        {"  ", "syntax at 0: the expression is empty"},
        {"1 +", "syntax at 3: expected a value, but the expression ends here"},
        {"event.", "syntax at 6: expected a field name"},
        {"event.5", "syntax at 6: a field name cannot be a number"},
        {"event[0]", "syntax at 6: lists start at 1"},
        {"event[1", "syntax at 7: expected ]"},
        {"(1", "syntax at 2: expected )"},
        {"1 2", "syntax at 2: expected an operator or the end, not 2"},
        {"a != b", "syntax at 2: unknown operator \"!=\""},
        {"a && b", "syntax at 2: unknown operator \"&&\""},
        {"a || b", "syntax at 2: unknown operator \"||\""},
        {"a = b", "syntax at 2: unknown operator \"=\""},
        {"a in b", "syntax at 2: there is no operator \"in\""},
        {"'abc", "syntax at 0: this string has no closing '"},
        {"'a\\q'", "syntax at 2: unknown escape"},
        {"10m", "syntax at 0: malformed number"},
        {"a | uper", "unknown-filter at 4: unknown filter \"uper\""},
        {"a | if(1)", "unknown-filter at 4: unknown filter \"if\""},
        {"nope(1)", "unknown-function at 0: unknown function \"nope\""},
        {"a | round(1, 2)", "filter-args at 4: round takes 0 to 1 arguments, not 2"},
        {"a | replace('x')", "filter-args at 4: replace takes 2 arguments, not 1"},
        {"a | round('x')", "filter-args at 10: round needs a whole number here, not \"x\" (string)"},
        {"min()", "filter-args at 0: min takes at least 1 arg"},
        {"a | ", "syntax at 4: expected the name of a filter"},
        {"[1, ]", "syntax at 4: expected a value, not ]"},
        {"min(1, )", "syntax at 7: expected a value, not )"},
        {"a \xE2\x80\x93 b", "syntax at 2: unexpected \"\xE2\x80\x93\""},
        {"a \xFF", "syntax at 2: the expression is not valid UTF-8"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        expect_error(wrong[i].text, PERI_EINVAL, wrong[i].message);
}

/* Whatever a text repeats, the parser ends with an error and not with the stack. */
static void test_depth_is_bounded(void **state)
{
    static const char *const pieces[] = {
        "(", "[", "-", "not ", "#", "1 .. ", "1 + ", "a[", "a.b.", "if(", "a | default("};
    char *text = malloc(20000);
    assert_non_null(text);
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        size_t n = strlen(pieces[i]), at = 0;
        while (at + n < 15000)
            memcpy(text + at, pieces[i], n), at += n;
        memcpy(text + at, "1", 2);
        struct peri_value *v = NULL;
        struct peri_error err;
        assert_int_equal(evaluate(text, &v, &err), PERI_EINVAL);
    }
    free(text);
}

static bool known(void *ctx, const char *name, size_t len)
{
    return len == 5 && memcmp(name, "event", 5) == 0;
}

static const char *const *list(void *ctx)
{
    static const char *const names[] = {"event", "trigger", NULL};
    return names;
}

static void test_unknown_names(void **state)
{
    struct peri_expr_names names = {.known = known, .list = list};
    struct peri_expr *expr = NULL;
    struct peri_expr_problem problem;
    assert_int_equal(peri_expr_compile("1 + evnt.x", 10, &names, &expr, &problem), PERI_EINVAL);
    assert_string_equal(problem.code, "unknown-root");
    assert_int_equal(problem.offset, 4);
    assert_string_equal(problem.hint, "did you mean \"event\"?");
    assert_int_equal(peri_expr_compile("null", 4, &names, &expr, &problem), PERI_EINVAL);
    assert_string_equal(problem.hint, "write nil");
    assert_int_equal(peri_expr_compile("event.x == now", 14, &names, &expr, &problem), PERI_OK);
    peri_expr_destroy(expr);
}

static void test_explain_gives_what_was_compared(void **state)
{
    static const struct {
        const char *text, *json;
    } cases[] = {
        {"event.n >= 5", "{\"left\":3,\"op\":\">=\",\"right\":5}"},
        {"event.t and event.name == 'Bo'", "{\"left\":\"Ada\",\"op\":\"==\",\"right\":\"Bo\"}"},
        {"event.n > 5 and event.name == 'Bo'", "{\"left\":3,\"op\":\">\",\"right\":5}"},
        {"event.x == nil", "{\"left\":null,\"op\":\"==\",\"right\":null}"},
        {"event.x > 3", NULL},
        {"event.n + 1", NULL},
    };
    struct peri_value *event = NULL;
    assert_int_equal(peri_json_parse(event_json, strlen(event_json), &event, NULL), PERI_OK);
    struct peri_scope scope = {.lookup = lookup, .ctx = event};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct peri_expr *expr = NULL;
        assert_int_equal(peri_expr_compile(cases[i].text, strlen(cases[i].text), NULL, &expr, NULL), PERI_OK);
        struct peri_value *v = peri_expr_explain(expr, &scope);
        char *text = v ? peri_json_text(v, PERI_JSON_COMPACT) : NULL;
        if (cases[i].json)
            assert_string_equal(text, cases[i].json);
        else
            assert_null(v);
        free(text);
        peri_value_unref(v);
        peri_expr_destroy(expr);
    }
    peri_value_unref(event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_a_missing_path_names_where_it_ended),
        cmocka_unit_test(test_wrong_types_show_both_values),
        cmocka_unit_test(test_results_are_bounded),
        cmocka_unit_test(test_problems_have_an_offset),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_unknown_names),
        cmocka_unit_test(test_explain_gives_what_was_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
