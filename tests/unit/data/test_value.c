/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/json.h"
#include "data/value.h"

static struct peri_value *json(const char *text)
{
    struct peri_value *v = NULL;
    assert_int_equal(peri_json_parse(text, strlen(text), &v, NULL), PERI_OK);
    return v;
}

static void test_types(void **state)
{
    static const char *const texts[] = {"null", "true", "5", "5.5", "\"t\"", "[]", "{}"};
    static const char *const names[] = {"null", "boolean", "integer", "number", "string", "array", "object"};
    for (int i = 0; i < 7; i++) {
        struct peri_value *v = json(texts[i]);
        assert_int_equal(peri_value_type(v), i);
        assert_true(peri_value_is(v, (enum peri_type)i));
        assert_string_equal(peri_type_name(peri_value_type(v)), names[i]);
        peri_value_unref(v);
    }
    assert_int_equal(peri_value_type(NULL), PERI_NULL);
    assert_false(peri_value_is(NULL, PERI_NULL)); /* absent is not null */
    assert_null(peri_value_ref(NULL));
    peri_value_unref(NULL);
}

static void test_numbers(void **state)
{
    struct peri_value *v = json("[1e300,-1e300,2.9,\"5\"]");
    assert_true(peri_value_as_int(peri_list_at(v, 0)) == INT64_MAX);
    assert_true(peri_value_as_int(peri_list_at(v, 1)) == INT64_MIN);
    assert_int_equal(peri_value_as_int(peri_list_at(v, 2)), 2);
    assert_int_equal(peri_value_as_int(peri_list_at(v, 3)), 0);
    assert_null(peri_list_at(v, 4));
    peri_value_unref(v);
    assert_null(peri_value_real(NAN));
    assert_null(peri_value_real(INFINITY));
}

static void test_texts(void **state)
{
    size_t len;
    assert_null(peri_value_str("\xFF"));
    struct peri_value *v = peri_value_strn("a\0b", 3);
    assert_memory_equal(peri_value_textn(v, &len), "a\0b", 4);
    assert_int_equal(len, 3);
    peri_value_unref(v);
    v = json("5");
    assert_null(peri_value_text(v));
    assert_null(peri_value_textn(v, &len));
    assert_int_equal(len, 0);
    peri_value_unref(v);
}

static void test_maps_keep_their_order(void **state)
{
    struct peri_value *m = peri_value_map();
    assert_int_equal(peri_map_put_int(m, "z", 1), PERI_OK);
    assert_int_equal(peri_map_put_text(m, "a", "x"), PERI_OK);
    assert_int_equal(peri_map_put_text(m, "none", NULL), PERI_OK);
    assert_int_equal(peri_map_put_bool(m, "m", true), PERI_OK);
    assert_int_equal(peri_map_put_time(m, "t", 1767323045678), PERI_OK);
    assert_int_equal(peri_map_put(m, "n", NULL), PERI_ENOMEM);
    assert_int_equal(peri_map_put_int(m, "z", 2), PERI_OK);
    char *text = peri_json_text(m, PERI_JSON_COMPACT);
    assert_string_equal(text, "{\"z\":2,\"a\":\"x\",\"m\":true,\"t\":\"2026-01-02T03:04:05.678Z\"}");
    free(text);
    assert_int_equal(peri_map_int(m, "z", 9), 2);
    assert_int_equal(peri_map_int(m, "a", 9), 9);
    assert_true(peri_map_bool(m, "q", true));
    assert_string_equal(peri_map_text(m, "a"), "x");
    assert_null(peri_map_text(m, "z"));
    peri_map_drop(m, "z");
    assert_null(peri_map_at(m, "z"));
    assert_int_equal(peri_value_count(m), 3);
    peri_value_unref(m);
    assert_null(peri_map_at(NULL, "a"));
}

static void equal(const char *a, const char *b, bool wanted)
{
    struct peri_value *x = json(a), *y = json(b);
    if (peri_value_equal(x, y) != wanted || peri_value_equal(y, x) != wanted)
        fail_msg("%s and %s", a, b);
    peri_value_unref(x);
    peri_value_unref(y);
}

static void test_equality(void **state)
{
    equal("1", "1.0", true);
    equal("[1,{\"a\":2.0}]", "[1.0,{\"a\":2}]", true);
    equal("{\"a\":1,\"b\":null}", "{\"b\":null,\"a\":1}", true);
    equal("{\"a\":1,\"b\":null}", "{\"a\":1}", false);
    equal("{\"a\":null}", "{\"b\":null}", false);
    equal("9007199254740993", "9007199254740992", false);
    equal("0", "false", false);
    equal("\"1\"", "1", false);
    equal("[]", "{}", false);
    equal("null", "null", true);
    equal("[1,2]", "[2,1]", false);
}

static void test_copies(void **state)
{
    struct peri_value *v = json("{\"l\":[1]}"), *shallow = peri_value_copy(v), *deep = peri_value_copy_deep(v);
    assert_int_equal(peri_list_push(peri_map_at(shallow, "l"), peri_value_int(2)), PERI_OK);
    assert_int_equal(peri_value_count(peri_map_at(v, "l")), 2);
    assert_int_equal(peri_value_count(peri_map_at(deep, "l")), 1);
    assert_int_equal(peri_map_put_int(shallow, "x", 1), PERI_OK);
    assert_null(peri_map_at(v, "x"));
    peri_value_unref(v);
    peri_value_unref(shallow);
    peri_value_unref(deep);
}

static size_t make_key(char *key, unsigned n, size_t pad)
{
    size_t len = (size_t)snprintf(key, 80, "k%u", n);
    memset(key + len, 'x', pad);
    return len + pad;
}

/* Maps of all sizes around where another way of sorting begins, with short keys and with long ones. */
static void test_maps_are_sorted_with_what_they_hold(void **state)
{
    unsigned seed = 7;
    for (size_t n = 0; n < 40; n++)
        for (size_t pad = 0; pad < 60; pad += 29) {
            struct peri_value *map = peri_value_map();
            char key[80], before[80] = "";
            size_t before_len = 0, seen = 0;
            while (peri_value_count(map) < n) {
                unsigned k = (seed = seed * 1103515245u + 12345u) >> 16;
                assert_int_equal(peri_map_putn(map, key, make_key(key, k, pad), peri_value_int(k)), PERI_OK);
            }
            assert_int_equal(peri_map_sort(map), PERI_OK);
            for (void *it = peri_map_first(map); it; it = peri_map_next(map, it), seen++) {
                size_t len;
                const char *got = peri_map_key(it, &len);
                unsigned k = (unsigned)peri_value_as_int(peri_map_item(it));
                assert_int_equal(len, make_key(key, k, pad));
                assert_memory_equal(got, key, len);
                int order = memcmp(before, got, before_len < len ? before_len : len);
                assert_true(seen == 0 || order < 0 || (order == 0 && before_len < len));
                memcpy(before, got, before_len = len);
            }
            assert_int_equal(seen, n);
            peri_value_unref(map);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_maps_keep_their_order),
        cmocka_unit_test(test_maps_are_sorted_with_what_they_hold),
        cmocka_unit_test(test_equality),
        cmocka_unit_test(test_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
