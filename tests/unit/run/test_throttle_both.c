/* SPDX-License-Identifier: Apache-2.0 */
#include "run/throttle_streams.h"

static void test_random_streams(void **state)
{
    static const struct throttle_case cases[RULES] = {{6, 2}, {3, 4}, {12, 1}};
    throttle_streams(cases, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_streams)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
