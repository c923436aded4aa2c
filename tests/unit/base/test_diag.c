/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/error.h"

static void add(
    struct peri_diag *diag, const char *file, int line, int column, enum peri_severity severity, const char *text)
{
    peri_diag_add(diag, (struct peri_place){file, line, column}, severity, "code", NULL, "%s", text);
}

static void test_findings_own_their_text(void **state)
{
    struct peri_diag diag;
    char file[] = "a.yaml", hint[] = "did you mean \"b\"?";
    peri_diag_init(&diag);
    peri_diag_add(
        &diag, (struct peri_place){file, 3, 7}, PERI_SEV_ERROR, "unknown-key", hint, "unknown key \"%s\"", "x");
    file[0] = hint[0] = '?';
    assert_string_equal(diag.items[0].file, "a.yaml");
    assert_string_equal(diag.items[0].message, "unknown key \"x\"");
    assert_string_equal(diag.items[0].hint, "did you mean \"b\"?");
    assert_int_equal(diag.errors, 1);
    peri_diag_finish(&diag);
    peri_diag_finish(&diag);
}

static void test_sort_is_by_place_and_stable(void **state)
{
    static const char wanted[] = "abcdef";
    struct peri_diag diag;
    peri_diag_init(&diag);
    add(&diag, "b", 1, 1, PERI_SEV_NOTE, "f");
    add(&diag, "a", 2, 5, PERI_SEV_WARNING, "d");
    add(&diag, "a", 2, 5, PERI_SEV_ERROR, "e");
    add(&diag, "a", 2, 1, PERI_SEV_ERROR, "c");
    add(&diag, "a", 0, 0, PERI_SEV_ERROR, "a");
    add(&diag, "a", 1, 9, PERI_SEV_ERROR, "b");
    peri_diag_sort(&diag);
    for (size_t i = 0; i < diag.count; i++)
        assert_int_equal(diag.items[i].message[0], wanted[i]);
    assert_int_equal(diag.errors, 4);
    peri_diag_finish(&diag);
}

static void test_move(void **state)
{
    struct peri_diag a, b;
    peri_diag_init(&a);
    peri_diag_init(&b);
    add(&a, "f", 1, 1, PERI_SEV_ERROR, "1");
    add(&b, "f", 2, 1, PERI_SEV_ERROR, "2");
    add(&b, "f", 3, 1, PERI_SEV_WARNING, "3");
    peri_diag_move(&a, &b);
    assert_int_equal(a.count, 3);
    assert_int_equal(a.errors, 2);
    assert_int_equal(b.count, 0);
    assert_int_equal(b.errors, 0);
    assert_string_equal(a.items[2].message, "3");
    peri_diag_move(&a, &b);
    assert_int_equal(a.count, 3);
    peri_diag_finish(&a);
    peri_diag_finish(&b);
}

static void test_the_same_place_of_another_file_is_another(void **state)
{
    struct peri_diag diag;
    struct peri_place a = {"a.yaml", 3, 5}, b = {"b.yaml", 3, 5};
    peri_diag_init(&diag);
    assert_false(peri_diag_has(&diag, a, "x"));
    peri_diag_add(&diag, a, PERI_SEV_WARNING, "x", NULL, "one");
    assert_true(peri_diag_has(&diag, a, "x"));
    assert_false(peri_diag_has(&diag, a, "y"));
    assert_false(peri_diag_has(&diag, b, "x"));
    peri_diag_finish(&diag);
}

static void test_error_text(void **state)
{
    struct peri_error err = {0};
    assert_int_equal(peri_error_set(&err, PERI_EBUSY, NULL, "queue of %d is full", 5), PERI_EBUSY);
    assert_string_equal(err.code, "busy");
    assert_true(err.retryable);
    peri_error_prefix(&err, "rule \"%s\"", "x");
    assert_string_equal(err.message, "rule \"x\": queue of 5 is full");
    assert_int_equal(
        peri_error_set(&err, PERI_EINVAL, "own.code", "again: %s", err.message), PERI_EINVAL); /* of itself */
    assert_string_equal(err.message, "again: rule \"x\": queue of 5 is full");
    assert_string_equal(err.code, "own.code");
    assert_false(err.retryable);
    assert_int_equal(peri_error_set(NULL, PERI_EIO, NULL, "x"), PERI_EIO);
    peri_error_prefix(NULL, "x");
    assert_string_equal(peri_status_name(PERI_OK), "ok");
    assert_string_equal(peri_status_name((enum peri_status)999), "internal");
}

static void test_long_messages_end_with_a_whole_character(void **state)
{
    struct peri_error err = {0};
    char text[3000];
    for (size_t shift = 0; shift < 3; shift++) {
        memset(text, 'a', shift);
        for (size_t i = shift; i + 3 < sizeof(text); i += 3)
            memcpy(text + i, "\xE2\x82\xAC", 4);
        (void)peri_error_set(&err, PERI_EINVAL, NULL, "%s", text);
        size_t n = strlen(err.message);
        assert_true(n >= PERI_ERROR_MESSAGE_MAX - 4);
        assert_int_equal((n - shift) % 3, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_findings_own_their_text),
        cmocka_unit_test(test_sort_is_by_place_and_stable),
        cmocka_unit_test(test_move),
        cmocka_unit_test(test_the_same_place_of_another_file_is_another),
        cmocka_unit_test(test_error_text),
        cmocka_unit_test(test_long_messages_end_with_a_whole_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
