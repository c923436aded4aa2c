/* SPDX-License-Identifier: Apache-2.0 */
/* The same plugins with the same outcomes, each in a process of its own. */
#include "hostile_suite.h"

static void hostile_plugins_end_as_they_should(void **state)
{
    run_folder(TEST_SOURCE_DIR "/tests/hostile", 80, true);
}

static void heavy_plugins_pass(void **state)
{
    run_folder(TEST_SOURCE_DIR "/tests/benign", 25, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_plugins_end_as_they_should),
        cmocka_unit_test(heavy_plugins_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
