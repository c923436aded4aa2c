/* SPDX-License-Identifier: Apache-2.0 */
#include "run/throttle_streams.h"

static void test_random_streams(void **state)
{
    static const struct throttle_case cases[RULES] = {{1, 0}, {4, 0}, {11, 0}};
    throttle_streams(cases, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_streams)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
