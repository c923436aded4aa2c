/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"

static bool collect(const char *key, void *value, void *arg)
{
    char *text = arg;
    size_t n = strlen(text);
    snprintf(text + n, 100 - n, "%s=%s ", key, (const char *)value);
    return strcmp(key, "stop") != 0;
}

static void test_set_get_remove(void **state)
{
    struct peri_map *m = peri_map_create();
    void *old = m;
    char key[] = "b", text[100] = "", values[6][2] = {"0", "1", "2", "3", "4", "5"};
    assert_true(peri_map_set(m, key, values[1], &old));
    assert_null(old);
    key[0] = '?'; /* keys are copied */
    assert_true(peri_map_set(m, "a", values[2], NULL));
    assert_true(peri_map_set(m, "b", values[3], &old));
    assert_string_equal(old, "1");
    assert_string_equal(peri_map_get(m, "b"), "3");
    assert_string_equal(peri_map_getn(m, "abc", 1), "2");
    assert_null(peri_map_get(m, "c"));
    assert_int_equal(peri_map_count(m), 2);
    assert_true(peri_map_set(m, "stop", values[4], NULL));
    assert_true(peri_map_set(m, "after", values[5], NULL));
    peri_map_each(m, collect, text);
    assert_string_equal(text, "b=3 a=2 stop=4 "); /* in the order they came, until fn says no */
    assert_string_equal(peri_map_remove(m, "b"), "3");
    assert_null(peri_map_remove(m, "b"));
    assert_null(peri_map_get(m, "b"));
    peri_map_destroy(m, NULL);
    peri_map_destroy(NULL, NULL);
}

static void test_many(void **state)
{
    struct peri_map *m = peri_map_create();
    char key[32];
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof(key), "key-%d", i);
        assert_true(peri_map_set(m, key, strdup(key), NULL));
    }
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof(key), "key-%d", i);
        assert_string_equal(peri_map_get(m, key), key);
    }
    peri_map_destroy(m, free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_get_remove),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
