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
#include "data/personal.h"

static const unsigned char key[PERI_PERSONAL_KEY] = "0123456789abcde";

static struct peri_value *json(const char *text)
{
    struct peri_value *v = NULL;
    assert_int_equal(peri_json_parse(text, strlen(text), &v, NULL), PERI_OK);
    return v;
}

static void add(struct peri_personal *set, const char *text)
{
    struct peri_value *v = json(text);
    peri_personal_add(set, v);
    peri_value_unref(v);
}

/* Every "[personal xxxx]" becomes "#". */
static void assert_shown(struct peri_personal *set, const char *text, const char *wanted)
{
    char *hidden = NULL, plain[400] = "";
    size_t len = 0, n = 0;
    const char *s = peri_personal_hide(set, text, strlen(text), &hidden, &len) ? hidden : text;
    assert_true(s == text || len == strlen(hidden));
    for (; *s; s++) {
        if (strncmp(s, "[personal", 9) == 0) {
            plain[n++] = '#';
            s = strchr(s, ']');
        } else {
            plain[n++] = *s;
        }
    }
    plain[n] = '\0';
    free(hidden);
    assert_string_equal(plain, wanted);
}

static void test_values_are_found_in_texts(void **state)
{
    struct peri_personal *set = peri_personal_create(key, 0);
    add(set,
        "{\"name\": \" Zo\\u00eb Quillfeather \", \"phone\": \"+49 30 555-7719\", \"short\": \"Ada\", \"age\": 61, "
        "\"ok\": true, \"none\": null, \"more\": [{\"x\": [\"deep water\"]}], \"empty\": \"\", \"blank\": \"  \"}");
    assert_shown(set, "Dear Zo\xc3\xab Quillfeather!", "Dear #!");
    assert_shown(set, "ZO\xc3\x8b QUILLFEATHER", "#");
    assert_shown(set, "zo%C3%AB%20quillfeather", "#");
    assert_shown(set, "?q=Zo%C3%AB%20Quillfeather&x", "?q=#&x");
    assert_shown(set, "/zo\xc3\xab-quillfeather/", "/#/");
    assert_shown(set, "Mrs Quillfeather", "Mrs #");
    assert_shown(set, "Quillfeatherstone", "Quillfeatherstone");
    assert_shown(set, "tel:+49 30 555-7719, 49305557719", "tel:#, #");
    assert_shown(set, "Ada and ada, adamant, Granada", "# and #, adamant, Granada");
    assert_shown(set, "61 is 61, 161 is not", "# is #, 161 is not");
    assert_shown(set, "a deep water", "a #");
    assert_shown(set, "true null", "true null");
    assert_shown(set, "", "");
    assert_shown(set, "cut here: Zo\xc3\xab Quil...", "cut here: #...");
    assert_shown(set, "at the end Zo\xc3\xab Qu", "at the end #");
    assert_shown(set, "\xff Ada \xc3", "\xff # \xc3");
    peri_personal_destroy(set);
}

static void test_values_in_values(void **state)
{
    struct peri_personal *set = peri_personal_create(key, 0);
    add(set, "[\"Ada\", 61.5, 7]");
    struct peri_value *v = json("{\"a\": [\"Ada\", \"x Ada\", 61.5, 7, 70, true, null], \"Ada\": {\"b\": 7.0}}"),
                      *clean = peri_personal_hide_value(set, v), *list = peri_map_at(clean, "a");
    char mark[PERI_PERSONAL_MARK], other[PERI_PERSONAL_MARK];
    peri_personal_mark(set, peri_list_at(peri_map_at(v, "a"), 0), mark);
    assert_int_equal(strlen(mark), strlen("[personal 1234]"));
    assert_string_equal(peri_value_text(peri_list_at(list, 0)), mark);
    assert_memory_equal(peri_value_text(peri_list_at(list, 1)), "x [personal ", 12);
    peri_personal_mark(set, peri_list_at(peri_map_at(v, "a"), 2), other);
    assert_string_equal(peri_value_text(peri_list_at(list, 2)), other);
    assert_string_not_equal(mark, other);
    assert_true(peri_value_is(peri_list_at(list, 3), PERI_STRING));
    assert_int_equal(peri_value_as_int(peri_list_at(list, 4)), 70);
    assert_true(peri_value_as_bool(peri_list_at(list, 5)));
    assert_non_null(peri_map_at(clean, mark));
    peri_value_unref(clean);
    peri_value_unref(v);
    peri_personal_destroy(set);
}

static void test_placeholders_need_the_key(void **state)
{
    static const unsigned char another[PERI_PERSONAL_KEY] = "fedcba987654321";
    struct peri_personal *a = peri_personal_create(key, 0), *b = peri_personal_create(another, 0),
                         *none = peri_personal_create(NULL, 0);
    struct peri_value *v = peri_value_str("Zo\xc3\xab Quillfeather"), *w = peri_value_str("  ZO\xc3\x8b quillfeather ");
    char x[PERI_PERSONAL_MARK], y[PERI_PERSONAL_MARK];
    peri_personal_mark(a, v, x);
    peri_personal_mark(a, w, y);
    assert_string_equal(x, y);
    peri_personal_mark(b, v, y);
    assert_string_not_equal(x, y);
    peri_personal_mark(none, v, y);
    assert_string_equal(y, "[personal]");
    peri_value_unref(v);
    peri_value_unref(w);
    peri_personal_destroy(a);
    peri_personal_destroy(b);
    peri_personal_destroy(none);
}

static void test_a_full_set_forgets_the_oldest(void **state)
{
    struct peri_personal *set = peri_personal_create(key, 3);
    char text[40];
    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof(text), "\"someone%03d\"", i);
        add(set, text);
        add(set, text);
        assert_true(peri_personal_count(set) <= 3);
    }
    assert_shown(set, "someone096 someone097 someone098 someone099", "someone096 # # #");
    peri_personal_destroy(set);
}

/* A long value is known by its beginning; nothing here may take quadratic time. */
/* A sender must not be able to make what others see unreadable. */
static void test_short_values_leave_ids_and_times_alone(void **state)
{
    struct peri_personal *set = peri_personal_create(key, 0);
    add(set, "[1, \"run\", \"20\", \"Bo\", 2026, \"422\"]");
    assert_shown(set, "run-1 waits behind ev-20 and run-1.", "#-1 waits behind ev-20 and #-1.");
    assert_shown(set, "of 1 and 20, Bo-20", "of # and #, #-#");
    assert_shown(set, "brun-1 rev-20", "brun-# rev-#");
    peri_personal_destroy(set);

    set = peri_personal_create(key, 0);
    peri_personal_be_careful(set);
    add(set, "[1, \"run\", \"20\", \"Bo\", 2026, \"422\", \"Ada Lovelace\", 1234567, \"timeout\"]");
    assert_shown(set, "run-1: 1 of 20 at 2026-11-20T10:20:01.422Z", "run-1: 1 of 20 at 2026-11-20T10:20:01.422Z");
    assert_shown(set, "http.status_422 [net.run] run/1", "http.status_422 [net.run] run/1");
    assert_shown(set, "Bo, bo. (BO) and Lovelace: 1234567, in 2026.", "#, #. (#) and #: #, in #.");
    assert_shown(set, "the run of ada lovelace", "the # of #");
    assert_shown(set, "run-1234567 and 1234567-x", "run-1234567 and 1234567-x");
    peri_personal_destroy(set);
}

static void test_names_that_become_one_are_kept_apart(void **state)
{
    struct peri_personal *set = peri_personal_create(NULL, 0);
    add(set, "[\"ann\", \"bob\"]");
    struct peri_value *v = json("{\"Ann\": 1, \"ANN\": 2, \"bob\": 3, \"x\": 4}"),
                      *clean = peri_personal_hide_value(set, v);
    assert_int_equal(peri_value_count(clean), 4);
    peri_value_unref(clean);
    peri_value_unref(v);
    peri_personal_destroy(set);
}

static void test_long_texts(void **state)
{
    struct peri_personal *set = peri_personal_create(key, 0);
    size_t n = 300000;
    char *text = malloc(n + 1);
    assert_non_null(text);
    memset(text, 'a', n);
    text[n] = '\0';
    struct peri_value *v = peri_value_strn(text, 100000);
    peri_personal_add(set, v);
    char *hidden = NULL;
    size_t len = 0;
    assert_true(peri_personal_hide(set, text, n, &hidden, &len));
    assert_null(strstr(hidden, "aaaaaaaa"));
    free(hidden);
    free(text);
    peri_value_unref(v);
    peri_personal_destroy(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_are_found_in_texts),
        cmocka_unit_test(test_values_in_values),
        cmocka_unit_test(test_placeholders_need_the_key),
        cmocka_unit_test(test_a_full_set_forgets_the_oldest),
        cmocka_unit_test(test_short_values_leave_ids_and_times_alone),
        cmocka_unit_test(test_names_that_become_one_are_kept_apart),
        cmocka_unit_test(test_long_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
