/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "io/tzfiles.h"

static void test_reads_zones(void **state)
{
    unsigned char *data = NULL;
    size_t len = 0;
    assert_int_equal(peri_tzfiles_read(NULL, "Europe/Berlin", &data, &len, NULL), PERI_OK);
    assert_true(len > 44);
    assert_memory_equal(data, "TZif", 4);
    free(data);
}

static void test_stays_in_the_folder(void **state)
{
    static const char *const names[] = {"", "/etc/passwd", "../../etc/passwd", "Europe/../../passwd", "Mars/Base",
        "Europe", "Europe/Berlin/x", "a b", "a\nb"};
    unsigned char *data = NULL;
    size_t len = 0;
    struct peri_error err;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(peri_tzfiles_read(NULL, names[i], &data, &len, &err), PERI_ENOTFOUND);
    assert_null(data);
}

static void test_folder(void **state)
{
    static char own[] = "/nonexistent";
    unsigned char *data = NULL;
    size_t len = 0;
    unsetenv("TZDIR");
    assert_string_equal(peri_tzfiles_folder(NULL), "/usr/share/zoneinfo");
    setenv("TZDIR", "/somewhere", 1);
    assert_string_equal(peri_tzfiles_folder(NULL), "/somewhere");
    assert_string_equal(peri_tzfiles_folder(own), "/nonexistent");
    unsetenv("TZDIR");
    assert_int_equal(peri_tzfiles_read(own, "Europe/Berlin", &data, &len, NULL), PERI_ENOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_zones),
        cmocka_unit_test(test_stays_in_the_folder),
        cmocka_unit_test(test_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
