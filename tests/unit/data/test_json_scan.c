/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "data/json.h"
#include "data/json_scan.h"

static void test_items(void **state)
{
    static const char text[] = " {\"a\" : [1.50, \"x\\n\"], \"a\":{}, \"\\u0062\":null}\n";
    struct peri_json_tape tape = {0};
    assert_int_equal(peri_json_scan(text, strlen(text), &tape, NULL), PERI_OK);
    static const struct {
        enum peri_json_kind kind;
        const char *slice, *key;
        uint32_t end;
    } want[] = {
        {PERI_JSON_OBJECT, "{\"a\" : [1.50, \"x\\n\"], \"a\":{}, \"\\u0062\":null}", "", 6},
        {PERI_JSON_ARRAY, "[1.50, \"x\\n\"]", "a", 4},
        {PERI_JSON_NUMBER, "1.50", "", 3},
        {PERI_JSON_STRING, "x\\n", "", 4},
        {PERI_JSON_OBJECT, "{}", "a", 5},
        {PERI_JSON_NULL, "null", "\\u0062", 6},
    };
    assert_int_equal(tape.count, 6);
    for (size_t i = 0; i < 6; i++) {
        const struct peri_json_item *item = &tape.items[i];
        assert_int_equal(item->kind, want[i].kind);
        assert_int_equal(item->end, want[i].end);
        assert_int_equal(item->len, strlen(want[i].slice));
        assert_memory_equal(text + item->off, want[i].slice, item->len);
        assert_int_equal(item->key_len, strlen(want[i].key));
        assert_memory_equal(text + item->key, want[i].key, item->key_len);
    }
    assert_true(tape.items[3].escaped && tape.items[5].key_escaped && !tape.items[1].key_escaped);
    struct peri_value *v = peri_json_item_value(&tape, 1);
    char *back = peri_json_text(v, PERI_JSON_COMPACT);
    assert_string_equal(back, "[1.5,\"x\\n\"]");
    free(back);
    peri_value_unref(v);
    peri_json_tape_finish(&tape);
}

static void test_unescape(void **state)
{
    static const char raw[] = "\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20AC\\ud83d\\ude00\\u0000z";
    static const char want[] = "\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\0z";
    char out[sizeof(raw)];
    size_t len = peri_json_unescape(raw, strlen(raw), out);
    assert_int_equal(len, sizeof(want) - 1);
    assert_memory_equal(out, want, len);
}

/* Where the places of both readers' errors can be compared they agree. */
static void test_errors_have_places(void **state)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"", "line 1, column 1: the text ends before the value"},
        {"{\n \"a\": 1\n \"b\": 2}", "line 3, column 2: a comma or } is expected"},
        {"[1,\n2", "line 2, column 2: a comma or ] is expected"},
        {"{\"\xc3\xa9\" 1}", "line 1, column 6: a colon is expected after the key"},
        {"{1:2}", "line 1, column 2: a key in double quotes is expected"},
        {"[1,]", "line 1, column 4: a value is expected"},
        {"[\"a\nb\"]", "line 1, column 4: control character in a string"},
        {"[\"a\\q\"]", "line 1, column 4: invalid escape in a string"},
        {"[\"\\ud83dx\"]", "line 1, column 3: half a surrogate pair in a string"},
        {"[\"abc", "line 1, column 2: string without an end"},
        {"[-]", "line 1, column 2: malformed number"},
        {"[00]", "line 1, column 2: malformed number"},
        {"{} {}", "line 1, column 4: text after the end of the value"},
        {"[\"\xff\"]", "line 1, column 3: malformed UTF-8"},
    };
    struct peri_json_tape tape = {0};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct peri_error err = {0};
        assert_int_equal(peri_json_scan(rows[i].text, strlen(rows[i].text), &tape, &err), PERI_EINVAL);
        assert_string_equal(err.message, rows[i].message);
    }
    peri_json_tape_finish(&tape);
}

static void test_nodes(void **state)
{
    static const char text[] = "{\"\xc3\xa9\": [true,\n  -1.5e3, \"\\u0041\\u0000\"],\n \"\xc3\xa9\": null}";
    struct peri_arena *arena = peri_arena_create(1 << 20);
    struct peri_node *root;
    assert_int_equal(peri_json_nodes(arena, "x.json", text, strlen(text), &root, NULL), PERI_OK);
    assert_int_equal(root->kind, PERI_NODE_MAP);
    assert_int_equal(root->count, 2);
    assert_string_equal(root->pairs[1].key->text, "\xc3\xa9");
    assert_int_equal(root->pairs[1].key->place.line, 3);
    assert_int_equal(root->pairs[1].key->place.column, 2);
    assert_int_equal(root->pairs[1].value->type, PERI_NULL);
    assert_int_equal(root->pairs[1].value->place.column, 7);
    const struct peri_node *list = root->pairs[0].value;
    assert_int_equal(list->count, 3);
    assert_int_equal(list->items[0]->type, PERI_BOOL);
    assert_int_equal(list->items[1]->type, PERI_REAL);
    assert_string_equal(list->items[1]->text, "-1.5e3");
    assert_int_equal(list->items[1]->place.line, 2);
    assert_int_equal(list->items[1]->place.column, 3);
    assert_int_equal(list->items[2]->type, PERI_STRING);
    assert_int_equal(list->items[2]->len, 2);
    assert_memory_equal(list->items[2]->text, "A\0", 3);
    assert_string_equal(list->items[2]->place.file, "x.json");
    peri_arena_destroy(arena);

    arena = peri_arena_create(100); /* too small: an error, not a fault */
    assert_int_equal(peri_json_nodes(arena, NULL, text, strlen(text), &root, NULL), PERI_ENOMEM);
    peri_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items),
        cmocka_unit_test(test_unescape),
        cmocka_unit_test(test_errors_have_places),
        cmocka_unit_test(test_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
