/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "data/json.h"
#include "data/yaml.h"

static const char *const tags[] = {"!secret", "!env", "!input", NULL};

static struct peri_yaml_doc *parse_ok(const char *text)
{
    struct peri_yaml_doc *doc = NULL;
    struct peri_diag diag;
    peri_diag_init(&diag);
    if (peri_yaml_parse("t.yaml", text, strlen(text), tags, &doc, &diag) != PERI_OK) {
        for (size_t i = 0; i < diag.count; i++)
            print_message("%d:%d %s\n", diag.items[i].line, diag.items[i].column, diag.items[i].message);
        fail_msg("refused: %s", text);
    }
    assert_int_equal(diag.count, 0);
    peri_diag_finish(&diag);
    return doc;
}

static enum peri_status resolve(
    void *ctx, const struct peri_node *node, struct peri_value **ret, struct peri_error *err)
{
    char text[64];
    snprintf(text, sizeof(text), "<%s %s>", node->tag, node->text);
    *ret = peri_value_str(text);
    return PERI_OK;
}

static void gives(const char *yaml, const char *json)
{
    struct peri_yaml_doc *doc = parse_ok(yaml);
    struct peri_value *v = NULL;
    assert_int_equal(doc->count, 1);
    assert_int_equal(peri_node_value(doc->roots[0], resolve, NULL, &v, NULL), PERI_OK);
    char *text = peri_json_text(v, PERI_JSON_COMPACT);
    assert_string_equal(text, json);
    free(text);
    peri_value_unref(v);
    peri_yaml_destroy(doc);
}

/* What is found, as "line:column code" joined by "; ". */
static void findings_of(const char *text, size_t len, struct peri_buf *out)
{
    struct peri_yaml_doc *doc = NULL;
    struct peri_diag diag;
    peri_diag_init(&diag);
    enum peri_status st = peri_yaml_parse("t.yaml", text, len, tags, &doc, &diag);
    assert_int_equal(st, diag.errors ? PERI_EINVAL : PERI_OK);
    for (size_t i = 0; i < diag.count; i++) {
        struct peri_finding *f = &diag.items[i];
        assert_string_equal(f->file, "t.yaml");
        peri_buf_printf(out, "%s%d:%d %s", i ? "; " : "", f->line, f->column, f->code);
        if (getenv("SHOW"))
            print_message("%-30.30s | %d:%d %s (%s)\n", text, f->line, f->column, f->message, f->hint ? f->hint : "");
    }
    peri_diag_finish(&diag);
    if (st == PERI_OK)
        peri_yaml_destroy(doc);
}

static void findsn(const char *text, size_t len, const char *wanted)
{
    struct peri_buf out;
    peri_buf_init(&out, 1 << 16);
    findings_of(text, len, &out);
    if (strcmp(peri_buf_text(&out), wanted) != 0)
        fail_msg("%.200s\n gives   %s\n and not %s", text, peri_buf_text(&out), wanted);
    peri_buf_finish(&out);
}

static void finds(const char *text, const char *wanted)
{
    findsn(text, strlen(text), wanted);
}

static void test_core_schema(void **state)
{
    gives("[yes, no, on, off, y, n, 08:30, 1_000, 0b1, 1e, +, ., -, '', 12e03x]",
        "[\"yes\",\"no\",\"on\",\"off\",\"y\",\"n\",\"08:30\",\"1_000\",\"0b1\",\"1e\",\"+\",\".\",\"-\",\"\","
        "\"12e03x\"]");
    gives("[null, Null, NULL, ~, nuLL]", "[null,null,null,null,\"nuLL\"]");
    gives("[true, True, TRUE, false, False, FALSE, tRUE]", "[true,true,true,false,false,false,\"tRUE\"]");
    gives("[0, -0, 010, +7, -12, 0o17, 0xfF, 9223372036854775807, -9223372036854775808]",
        "[0,0,10,7,-12,15,255,9223372036854775807,-9223372036854775808]");
    gives("[0o8, 0x, -0x1, 0xg]", "[\"0o8\",\"0x\",\"-0x1\",\"0xg\"]");
    gives("[1.5, .5, 1., 1e3, -1.25E-2, 2026-01-02, 1.2.3]", "[1.5,0.5,1.0,1000.0,-0.0125,\"2026-01-02\",\"1.2.3\"]");
    gives("['1', \"true\", !!str 5, !!int 5, !!float 5, ! 7]", "[\"1\",\"true\",\"5\",5,5.0,\"7\"]");
    gives("a:\nb: |\n  x\n  y\nc: >-\n  x\n  y\n", "{\"a\":null,\"b\":\"x\\ny\\n\",\"c\":\"x y\"}");
}

static void test_structures(void **state)
{
    gives("on: yes\nlist:\n- 1\n- [2, {x: y}]\n", "{\"on\":\"yes\",\"list\":[1,[2,{\"x\":\"y\"}]]}");
    gives("a: &x {k: [1]}\nb: *x\nc: [*x, *x]\n",
        "{\"a\":{\"k\":[1]},\"b\":{\"k\":[1]},\"c\":[{\"k\":[1]},{\"k\":[1]}]}");
    gives("token: !secret twilio\nport: !env 8080\n", "{\"token\":\"<!secret twilio>\",\"port\":\"<!env 8080>\"}");
    gives("\xEF\xBB\xBF"
          "a: 1\n",
        "{\"a\":1}");
    gives("!!map\na: !!seq [1]\n", "{\"a\":[1]}");
    gives("--- \n# only a comment\n---\na: 1\n---\n", "{\"a\":1}");
    struct peri_yaml_doc *doc = parse_ok("a: 1\n---\nb: 2\n---\n~\n");
    assert_int_equal(doc->count, 3);
    peri_yaml_destroy(doc);
    doc = parse_ok("");
    assert_int_equal(doc->count, 0);
    peri_yaml_destroy(doc);
    doc = parse_ok("# nothing\n");
    assert_int_equal(doc->count, 0);
    peri_yaml_destroy(doc);
}

static void place_is(const struct peri_node *node, int line, int column)
{
    assert_non_null(node);
    if (node->place.line != line || node->place.column != column)
        fail_msg("at %d:%d, not %d:%d", node->place.line, node->place.column, line, column);
}

static void test_places(void **state)
{
    struct peri_yaml_doc *doc = parse_ok("# c\nä: &x\n  # c\n  öö: \"é\" \nb: &y   5\nc: !env X\nd: &z !env X\r\ne:\n  "
                                         "- |\n    t\n  - \"p\xE2\x80\xA8q\"\nf: 1\n");
    struct peri_node *root = doc->roots[0], *key;
    place_is(root, 2, 1);
    struct peri_node *a = peri_node_get(root, "ä", &key);
    place_is(key, 2, 1);
    place_is(a, 4, 3);
    place_is(peri_node_get(a, "öö", &key), 4, 7);
    place_is(key, 4, 3);
    place_is(peri_node_get(root, "b", NULL), 5, 9);
    place_is(peri_node_get(root, "c", NULL), 6, 4);
    assert_string_equal(peri_node_get(root, "c", NULL)->tag, "!env");
    place_is(peri_node_get(root, "d", NULL), 7, 7);
    place_is(peri_node_get(root, "e", NULL), 9, 3);
    place_is(peri_node_at_pointer(root, "/e/0"), 9, 5);
    /* U+2028 breaks no line for an editor. */
    place_is(peri_node_get(root, "f", &key), 12, 4);
    assert_string_equal(doc->roots[0]->place.file, "t.yaml");
    assert_null(peri_node_get(root, "g", NULL));
    assert_null(peri_node_get(a->pairs[0].value, "g", NULL));
    peri_yaml_destroy(doc);
}

static void test_pointers(void **state)
{
    struct peri_yaml_doc *doc = parse_ok("a/b:\n  m~n: [x, y]\n'': z\n");
    const struct peri_node *root = doc->roots[0];
    assert_string_equal(peri_node_at_pointer(root, "/a~1b/m~0n/1")->text, "y");
    place_is(peri_node_at_pointer(root, "/a~1b/m~0n/7"), 2, 8);
    place_is(peri_node_at_pointer(root, "/a~1b/zz/1/2"), 2, 3);
    assert_string_equal(peri_node_at_pointer(root, "/")->text, "z");
    assert_ptr_equal(peri_node_at_pointer(root, ""), root);
    assert_ptr_equal(peri_node_at_pointer(root, "/a~1bc"), root);
    assert_string_equal(peri_node_describe(root), "a mapping");
    assert_string_equal(peri_node_describe(peri_node_at_pointer(root, "/a~1b/m~0n")), "a list");
    peri_yaml_destroy(doc);
}

static void test_refusals(void **state)
{
    finds("a: 1\nb: 2\na: 3\n", "3:1 duplicate-key");
    finds("a: 1\n\"a\": 2\nb: {x: 1, x: 2}\n", "3:11 duplicate-key; 2:1 duplicate-key");
    finds("base: &b {x: 1}\nc:\n  <<: *b\n", "3:3 merge-key");
    finds("a: !foo x\n", "1:4 unknown-tag");
    finds("a: !secrt x\n", "1:4 unknown-tag");
    finds("a: !!set {x}\n", "1:4 unknown-tag");
    finds("a: !!int x\n", "1:4 unknown-tag");
    finds("a: !secret [x]\n", "1:4 bad-tag");
    finds("a: *nope\n", "1:4 unknown-alias");
    finds("a: &a [*a]\n", "1:8 unknown-alias");
    finds("---\na: &x 1\n---\nb: *x\n", "4:4 unknown-alias");
    finds("1: a\n", "1:1 bad-key");
    finds("true: a\n", "1:1 bad-key");
    finds("? [a]\n: b\n", "1:3 bad-key");
    finds(": b\n", "1:1 yaml-syntax");
    finds("{: b}\n", "1:2 yaml-syntax");
    finds("!env x: b\n", "1:1 bad-key");
    finds("a: .inf\nb: .NaN\nc: 1e999\nd: 9223372036854775808\ne: 0xFFFFFFFFFFFFFFFF\n",
        "1:4 bad-number; 2:4 bad-number; 3:4 bad-number; 4:4 bad-number; 5:4 bad-number");
    finds("a: \"x\\0y\"\n", "1:4 yaml-encoding");
    finds("a: 1\na: 2\nb: !x y\nc: [\n", "3:4 unknown-tag; 4:4 yaml-syntax");
}

static void test_templates_need_quotes(void **state)
{
    finds("to: {{ event.x }}\n", "1:5 yaml-syntax");
    finds("a:\n  - to: {{ event.x }} and more\n", "2:9 yaml-syntax");
    finds("a: {{ x[0] == \"b\" }}\nb: 1\n", "1:4 yaml-syntax");
    finds("a: {{ x | default('@') }}\n", "1:4 yaml-syntax");
    finds("- {{ x }}\n- {{ y }}\n", "1:3 yaml-syntax; 2:3 yaml-syntax");
    finds("{{ x }}: 1\n", "1:1 yaml-syntax");
    gives("a: \"{{ x }}\"\nb: x {{ y }}\n", "{\"a\":\"{{ x }}\",\"b\":\"x {{ y }}\"}");
}

static void test_syntax(void **state)
{
    finds("a: \"abc\nb: 1\n", "1:4 yaml-syntax");
    finds("a: 'abc\n", "1:4 yaml-syntax");
    finds("a: 'it's'\n", "1:8 yaml-syntax");
    finds("a:\n  -b: 1\n    c: 2\n", "2:3 yaml-syntax");
    finds("a: *x\n  b: 1\n", "1:4 unknown-alias");
    finds("a: !x y\n  b: 1\n", "1:4 unknown-tag");
    finds("a: Re: b\n", "1:6 yaml-syntax");
    finds("a: 1\n  b: 2\n", "2:3 yaml-syntax");
    finds("a:\n  - operator x\n    params: {}\n", "2:5 yaml-syntax");
    finds("name\ntrigger: x\n", "1:1 yaml-syntax");
    finds("a: 1\nname\ntrigger: x\n", "2:1 yaml-syntax");
    finds("a:\n\tb: 1\n", "2:1 yaml-syntax");
    finds("a:\n  b: 1\n\tc: 1\n", "3:1 yaml-syntax");
    finds("a: @x\n", "1:4 yaml-syntax");
    finds("a: `x`\n", "1:4 yaml-syntax");
    finds("a: %x\n", "1:4 yaml-syntax");
    finds("cron: */5 * * * *\n", "1:7 yaml-syntax");
    finds("cron: * * * * *\n", "1:7 yaml-syntax");
    finds("a: &\n", "1:4 yaml-syntax");
    finds("a: [1, 2\nb: 3\n", "1:4 yaml-syntax");
    finds("a: {x: 1\n", "1:4 yaml-syntax");
    finds("a: [1, 2}\n", "1:9 yaml-syntax");
    finds("a: 1]\nb: ]\n", "2:4 yaml-syntax");
    finds("a:\n  - x\n b: 1\n", "3:2 yaml-syntax");
    finds("a:\n    b: 1\n  c: 2\n", "3:3 yaml-syntax");
    finds("a: 1\n- b\n", "2:1 yaml-syntax");
    finds("a: - b\n", "1:4 yaml-syntax");
    finds("a: \"\\q\"\n", "1:5 yaml-syntax");
    finds("a: \"\\xZZ\"\n", "1:7 yaml-syntax");
    finds("a: \"x\" y\n", "1:8 yaml-syntax");
    finds("a: | text\n  x\n", "1:6 yaml-syntax");
    finds("a: !<x\n", "1:4 yaml-syntax");
    finds("a: !n!x y\n", "1:4 yaml-syntax");
    finds("%FOO bar\na: 1\n", "1:1 yaml-syntax");
}

static void test_encoding(void **state)
{
    finds("a: 1\nb: x\xFFy\n", "2:5 yaml-encoding");
    finds("ää: \xC0\x80\n", "1:5 yaml-encoding");
    finds("a: \x07\n", "1:4 yaml-encoding");
    finds("a: x\xEF\xBB\xBFy\n", "1:5 yaml-encoding");
    findsn("a: 1\r\nb\0: 2\n", 12, "2:2 yaml-encoding");
    findsn("\xFF\xFE"
           "a\0",
        4, "1:1 yaml-encoding");
}

static void test_caps(void **state)
{
    struct peri_buf b, out;
    peri_buf_init(&b, 4u << 20);
    for (int i = 0; i < 10000; i++)
        peri_buf_putc(&b, '[');
    findsn(b.data, b.len, "1:65 yaml-limit");
    peri_buf_reset(&b);
    for (int i = 0; i < 500000; i++)
        peri_buf_puts(&b, "- ");
    findsn(b.data, b.len, "1:129 yaml-limit");

    peri_buf_reset(&b); /* the billion laughs */
    peri_buf_puts(&b, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 12; i++) {
        peri_buf_printf(&b, "a%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++)
            peri_buf_printf(&b, "%s*a%d", k ? "," : "", i - 1);
        peri_buf_puts(&b, "]\n");
    }
    peri_buf_init(&out, 1000);
    findings_of(b.data, b.len, &out);
    assert_string_equal(peri_buf_text(&out) + strcspn(peri_buf_text(&out), " "), " yaml-limit");

    peri_buf_reset(&b); /* depth by aliases */
    peri_buf_puts(&b, "a0: &a0 [x]\n");
    for (int i = 1; i < 70; i++)
        peri_buf_printf(&b, "a%d: &a%d [*a%d]\n", i, i, i - 1);
    peri_buf_reset(&out);
    findings_of(b.data, b.len, &out);
    assert_string_equal(peri_buf_text(&out), "64:12 yaml-limit");

    peri_buf_reset(&b);
    peri_buf_putc(&b, '[');
    for (int i = 0; i < 400000; i++)
        peri_buf_puts(&b, "1,");
    findsn(b.data, b.len, "1:200000 yaml-limit");

    peri_buf_reset(&b);
    while (b.len <= PERI_YAML_MAX_BYTES)
        peri_buf_puts(&b, "# a long comment that says nothing at all\n");
    findsn(b.data, b.len, "0:0 yaml-limit");

    peri_buf_reset(&b);
    for (int i = 0; i < 1000; i++)
        peri_buf_puts(&b, "k: 1\n");
    peri_buf_reset(&out);
    findings_of(b.data, b.len, &out); /* bounded, not one for each of 999 */
    assert_true(out.len < 50 * 30);
    peri_buf_finish(&b);
    peri_buf_finish(&out);
}

static void load_gives(const char *path, const char *code)
{
    struct peri_yaml_doc *doc;
    struct peri_diag diag;
    peri_diag_init(&diag);
    assert_int_equal(peri_yaml_load(path, tags, &doc, &diag), PERI_EINVAL);
    assert_int_equal(diag.count, 1);
    assert_int_equal(diag.items[0].line, 0);
    assert_string_equal(diag.items[0].code, code);
    assert_string_equal(diag.items[0].file, path);
    peri_diag_finish(&diag);
}

static void test_files(void **state)
{
    char dir[] = "/tmp/perigee-yaml-XXXXXX", path[128];
    assert_non_null(mkdtemp(dir));
    load_gives(dir, "unreadable");
    snprintf(path, sizeof(path), "%s/missing.yaml", dir);
    load_gives(path, "unreadable");
    snprintf(path, sizeof(path), "%s/fifo.yaml", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    load_gives(path, "unreadable");
    unlink(path);
    snprintf(path, sizeof(path), "%s/big.yaml", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i < 50000; i++)
        fputs("# thirty characters of comment\n", f);
    fclose(f);
    load_gives(path, "yaml-limit");
    unlink(path);
    rmdir(dir);
}

static void test_tag_without_resolver(void **state)
{
    struct peri_yaml_doc *doc = parse_ok("a: !env X\n");
    struct peri_value *v = NULL;
    struct peri_error err;
    assert_int_equal(peri_node_value(doc->roots[0], NULL, NULL, &v, &err), PERI_EINVAL);
    assert_string_equal(err.message, "!env cannot be used here");
    peri_yaml_destroy(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_core_schema),
        cmocka_unit_test(test_structures),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_pointers),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_templates_need_quotes),
        cmocka_unit_test(test_syntax),
        cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_caps),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_tag_without_resolver),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
