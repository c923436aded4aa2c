/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/str.h"
#include "data/casefold.h"

static void test_pairs(void **state)
{
    static const unsigned pairs[][2] = {{'A', 'a'}, {'Z', 'z'}, {0xc9, 0xe9}, {0x178, 0xff}, {0x130, 0x130},
        {0x131, 0x131}, {0x17f, 's'}, {0x1c4, 0x1c6}, {0x1c5, 0x1c6}, {0x391, 0x3b1}, {0x3a3, 0x3c3}, {0x3c2, 0x3c3},
        {0x410, 0x430}, {0x401, 0x451}, {0x531, 0x561}, {0x1e9e, 0xdf}, {0xdf, 0xdf}, {0x212a, 'k'}, {0x2160, 0x2170},
        {0xff21, 0xff41}, {0x10400, 0x10428}, {0x1e900, 0x1e922}, {'@', '@'}, {'[', '['}, {0x4e00, 0x4e00},
        {0x10ffff, 0x10ffff}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        if (peri_fold_code(pairs[i][0]) != pairs[i][1])
            fail_msg("%x folds to %x", pairs[i][0], peri_fold_code(pairs[i][0]));
}

static void test_all_codes(void **state)
{
    size_t changed = 0;
    for (unsigned c = 0; c < 0x110000; c++) {
        unsigned f = peri_fold_code(c);
        changed += f != c;
        if (peri_fold_code(f) != f)
            fail_msg("%x folds twice", c);
        if (f >= 0xd800 && f <= 0xdfff && f != c)
            fail_msg("%x folds to a surrogate", c);
        char a[4], b[4];
        size_t from = c >= 0xd800 && c <= 0xdfff ? 3 : peri_utf8_encode(c, a);
        size_t to = f >= 0xd800 && f <= 0xdfff ? 3 : peri_utf8_encode(f, b);
        assert_true(to <= from + from / 2); /* what PERI_FOLD_ROOM counts on */
    }
    assert_int_equal(changed, 26 + 1428);
}

static void test_text(void **state)
{
    static const char text[] = "\xc3\x89T\xc3\x89 \xc8\xba\xc8\xba\xc8\xba";
    char out[PERI_FOLD_ROOM(sizeof(text))];
    size_t len = peri_fold(text, strlen(text), out);
    assert_int_equal(len, 15);
    assert_memory_equal(out, "\xc3\xa9t\xc3\xa9 \xe2\xb1\xa5\xe2\xb1\xa5\xe2\xb1\xa5", len);
    assert_int_equal(peri_fold("", 0, out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_all_codes),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
