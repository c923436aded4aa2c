/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"

static void test_grows_and_ends_with_nul(void **state)
{
    struct peri_buf b;
    peri_buf_init(&b, 1000);
    assert_string_equal(peri_buf_text(&b), "");
    for (int i = 0; i < 100; i++)
        assert_int_equal(peri_buf_printf(&b, "%02d", i), PERI_OK);
    assert_int_equal(b.len, 200);
    assert_int_equal(b.data[200], '\0');
    assert_int_equal(peri_buf_append(&b, "\0x", 2), PERI_OK);
    assert_int_equal(b.len, 202);
    peri_buf_reset(&b);
    assert_string_equal(peri_buf_text(&b), "");
    assert_int_equal(peri_buf_put_uint(&b, 0), PERI_OK);
    assert_int_equal(peri_buf_put_uint(&b, UINT64_MAX), PERI_OK);
    assert_string_equal(peri_buf_text(&b), "018446744073709551615");
    peri_buf_finish(&b);
}

static void test_cap(void **state)
{
    struct peri_buf b;
    peri_buf_init(&b, 5);
    assert_int_equal(peri_buf_puts(&b, "12345"), PERI_OK);
    assert_int_equal(peri_buf_putc(&b, '6'), PERI_ELIMIT);
    assert_string_equal(b.data, "12345");
    assert_int_equal(peri_buf_puts(&b, ""), PERI_ELIMIT); /* the failure stays */
    assert_int_equal(peri_buf_printf(&b, "x"), PERI_ELIMIT);
    peri_buf_reset(&b);
    for (int i = 0; i < 5; i++) /* one byte at a time it is no other limit */
        assert_int_equal(peri_buf_putc(&b, 'a'), PERI_OK);
    assert_int_equal(peri_buf_putc(&b, 'b'), PERI_ELIMIT);
    assert_string_equal(b.data, "aaaaa");
    peri_buf_reset(&b);
    assert_int_equal(peri_buf_puts(&b, "ok"), PERI_OK);
    assert_int_equal(peri_buf_reserve(&b, SIZE_MAX), PERI_ELIMIT);
    peri_buf_finish(&b);
}

static void test_take(void **state)
{
    struct peri_buf b;
    size_t len = 9;
    peri_buf_init(&b, 100);
    char *text = peri_buf_take(&b, &len);
    assert_string_equal(text, "");
    assert_int_equal(len, 0);
    free(text);
    peri_buf_puts(&b, "abc");
    text = peri_buf_take(&b, NULL);
    assert_string_equal(text, "abc");
    assert_int_equal(b.len, 0);
    assert_int_equal(b.max, 100);
    free(text);
}

static void base64(const char *plain, size_t len, const char *text)
{
    struct peri_buf b;
    char *back = NULL;
    size_t n = 0;
    peri_buf_init(&b, 100);
    assert_int_equal(peri_base64_encode(&b, plain, len), PERI_OK);
    assert_string_equal(peri_buf_text(&b), text);
    assert_int_equal(peri_base64_decode(text, strlen(text), &back, &n), PERI_OK);
    assert_int_equal(n, len);
    assert_memory_equal(back, plain, len);
    free(back);
    peri_buf_finish(&b);
}

static void test_base64(void **state)
{
    static const char *const bad[] = {
        "A", "AA", "AAA", "A===", "AB==", "AAB=", "AA=A", "====", "AAAA=", "AA AA", "AA-_", "AA==AAAA", NULL};
    char *back;
    size_t n;
    base64("", 0, "");
    base64("f", 1, "Zg==");
    base64("fo", 2, "Zm8=");
    base64("foo", 3, "Zm9v");
    base64("foobar", 6, "Zm9vYmFy");
    base64("\xFB\xFF\0", 3, "+/8A");
    for (int i = 0; bad[i]; i++)
        assert_int_equal(peri_base64_decode(bad[i], strlen(bad[i]), &back, &n), PERI_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows_and_ends_with_nul),
        cmocka_unit_test(test_cap),
        cmocka_unit_test(test_take),
        cmocka_unit_test(test_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
