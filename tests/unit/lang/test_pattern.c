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
#include "lang/pattern.h"
#include "pattern_rows.h"

/* In the tables ' stands for ", so that JSON can be read. */
static char *json(const char *text)
{
    char *copy = strdup(text);
    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    return copy;
}

static bool match(const char *pattern, const char *event, struct peri_value **why)
{
    struct peri_error err = {0};
    struct peri_pattern *p = NULL;
    bool matches = false;
    if (peri_pattern_compile_json(pattern, strlen(pattern), &p, &err) != PERI_OK)
        fail_msg("%s: %s", pattern, err.message);
    if (peri_pattern_match(p, event, strlen(event), &matches, why, &err) != PERI_OK)
        fail_msg("%s: %s", event, err.message);
    /* Scanned once and looked at twice the answer is the same. */
    struct peri_pattern_event *scanned = NULL;
    assert_int_equal(peri_pattern_event_read(event, strlen(event), &scanned, &err), PERI_OK);
    for (int i = 0; i < 2; i++) {
        struct peri_value *again = NULL;
        bool holds = !matches;
        assert_int_equal(peri_pattern_match_event(p, scanned, &holds, &again, &err), PERI_OK);
        assert_int_equal(holds, matches);
        if (why)
            assert_true(peri_value_equal(*why, again));
        peri_value_unref(again);
    }
    peri_pattern_event_destroy(scanned);
    peri_pattern_destroy(p);
    return matches;
}

static void check(const struct pattern_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *pattern = json(rows[i].pattern), *event = json(rows[i].event);
        struct peri_value *why = NULL;
        if (match(pattern, event, &why) != rows[i].want)
            fail_msg("row %zu: %s on %s should be %s", i, pattern, event, rows[i].want ? "true" : "false");
        /* Every no has a reason, and every field but $or and the root has something wanted. */
        assert_int_equal(why == NULL, rows[i].want);
        if (why) {
            assert_non_null(peri_map_text(why, "field"));
            assert_non_null(peri_map_text(why, "reason"));
        }
        peri_value_unref(why);
        free(pattern);
        free(event);
    }
}

#define CHECK(rows) check(rows, sizeof(rows) / sizeof(rows[0]))

static void test_values(void **state)
{
    CHECK(pattern_values);
}

static void test_numbers(void **state)
{
    CHECK(pattern_numbers);
}

static void test_text(void **state)
{
    CHECK(pattern_text);
}

static void test_anything_but(void **state)
{
    CHECK(pattern_anything_but);
}

static void test_exists(void **state)
{
    CHECK(pattern_exists);
}

static void test_cidr(void **state)
{
    CHECK(pattern_cidr);
}

static void test_or(void **state)
{
    CHECK(pattern_or);
}

static void test_arrays(void **state)
{
    CHECK(pattern_arrays);
}

static void test_extensions(void **state)
{
    CHECK(pattern_extensions);
}

static void test_refused(void **state)
{
    static const struct {
        const char *pattern, *place, *code, *part;
    } rows[] = {
        {"{}", "line 1, column 1: ", "pattern-empty", "empty"},
        {"[]", "line 1, column 1: ", "pattern-type", "is a list"},
        {"5", "line 1, column 1: ", "pattern-type", "is a number"},
        {"{'a':{}}", "line 1, column 6: ", "pattern-empty", "empty"},
        {"{'a':[]}", "line 1, column 6: ", "pattern-empty", "matches nothing"},
        {"{\n  'a': 'x'\n}", "line 2, column 8: ", "pattern-type", "write a: [x]"},
        {"{'a':null}", "line 1, column 6: ", "pattern-type", "must be a list"},
        {"{'a':{'prefix':'x'}}", "line 1, column 16: ", "pattern-type", "[{prefix: ...}]"},
        {"{'a':['x',['y']]}", "line 1, column 11: ", "pattern-list", "a list inside"},
        {"{'a':[{'prefx':'x'}]}", "line 1, column 8: ", "pattern-operator", "did you mean \"prefix\"?"},
        {"{'a':[{'zzzzzzzzzz':'x'}]}", "line 1, column 8: ", "pattern-operator", "here: prefix"},
        {"{'a':[{}]}", "line 1, column 7: ", "pattern-empty", "no alternative"},
        {"{'a':[{'prefix':'x','suffix':'y'}]}", "line 1, column 21: ", "pattern-operator", "one operator"},
        {"{'a':[{'prefix':5}]}", "line 1, column 17: ", "pattern-value", "put it in quotes"},
        {"{'a':[{'suffix':['x']}]}", "line 1, column 17: ", "pattern-value", "takes a string"},
        {"{'a':[{'equals-ignore-case':null}]}", "line 1, column 29: ", "pattern-value", "takes a string"},
        {"{'a':[{'prefix':{'equals-ignore-case':1}}]}", "line 1, column 39: ", "pattern-value", "takes a string"},
        {"{'a':[{'exists':'true'}]}", "line 1, column 17: ", "pattern-value", "true or false"},
        {"{'a':[{'wildcard':'a**b'}]}", "line 1, column 19: ", "pattern-wildcard", "two stars in a row at character 2"},
        {"{'a':[{'wildcard':'a\\\\b'}]}", "line 1, column 19: ", "pattern-wildcard", "backslash at character 2"},
        {"{'a':[{'wildcard':'a\\\\'}]}", "line 1, column 19: ", "pattern-wildcard", "backslash at character 2"},
        {"{'a':[{'wildcard':7}]}", "line 1, column 19: ", "pattern-value", "takes a string"},
        {"{'a':[{'numeric':5}]}", "line 1, column 18: ", "pattern-numeric", "a list of comparisons"},
        {"{'a':[{'numeric':[]}]}", "line 1, column 18: ", "pattern-numeric", "needs a comparison"},
        {"{'a':[{'numeric':['>']}]}", "line 1, column 19: ", "pattern-numeric", "number is missing"},
        {"{'a':[{'numeric':['>','5']}]}", "line 1, column 23: ", "pattern-numeric", "number is expected"},
        {"{'a':[{'numeric':['~',5]}]}", "line 1, column 19: ", "pattern-numeric", "one of"},
        {"{'a':[{'numeric':['==',5]}]}", "line 1, column 19: ", "pattern-numeric", "one of"},
        {"{'a':[{'numeric':['<',5,'>',0]}]}", "line 1, column 25: ", "pattern-numeric", "nothing may follow"},
        {"{'a':[{'numeric':['>',5,'>',0]}]}", "line 1, column 25: ", "pattern-numeric", "comes first"},
        {"{'a':[{'numeric':['=',5,'<',9]}]}", "line 1, column 25: ", "pattern-numeric", "stands alone"},
        {"{'a':[{'numeric':['>',5,'=',9]}]}", "line 1, column 25: ", "pattern-numeric", "stands alone"},
        {"{'a':[{'numeric':['>',5,'<',5]}]}", "line 1, column 29: ", "pattern-numeric", "above the lower"},
        {"{'a':[{'numeric':['>',5,'<',9,'<',8]}]}", "line 1, column 31: ", "pattern-numeric", "nothing may follow"},
        {"{'a':[{'numeric':['>',9007199254740993]}]}", "line 1, column 23: ", "pattern-numeric", "more digits"},
        {"{'a':[{'cidr':'10.0.0.0'}]}", "line 1, column 15: ", "pattern-cidr", "slash"},
        {"{'a':[{'cidr':'10.0.0.0/33'}]}", "line 1, column 15: ", "pattern-cidr", "0 to 32"},
        {"{'a':[{'cidr':'::/129'}]}", "line 1, column 15: ", "pattern-cidr", "0 to 128"},
        {"{'a':[{'cidr':'10.0.0/8'}]}", "line 1, column 15: ", "pattern-cidr", "malformed address"},
        {"{'a':[{'cidr':'10.0.0.0/'}]}", "line 1, column 15: ", "pattern-cidr", "0 to 32"},
        {"{'a':[{'cidr':'10.0.0.0/8x'}]}", "line 1, column 15: ", "pattern-cidr", "must be a number"},
        {"{'a':[{'cidr':10}]}", "line 1, column 15: ", "pattern-value", "takes a string"},
        {"{'a':[{'anything-but':[]}]}", "line 1, column 23: ", "pattern-empty", "at least one"},
        {"{'a':[{'anything-but':['x',1]}]}", "line 1, column 28: ", "pattern-value", "only strings or only numbers"},
        {"{'a':[{'anything-but':null}]}", "line 1, column 23: ", "pattern-value", "does not take null"},
        {"{'a':[{'anything-but':true}]}", "line 1, column 23: ", "pattern-value", "does not take a boolean"},
        {"{'a':[{'anything-but':[['x']]}]}", "line 1, column 24: ", "pattern-value", "does not take a list"},
        {"{'a':[{'anything-but':{'prefix':''}}]}", "line 1, column 33: ", "pattern-value", "empty prefix"},
        {"{'a':[{'anything-but':{'suffix':['a','']}}]}", "line 1, column 38: ", "pattern-value", "empty suffix"},
        {"{'a':[{'anything-but':{'prefix':[]}}]}", "line 1, column 33: ", "pattern-empty", "at least one"},
        {"{'a':[{'anything-but':{'sufix':'x'}}]}", "line 1, column 24: ", "pattern-operator",
            "did you mean \"suffix\"?"},
        {"{'a':[{'anything-but':{'numeric':['=',1]}}]}", "line 1, column 24: ", "pattern-operator", "here: prefix"},
        {"{'a':[{'anything-but':{}}]}", "line 1, column 23: ", "pattern-operator", "one operator"},
        {"{'$or':[{'a':[1]}]}", "line 1, column 8: ", "pattern-or", "two or more"},
        {"{'$or':{'a':[1]}}", "line 1, column 8: ", "pattern-or", "two or more"},
        {"{'$or':'x'}", "line 1, column 8: ", "pattern-or", "two or more"},
        {"{'$or':[{'a':[1]},5]}", "line 1, column 19: ", "pattern-or", "is a number"},
        {"{'$or':[{'a':[1]},{}]}", "line 1, column 19: ", "pattern-empty", "empty"},
        {"{'a':[1],\n 'b':[2],\n 'a':[3]}", "line 3, column 2: ", "pattern-duplicate", "twice"},
        {"{'a':[1],'\\u0061':[3]}", "line 1, column 10: ", "pattern-duplicate", "\"a\""},
        {"{'a':[{'all':'x'}]}", "line 1, column 14: ", "pattern-value", "takes a list"},
        {"{'a':[{'all':[]}]}", "line 1, column 14: ", "pattern-empty", "at least one"},
        {"{'a':[{'all':[{'exists':false}]}]}", "line 1, column 15: ", "pattern-value", "no value"},
        {"{'a':[{'regex':'('}]}", "line 1, column 16: ", "pattern-regex", "missing closing parenthesis"},
        {"{'\xc3\xa9\xc3\xa9':[1,[2]]}", "line 1, column 10: ", "pattern-list", "a list inside"},
        {"{'a':[1}", "line 1, column 8: ", "json", "comma"},
        {"{'a':[1]} x", "line 1, column 11: ", "json", "after the end"},
        {"", "line 1, column 1: ", "json", "ends before"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *text = json(rows[i].pattern);
        struct peri_pattern *p = NULL;
        struct peri_error err = {0};
        if (peri_pattern_compile_json(text, strlen(text), &p, &err) != PERI_EINVAL)
            fail_msg("accepted %s", text);
        if (strcmp(err.code, rows[i].code) != 0 || strncmp(err.message, rows[i].place, strlen(rows[i].place)) != 0 ||
            !strstr(err.message, rows[i].part))
            fail_msg("%s gave %s: %s", text, err.code, err.message);
        free(text);
    }
}

static void test_yaml_nodes(void **state)
{
    static const char text[] = "contactId: ['4711', ~]\n"
                               "count: [0x10, +5, .5, 007, {numeric: ['>=', 20]}]\n"
                               "name: [yes, {prefix: Ann}]\n"
                               "$or:\n"
                               "  - a: [1]\n"
                               "  - b: [true]\n";
    static const char *const events[] = {"{\"contactId\":\"4711\",\"count\":16,\"name\":\"yes\",\"a\":1}",
        "{\"contactId\":null,\"count\":5,\"name\":\"Anna\",\"b\":true}",
        "{\"contactId\":null,\"count\":0.5,\"name\":\"Anna\",\"b\":true}",
        "{\"contactId\":null,\"count\":7,\"name\":\"Anna\",\"b\":true}",
        "{\"contactId\":null,\"count\":20,\"name\":\"Anna\",\"b\":true}"};
    struct peri_diag diag;
    struct peri_yaml_doc *doc;
    struct peri_pattern *p;
    peri_diag_init(&diag);
    assert_int_equal(peri_yaml_parse("p.yaml", text, strlen(text), NULL, &doc, &diag), PERI_OK);
    assert_int_equal(peri_pattern_compile_node(doc->roots[0], &p, &diag), PERI_OK);
    peri_yaml_destroy(doc);
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        bool matches = false;
        assert_int_equal(peri_pattern_match(p, events[i], strlen(events[i]), &matches, NULL, NULL), PERI_OK);
        if (!matches)
            fail_msg("%s", events[i]);
    }
    peri_pattern_destroy(p);

    static const char wrong[] = "a: x\nb:\n  c: []\nd: [{prefx: 1}, [2]]\n$or: [{e: [1]}]\n";
    assert_int_equal(peri_yaml_parse("p.yaml", wrong, strlen(wrong), NULL, &doc, &diag), PERI_OK);
    assert_int_equal(peri_pattern_compile_node(doc->roots[0], &p, &diag), PERI_EINVAL);
    peri_diag_sort(&diag);
    static const int places[][2] = {{1, 4}, {3, 6}, {4, 6}, {4, 17}, {5, 6}};
    assert_int_equal(diag.count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(diag.items[i].line, places[i][0]);
        assert_int_equal(diag.items[i].column, places[i][1]);
        assert_string_equal(diag.items[i].file, "p.yaml");
    }
    peri_yaml_destroy(doc);
    peri_diag_finish(&diag);
}

static void test_broken_events(void **state)
{
    static const char *const events[] = {"", "{", "{'a':1", "{'a':1}}", "{'a':1} x", "{'a':1,}", "{'a' 1}", "{a:1}",
        "{'a':01}", "{'a':1.}", "{'a':.5}", "{'a':+1}", "{'a':1e}", "{'a':-}", "{'a':'x}", "{'a':'\\x'}",
        "{'a':'\\u12'}", "{'a':'\\ud800'}", "{'a':'\\udc00\\ud800'}", "{'a':'\t'}", "{'a':tru}", "{'a':truex}", "[1,]",
        "[1 2]", "{'a':1}\xff", "{'a':'\xc3'}", "{'a':NaN}", "{'a':'\xed\xa0\x80'}", "// x\n{}", "{'a':1}{'b':2}"};
    struct peri_pattern *p;
    assert_int_equal(peri_pattern_compile_json("{\"a\":[1]}", 9, &p, NULL), PERI_OK);
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        char *text = json(events[i]);
        struct peri_error err = {0};
        bool matches = true;
        struct peri_value *why = NULL;
        if (peri_pattern_match(p, text, strlen(text), &matches, &why, &err) != PERI_EINVAL)
            fail_msg("accepted %s", text);
        assert_true(strncmp(err.message, "line 1, column ", 15) == 0 || strstr(events[i], "//"));
        assert_null(why);
        free(text);
    }
    static char deep[200];
    for (size_t levels = 64; levels <= 65; levels++) {
        memset(deep, '[', levels);
        memset(deep + levels, ']', levels);
        bool matches = true;
        assert_int_equal(
            peri_pattern_match(p, deep, 2 * levels, &matches, NULL, NULL), levels == 64 ? PERI_OK : PERI_EINVAL);
    }
    peri_pattern_destroy(p);
}

/* 64 levels of objects, and the list within them makes one more level of JSON. */
static void test_deep_patterns(void **state)
{
    for (int levels = 63; levels <= 64; levels++) {
        char text[1024];
        size_t at = 0;
        for (int i = 0; i < levels; i++, at += 5)
            memcpy(text + at, "{\"a\":", 5);
        memcpy(text + at, "[1]", 3);
        memset(text + at + 3, '}', (size_t)levels);
        struct peri_pattern *p = NULL;
        struct peri_error err = {0};
        assert_int_equal(
            peri_pattern_compile_json(text, at + 3 + (size_t)levels, &p, &err), levels == 63 ? PERI_OK : PERI_EINVAL);
        if (levels == 64)
            assert_non_null(strstr(err.message, "nested more than 64 levels deep"));
        bool matches = false;
        if (p)
            assert_int_equal(peri_pattern_match(p, text, at + 3 + (size_t)levels, &matches, NULL, NULL), PERI_OK);
        assert_int_equal(matches, p != NULL); /* it is its own event */
        peri_pattern_destroy(p);
    }
}

static void why_is(const char *pattern, const char *event, const char *want)
{
    char *p = json(pattern), *e = json(event), *w = json(want);
    struct peri_value *why = NULL;
    assert_false(match(p, e, &why));
    char *text = peri_json_text(why, PERI_JSON_COMPACT);
    assert_string_equal(text, w);
    free(text);
    peri_value_unref(why);
    free(p);
    free(e);
    free(w);
}

static void test_why(void **state)
{
    why_is("{'a':['x'],'b':['y']}", "{'b':'z','a':'x'}",
        "{'field':'b','reason':'the value differs','actual':'z','wanted':['y']}");
    why_is("{'a':{'b':[1,{'prefix':'x'}]}}", "{'a':{}}",
        "{'field':'a.b','reason':'the field is missing','wanted':[1,{'prefix':'x'}]}");
    why_is(
        "{'a':[1]}", "{'a':[2,[3]]}", "{'field':'a','reason':'no value of the list fits','actual':[2,3],'wanted':[1]}");
    why_is("{'a':[1]}", "{'a':{'b':1}}",
        "{'field':'a','reason':'the field holds an object, not a value','actual':{'b':1},'wanted':[1]}");
    why_is("{'a':[1]}", "{'a':[]}", "{'field':'a','reason':'the field holds an empty list','actual':[],'wanted':[1]}");
    why_is("{'a':[{'exists':false}]}", "{'a':1e400}",
        "{'field':'a','reason':'the field is there','actual':'1e400','wanted':[{'exists':false}]}");
    why_is("{'a':['x'],'$or':[{'b':[1]},{'c':[2]}]}", "{'a':'x','b':2}",
        "{'field':'$or','reason':'none of the alternatives fits','wanted':[{'b':[1]},{'c':[2]}]}");
    why_is("{'d':{'o':{'p':[1],'q':[2]}}}", "{'d':{'o':[{'p':1},{'q':2}]}}",
        "{'field':'d.o','reason':'no single element of the list has all that is asked for'}");
    why_is("{'a':[1]}", "[1]", "{'field':'','reason':'the event is no object'}");
}

/* The time of these would be minutes if it grew with the square. */
static void test_large_events(void **state)
{
    enum { COUNT = 100000 };
    struct peri_buf b;
    peri_buf_init(&b, 64u << 20);
    peri_buf_puts(&b, "{\"o\":[");
    for (int i = 0; i < COUNT; i++)
        peri_buf_printf(&b, "%s{\"p\":%d,\"q\":%d}", i ? "," : "", i % 2, (i + 1) % 2);
    peri_buf_puts(&b, "]}");
    assert_false(match("{\"o\":{\"p\":[1],\"q\":[1]}}", peri_buf_text(&b), NULL));
    assert_true(match("{\"o\":{\"p\":[1],\"q\":[0],\"r\":[{\"exists\":false}]}}", peri_buf_text(&b), NULL));
    assert_false(match("{\"o\":{\"r\":[{\"exists\":false}],\"q\":[{\"exists\":false}]}}", peri_buf_text(&b), NULL));

    peri_buf_reset(&b);
    peri_buf_puts(&b, "{\"a\":\"");
    for (int i = 0; i < COUNT; i++)
        peri_buf_puts(&b, "ab");
    peri_buf_puts(&b, "\"}");
    assert_false(match("{\"a\":[{\"wildcard\":\"*a*b*a*b*a*b*a*b*a*b*a*b*c*a*b*x\"}]}", peri_buf_text(&b), NULL));
    assert_false(match("{\"a\":[{\"wildcard\":\"*aba*aba*aba*aba*aba*abb*\"}]}", peri_buf_text(&b), NULL));

    peri_buf_reset(&b);
    peri_buf_puts(&b, "{\"a\":0");
    for (int i = 0; i < COUNT; i++)
        peri_buf_printf(&b, ",\"a\":{\"b\":%d}", i);
    peri_buf_puts(&b, "}");
    assert_true(match("{\"a\":{\"b\":[99999],\"c\":[{\"exists\":false}]}}", peri_buf_text(&b), NULL));
    peri_buf_finish(&b);
}

/* $or lists that ask for fields of their own add up; lists that ask for the same field multiply, and too many of them
 * are refused instead of eating the memory. */
static void test_wide_or(void **state)
{
    for (int same = 0; same <= 1; same++) {
        struct peri_buf b;
        peri_buf_init(&b, 1u << 20);
        for (int i = 0; i < 18; i++)
            peri_buf_printf(&b, "{\"%c%d\":[1],\"$or\":[{\"%c%d\":[1]},", same ? 'x' : 'a', same ? 0 : i,
                same ? 'x' : 'b', same ? 0 : i);
        peri_buf_puts(&b, "{\"x0\":[1]}");
        for (int i = 0; i < 18; i++)
            peri_buf_puts(&b, "]}");
        assert_int_equal(match(peri_buf_text(&b), "{\"x0\":1}", NULL), same);
        peri_buf_finish(&b);
    }
    /* Each level doubles what is asked of k. */
    struct peri_buf b;
    struct peri_pattern *p = NULL;
    struct peri_error err = {0};
    peri_buf_init(&b, 1u << 20);
    for (int i = 0; i < 24; i++)
        peri_buf_puts(&b, "{\"k\":{\"$or\":[{\"a\":[1]},{\"b\":[1]}]},\"$or\":[{\"z\":[1]},");
    peri_buf_puts(&b, "{\"y\":[1]}");
    for (int i = 0; i < 24; i++)
        peri_buf_puts(&b, "]}");
    assert_int_equal(peri_pattern_compile_json(peri_buf_text(&b), b.len, &p, &err), PERI_EINVAL);
    assert_string_equal(err.code, "pattern-or");
    peri_buf_finish(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_anything_but),
        cmocka_unit_test(test_exists),
        cmocka_unit_test(test_cidr),
        cmocka_unit_test(test_or),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_extensions),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_yaml_nodes),
        cmocka_unit_test(test_broken_events),
        cmocka_unit_test(test_deep_patterns),
        cmocka_unit_test(test_why),
        cmocka_unit_test(test_large_events),
        cmocka_unit_test(test_wide_or),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
