/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "data/format.h"
#include "data/json.h"
#include "data/schema.h"

static struct peri_value *json(const char *text)
{
    struct peri_value *v = NULL;
    struct peri_error err = {0};
    if (peri_json_parse(text, strlen(text), &v, &err))
        fail_msg("%s: %s", text, err.message);
    return v;
}

static struct peri_schema *compiled(const char *text)
{
    struct peri_value *v = json(text);
    struct peri_schema *schema = NULL;
    struct peri_error err = {0};
    if (peri_schema_compile(v, &schema, &err))
        fail_msg("%s: %s", text, err.message);
    peri_value_unref(v);
    return schema;
}

/* The errors of data under schema as "pointer keyword: message" joined by "; ". */
static char *errors_of(const char *schema_text, const char *data_text)
{
    struct peri_schema *schema = compiled(schema_text);
    struct peri_value *data = json(data_text);
    struct peri_schema_report report;
    struct peri_buf out;
    peri_buf_init(&out, 1 << 20);
    enum peri_status st = peri_schema_check(schema, data, &report);
    assert_int_equal(st, report.count ? PERI_EINVAL : PERI_OK);
    assert_int_equal(peri_schema_check(schema, data, NULL), st);
    for (size_t i = 0; i < report.count; i++)
        peri_buf_printf(&out, "%s%s %s: %s", i ? "; " : "", report.items[i].pointer, report.items[i].keyword,
            report.items[i].message);
    peri_schema_report_finish(&report);
    peri_value_unref(data);
    peri_schema_destroy(schema);
    return peri_buf_take(&out, NULL);
}

static void gives(const char *schema, const char *data, const char *wanted)
{
    char *text = errors_of(schema, data);
    if (strcmp(text, wanted) != 0)
        fail_msg("%s under %s\n gives   %s\n and not %s", data, schema, text, wanted);
    free(text);
}

static void passes(const char *schema, const char *data)
{
    gives(schema, data, "");
}

/* Fails with exactly this keyword, at this pointer. */
static void fails(const char *schema, const char *data, const char *where)
{
    char *text = errors_of(schema, data);
    size_t n = strlen(where);
    if (strncmp(text, where, n) != 0 || text[n] != ':' || strstr(text, "; "))
        fail_msg("%s under %s\n gives   %s\n and not %s", data, schema, text, where);
    free(text);
}

static void refused(const char *schema_text, const char *message)
{
    struct peri_value *v = json(schema_text);
    struct peri_schema *schema = NULL;
    struct peri_error err = {0};
    assert_int_equal(peri_schema_compile(v, &schema, &err), PERI_EINVAL);
    if (!strstr(err.message, message))
        fail_msg("%s\n gives   %s\n and not %s", schema_text, err.message, message);
    peri_value_unref(v);
}

static void test_types(void **state)
{
    passes("true", "1");
    fails("false", "1", " false");
    passes("{}", "null");
    passes("{\"type\":\"integer\"}", "1.0");
    gives("{\"type\":\"integer\"}", "1.5", " type: must be an integer, is a number");
    gives("{\"type\":\"string\"}", "3", " type: must be a string, is an integer");
    gives("{\"type\":[\"string\",\"null\"]}", "[]", " type: must be null or a string, is an array");
    passes("{\"type\":[\"string\",\"null\"]}", "null");
    passes("{\"type\":\"number\"}", "3");
    fails("{\"type\":\"number\"}", "\"3\"", " type");
    fails("{\"type\":\"boolean\"}", "0", " type");
    fails("{\"type\":\"object\"}", "[]", " type");
}

static void test_values(void **state)
{
    passes("{\"const\":1}", "1.0");
    passes("{\"const\":{\"a\":1,\"b\":[2]}}", "{\"b\":[2.0],\"a\":1}");
    gives("{\"const\":null}", "0", " const: must be null");
    passes("{\"enum\":[1,\"a\",null]}", "null");
    gives("{\"enum\":[1,\"a\",null]}", "false", " enum: must be one of 1, \"a\", null");
    fails("{\"enum\":[]}", "1", " enum");
    fails("{\"const\":false}", "0", " const");
}

static void test_numbers(void **state)
{
    gives("{\"minimum\":3}", "2.5", " minimum: must be at least 3, is 2.5");
    passes("{\"minimum\":3}", "3");
    passes("{\"minimum\":3}", "\"2\"");
    fails("{\"exclusiveMinimum\":3}", "3", " exclusiveMinimum");
    fails("{\"exclusiveMaximum\":3}", "3.0", " exclusiveMaximum");
    fails("{\"maximum\":9007199254740992}", "9007199254740993", " maximum");
    passes("{\"multipleOf\":0.0001}", "0.0075");
    fails("{\"multipleOf\":0.0001}", "0.00751", " multipleOf");
    passes("{\"multipleOf\":0.01}", "19.99");
    passes("{\"multipleOf\":1e-8}", "12391239123");
    passes("{\"multipleOf\":2}", "-4");
    fails("{\"multipleOf\":2}", "7", " multipleOf");
    fails("{\"multipleOf\":0.123456789}", "1e308", " multipleOf");
    passes("{\"multipleOf\":0.5}", "1e308");
    passes("{\"multipleOf\":0.1}", "0");
    passes("{\"multipleOf\":1.5}", "4.5");
    fails("{\"multipleOf\":1e300}", "1e-300", " multipleOf");
}

static void test_texts(void **state)
{
    passes("{\"maxLength\":2}", "\"\\u00e9\\ud83d\\ude00\"");
    gives("{\"minLength\":3}", "\"\\u00e9\\ud83d\\ude00\"", " minLength: must have at least 3 characters, has 2");
    passes("{\"minLength\":2.0}", "\"ab\"");
    passes("{\"pattern\":\"b\"}", "\"abc\"");
    gives("{\"pattern\":\"^b\"}", "\"abc\"", " pattern: must match /^b/");
    fails("{\"pattern\":\"a$\"}", "\"a\\n\"", " pattern");
    fails("{\"pattern\":\"^\\\\d$\"}", "\"\\u0663\"", " pattern");
    passes("{\"pattern\":\"^\\\\u00e9$\"}", "\"\\u00e9\"");
    passes("{\"pattern\":\"a\"}", "5");
    fails(
        "{\"pattern\":\"^(a+)+$\"}", "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\"", " pattern");
}

static void test_lists(void **state)
{
    fails("{\"items\":{\"type\":\"string\"}}", "[\"a\",1]", "/1 type");
    passes("{\"items\":false}", "[]");
    fails("{\"items\":false}", "[1]", "/0 items");
    gives("{\"minItems\":1}", "[]", " minItems: must have at least 1 item, has 0");
    fails("{\"maxItems\":1}", "[1,2]", " maxItems");
    passes("{\"uniqueItems\":true}", "[1,true,\"1\",[1],{\"a\":1},null,0,false,\"\",[],{}]");
    gives("{\"uniqueItems\":true}", "[3,{\"a\":1,\"b\":2},1,{\"b\":2.0,\"a\":1}]",
        " uniqueItems: items 1 and 3 are equal");
    fails("{\"uniqueItems\":true}", "[0, -0.0]", " uniqueItems");
    passes("{\"uniqueItems\":false}", "[1,1]");
}

static void test_long_list_is_fast(void **state)
{
    struct peri_buf b;
    peri_buf_init(&b, 1 << 20);
    peri_buf_putc(&b, '[');
    for (int i = 0; i < 30000; i++)
        peri_buf_printf(&b, "%d,", i);
    peri_buf_puts(&b, "29999]");
    gives("{\"uniqueItems\":true}", b.data, " uniqueItems: items 29999 and 30000 are equal");
    peri_buf_finish(&b);
}

static void test_objects(void **state)
{
    const char *schema = "{\"type\":\"object\",\"properties\":{\"count\":{\"type\":\"integer\",\"minimum\":1},\"a/"
                         "b\":{\"items\":{\"maximum\":1}}},"
                         "\"required\":[\"count\"],\"additionalProperties\":false}";
    gives(schema, "{}", " required: \"count\" is missing");
    gives(schema, "{\"cuont\":3}",
        " required: \"count\" is missing; /cuont additionalProperties: unknown member \"cuont\" (did you mean "
        "\"count\"?)");
    gives(schema, "{\"count\":0,\"a/b\":[1,2],\"q~\":1}",
        "/count minimum: must be at least 1, is 0; /a~1b/1 maximum: must be at most 1, is 2; /q~0 "
        "additionalProperties: unknown member \"q~\"");
    fails("{\"additionalProperties\":{\"type\":\"string\"}}", "{\"x\":1}", "/x type");
    fails("{\"properties\":{\"x\":false}}", "{\"x\":1}", "/x properties");
    fails("{\"minProperties\":1}", "{}", " minProperties");
    fails("{\"maxProperties\":0}", "{\"a\":1}", " maxProperties");
    passes("{\"required\":[\"a\"]}", "[]");
    passes("{\"required\":[\"a\"]}", "{\"a\":null}");
}

static void test_at_most_100_errors(void **state)
{
    struct peri_buf b;
    peri_buf_init(&b, 1 << 20);
    peri_buf_putc(&b, '[');
    for (int i = 0; i < 500; i++)
        peri_buf_puts(&b, "1,");
    peri_buf_puts(&b, "1]");
    struct peri_schema *schema = compiled("{\"items\":{\"type\":\"string\"}}");
    struct peri_value *data = json(b.data);
    struct peri_schema_report report;
    assert_int_equal(peri_schema_check(schema, data, &report), PERI_EINVAL);
    assert_int_equal(report.count, 100);
    peri_schema_report_finish(&report);
    peri_value_unref(data);
    peri_schema_destroy(schema);
    peri_buf_finish(&b);
}

static void test_secrets_count_as_text(void **state)
{
    passes("{\"type\":\"string\",\"minLength\":40,\"pattern\":\"^x\",\"format\":\"uuid\"}", "{\"$secret\":\"twilio\"}");
    gives("{\"type\":\"integer\"}", "{\"$secret\":\"twilio\"}", " type: must be an integer, is a secret");
    fails("{\"type\":\"string\"}", "{\"$secret\":1}", " type");
    fails("{\"type\":\"string\"}", "{\"$secret\":\"a\",\"b\":1}", " type");
}

static void test_refused_schemas(void **state)
{
    refused("{\"properties\":{\"a\":{\"minimun\":1}}}",
        "at /properties/a: the keyword \"minimun\" is not supported (did you mean \"minimum\"?)");
    refused("{\"$ref\":\"#/x\"}", "schema at the root: the keyword \"$ref\" is not supported");
    refused("{\"oneOf\":[]}", "not supported");
    refused("{\"if\":{}}", "not supported");
    refused("{\"required\":[\"a\",\"a\"]}", "at /required: a name is there twice");
    refused("{\"required\":\"a\"}", "at /required");
    refused("{\"multipleOf\":0}", "at /multipleOf: must be a number above 0");
    refused("{\"multipleOf\":-1}", "above 0");
    refused("{\"title\":5}", "at /title: must be a text");
    refused("{\"deprecated\":\"yes\"}", "must be true or false");
    refused("{\"examples\":1}", "must be a list");
    refused("{\"type\":\"strin\"}", "at /type: a type is one of");
    refused("{\"type\":[]}", "empty");
    refused("{\"type\":[\"null\",\"null\"]}", "twice");
    refused("{\"items\":[{}]}", "at /items: must be one schema");
    refused("{\"minLength\":-1}", "at /minLength");
    refused("{\"minLength\":1.5}", "at /minLength");
    refused("{\"pattern\":\"(\"}", "at /pattern: no regular expression: at character");
    refused("{\"format\":\"colour\"}", "at /format: must be one of date-time");
    refused("{\"enum\":1}", "at /enum");
    refused("{\"uniqueItems\":1}", "at /uniqueItems");
    refused("{\"minimum\":\"1\"}", "at /minimum");
    refused("{\"additionalProperties\":1}", "at /additionalProperties: a schema must be an object, true or false");
    refused("{\"$id\":\"a#b\"}", "at /$id");
    refused("5", "a schema must be an object");
    passes("{\"$schema\":\"s\",\"$id\":\"http://x/"
           "y\",\"$comment\":\"c\",\"title\":\"t\",\"description\":\"d\",\"examples\":[],"
           "\"deprecated\":true,\"readOnly\":true,\"writeOnly\":false,\"default\":5}",
        "1");
}

static void defaults_give(const char *schema_text, const char *data_text, const char *wanted)
{
    struct peri_schema *schema = compiled(schema_text);
    struct peri_value *data = json(data_text), *filled = NULL;
    assert_int_equal(peri_schema_defaults(schema, data, &filled), PERI_OK);
    char *text = peri_json_text(filled, PERI_JSON_COMPACT), *before = peri_json_text(data, PERI_JSON_COMPACT);
    assert_string_equal(text, wanted);
    assert_string_equal(before, data_text); /* the data itself stays */
    free(text);
    free(before);
    peri_value_unref(filled);
    peri_value_unref(data);
    peri_schema_destroy(schema);
}

static void test_defaults(void **state)
{
    const char *schema = "{\"default\":7,\"properties\":{\"a\":{\"default\":1},\"o\":{\"default\":{},\"properties\":{"
                         "\"x\":{\"default\":[2]}}},"
                         "\"l\":{\"items\":{\"properties\":{\"y\":{\"default\":null}}}}}}";
    defaults_give(schema, "{}", "{\"a\":1,\"o\":{\"x\":[2]}}");
    defaults_give(schema, "{\"a\":null,\"o\":{\"x\":3},\"l\":[{},1,{\"y\":2}]}",
        "{\"a\":null,\"o\":{\"x\":3},\"l\":[{\"y\":null},1,{\"y\":2}]}");
    defaults_give(schema, "5", "5");
    defaults_give(schema, "{\"o\":{\"$secret\":\"s\"}}", "{\"o\":{\"$secret\":\"s\"},\"a\":1}");
}

static void format_is(const char *name, const char *text, bool wanted)
{
    peri_format_fn fn = peri_format_find(name);
    assert_non_null(fn);
    char *copy = malloc(strlen(text) + 1); /* exactly as long as it is, for the sanitizer */
    assert_non_null(copy);
    memcpy(copy, text, strlen(text));
    bool is = fn(copy, strlen(text));
    free(copy);
    if (is != wanted)
        fail_msg("%s %s: %d", name, text, is);
}

/* Texts separated by '|', the good ones first. */
static void format_table(const char *name, const char *good, const char *bad)
{
    for (int pass = 0; pass < 2; pass++) {
        char *all = strdup(pass ? bad : good), *rest = all, *one;
        assert_non_null(all);
        while ((one = strsep(&rest, "|")))
            format_is(name, one, pass == 0);
        free(all);
    }
}

static void test_formats(void **state)
{
    format_table("date-time",
        "1963-06-19T08:30:06.283185Z|1963-06-19t08:30:06z|1990-12-31T23:59:60Z|1990-12-31T15:59:60.1-08:00|2024-02-"
        "29T00:00:00+23:59",
        "|1998-12-31T23:58:60Z|1990-02-31T15:59:59Z|2023-02-29T00:00:00Z|1963-06-19T08:30:06|1963-06-19T08:30:06.Z|"
        "1963-06-19 08:30:06Z|"
        "1963-06-19T24:00:00Z|1963-06-19T08:30:06+24:00|06/19/1963|1963-6-19T08:30:06Z|1963-06-19T08:30:06Zx");
    format_table("date", "1963-06-19|2020-02-29|0000-01-01",
        "1963-13-01|2021-02-29|1998-1-20|1963-06-1\xE0\xA7\xAA|20200101|2020-01-00");
    format_table("time", "08:30:06Z|23:59:60Z|01:29:60+01:30|08:30:06.5-08:00",
        "08:30:06|22:59:60Z|08:30:06 PST|24:00:00Z|8:30:06Z|08:30:06-8:00");
    format_table("duration", "P4DT12H30M5S|P4Y|PT0S|P1M|PT1M|PT36H|P1DT12H|P2W|P1Y2M3DT4H",
        "|P|PT|P1|4DT12H|P2D1Y|P1D2H|P2S|P1YT|P1Y2W|PT1D|P1Y1D|PT1H1S|P\xDB\xB2Y|PW");
    format_table("email",
        "joe.bloggs@example.com|te~st@example.com|\"joe "
        "bloggs\"@example.com|\"a\\\"b\"@x.org|joe@[127.0.0.1]|joe@[IPv6:::1]",
        "|2962|.test@example.com|test.@example.com|te..st@example.com|joe "
        "bloggs@example.com|a@|@b|a@-b.c|joe@[300.0.0.1]|a@b@");
    format_table("hostname", "www.example.com|localhost|a-b.c|1a.2b|xn--4gbwdl",
        "|-a.b|a-.b|a..b|.a|a.|not_valid|\xC3\xA9.de|a b");
    format_table("ipv4", "192.168.0.1|0.0.0.0|255.255.255.255",
        "|127.0.0.0.1|256.1.1.1|127.0|01.1.1.1|1.1.1.1 |0x7f.0.0.1|1.1.1.");
    format_table("ipv6", "::1|::|1:2::8|::ffff:192.168.0.1|fe80:0:0:0:0:0:0:1",
        "|12345::|1:1:1:1:1:1:1:1:1|::laptop|fe80::a%eth1|1::1::1|127.0.0.1|::ffff:1.2.3.256");
    format_table("uri",
        "http://foo.bar/?baz=qux#quux|http://foo.com/blah_(wikipedia)#cite-1|urn:oasis:names|mailto:a@b.c|http://"
        "[::1]:80/a|tel:+1-816|ldap://[2001:db8::7]/c=GB?o?x|file:///x|x:",
        "|//foo.bar/?x|/abs|abc|1x://y|http:// x|:// should fail|http://foo.com/a "
        "b|http://x/%zz|http://[::1/|http://a:x/b|\\\\WINDOWS|http://x/\xC3\xA9|a:b#c#d");
    format_table("uri-reference", "http://foo.bar|/abc|abc|?q|#frag||//x/y|./a:b|sensors/tn-1",
        "\\\\WIN|#frag\\ment|a b|<x>|%|1:2|{x}");
    format_table("uuid", "2EB8AA08-aa98-11ea-b4aa-73b441d16380|00000000-0000-0000-0000-000000000000",
        "|2eb8aa08-aa98-11ea-b4aa-73b441d1638|2eb8aa08aa9811eab4aa73b441d16380|2eb8aa08-aa98-11ea-b4ga-73b441d16380|"
        "2eb8-aa08-aa98-11ea-b4aa73b44-1d16380");
    format_table("regex", "^a(b)?$|[0-9]+|", "^(abc]|[a");
    assert_null(peri_format_find("colour"));
}

static void test_deep_schema(void **state)
{
    struct peri_value *v = peri_value_map();
    for (int i = 0; i < 200; i++) {
        struct peri_value *outer = peri_value_map();
        assert_int_equal(peri_map_put(outer, "items", v), PERI_OK);
        v = outer;
    }
    struct peri_schema *schema = NULL;
    struct peri_error err = {0};
    assert_int_equal(peri_schema_compile(v, &schema, &err), PERI_EINVAL);
    assert_non_null(strstr(err.message, "nested deeper than 64 schemas"));
    peri_value_unref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_long_list_is_fast),
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_at_most_100_errors),
        cmocka_unit_test(test_secrets_count_as_text),
        cmocka_unit_test(test_refused_schemas),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_deep_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
