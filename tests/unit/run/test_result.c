/* SPDX-License-Identifier: Apache-2.0 */
#include "run/kit.h"

#include "run/result.h"

static struct peri_retry retry_default = {
    .initial_ms = 1000, .maximum_ms = 300000, .coefficient = 2, .maximum_attempts = 8};

static enum peri_after after(struct peri_attempt_facts facts, int64_t *delay)
{
    if (!facts.retry)
        facts.retry = &retry_default;
    if (facts.tries == 0)
        facts.tries = 1;
    return peri_result_after(&facts, delay);
}

static void test_classes(void **state)
{
    static const struct {
        bool retryable, unknown;
        enum peri_delivery delivery;
        enum peri_after want;
    } cases[] = {
        {true, false, PERI_DELIVERY_ONCE, PERI_AFTER_RETRY},
        {true, false, PERI_DELIVERY_REPEAT, PERI_AFTER_RETRY},
        {true, false, PERI_DELIVERY_LOOKUP, PERI_AFTER_RETRY},
        {false, false, PERI_DELIVERY_ONCE, PERI_AFTER_FAIL},
        {false, false, PERI_DELIVERY_REPEAT, PERI_AFTER_FAIL},
        {false, true, PERI_DELIVERY_ONCE, PERI_AFTER_UNKNOWN},
        {true, true, PERI_DELIVERY_ONCE, PERI_AFTER_UNKNOWN},
        {true, true, PERI_DELIVERY_LOOKUP, PERI_AFTER_RETRY},
        {false, true, PERI_DELIVERY_REPEAT, PERI_AFTER_RETRY},
        {true, true, PERI_DELIVERY_REPEAT, PERI_AFTER_RETRY},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct peri_error error = {
            .status = PERI_EIO, .code = "net", .retryable = cases[i].retryable, .outcome_unknown = cases[i].unknown};
        struct peri_attempt_facts facts = {.error = &error, .delivery = cases[i].delivery};
        int64_t delay;
        assert_int_equal(after(facts, &delay), cases[i].want);
    }
    assert_int_equal(peri_result_interrupted(PERI_DELIVERY_REPEAT), PERI_AFTER_RETRY);
    assert_int_equal(peri_result_interrupted(PERI_DELIVERY_ONCE), PERI_AFTER_UNKNOWN);
    assert_int_equal(peri_result_interrupted(PERI_DELIVERY_LOOKUP), PERI_AFTER_RETRY);
}

static void test_backoff_doubles_up_to_its_cap_with_full_jitter(void **state)
{
    assert_int_equal(peri_result_backoff(&retry_default, 1, UINT32_MAX), 1000);
    assert_int_equal(peri_result_backoff(&retry_default, 2, UINT32_MAX), 2000);
    assert_int_equal(peri_result_backoff(&retry_default, 4, UINT32_MAX), 8000);
    assert_int_equal(peri_result_backoff(&retry_default, 30, UINT32_MAX), 300000);
    assert_int_equal(peri_result_backoff(&retry_default, 1000, UINT32_MAX), 300000);
    assert_int_equal(peri_result_backoff(&retry_default, 4, 0), 0);
    int64_t half = peri_result_backoff(&retry_default, 4, UINT32_MAX / 2);
    assert_true(half > 3990 && half < 4010);
    struct peri_retry nothing = {0};
    assert_int_equal(peri_result_backoff(&nothing, 1, UINT32_MAX), 1000);
}

static void test_budget(void **state)
{
    struct peri_error error = {.status = PERI_EIO, .code = "net", .retryable = true};
    int64_t delay;
    struct peri_attempt_facts facts = {.error = &error, .tries = 7};
    assert_int_equal(after(facts, &delay), PERI_AFTER_RETRY);
    facts.tries = 8;
    assert_int_equal(after(facts, &delay), PERI_AFTER_FAIL);
    facts.tries = 2;
    facts.first_ms = 1000;
    facts.now_ms = 1000 + PERI_RETRY_WINDOW_MS;
    facts.random = UINT32_MAX;
    assert_int_equal(after(facts, &delay), PERI_AFTER_FAIL);
}

static void test_codes_that_the_rule_lists_are_not_retried(void **state)
{
    char *codes[] = {(char *)(uintptr_t) "gone"};
    struct peri_retry retry = {.maximum_attempts = 5, .non_retryable = codes, .non_retryable_count = 1};
    struct peri_error error = {.status = PERI_EIO, .code = "gone", .retryable = true};
    struct peri_attempt_facts facts = {.retry = &retry, .error = &error};
    int64_t delay;
    assert_int_equal(after(facts, &delay), PERI_AFTER_FAIL);
    error.outcome_unknown = true; /* unknown stays unknown: not listed as "did not happen" */
    assert_int_equal(after(facts, &delay), PERI_AFTER_UNKNOWN);
}

static void test_retry_after_is_honoured_up_to_an_hour(void **state)
{
    struct peri_error error = {.status = PERI_EBUSY, .code = "http.429", .retryable = true, .retry_after_ms = 90000};
    struct peri_attempt_facts facts = {.error = &error};
    int64_t delay;
    assert_int_equal(after(facts, &delay), PERI_AFTER_RETRY);
    assert_int_equal(delay, 90000);
    error.retry_after_ms = 7 * 24 * 3600 * 1000L;
    assert_int_equal(after(facts, &delay), PERI_AFTER_RETRY);
    assert_int_equal(delay, PERI_RETRY_AFTER_MAX_MS);
}

static void test_who_can_ask_the_provider_asks_until_the_budget_is_used_up(void **state)
{
    struct peri_error error = {.status = PERI_EIO, .code = "http.timeout", .outcome_unknown = true};
    struct peri_attempt_facts facts = {.error = &error, .delivery = PERI_DELIVERY_LOOKUP, .tries = 1, .doubt = true};
    int64_t delay;
    assert_int_equal(after(facts, &delay), PERI_AFTER_RETRY);
    assert_true(delay >= PERI_LOOKUP_MIN_MS); /* what is still on its way arrives first */
    facts.tries = 8;
    assert_int_equal(after(facts, &delay), PERI_AFTER_UNKNOWN);
    error = (struct peri_error){.status = PERI_ESTATE, .code = "plugin_inactive", .retryable = true};
    assert_int_equal(after(facts, &delay), PERI_AFTER_UNKNOWN); /* nobody could be asked */
    error = (struct peri_error){.status = PERI_EINVAL, .code = "http.status_503", .retryable = true};
    assert_int_equal(after(facts, &delay), PERI_AFTER_FAIL); /* the provider did not know it, and refused the new one */
    assert_int_equal(peri_result_interrupted(PERI_DELIVERY_LOOKUP), PERI_AFTER_RETRY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_backoff_doubles_up_to_its_cap_with_full_jitter),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_codes_that_the_rule_lists_are_not_retried),
        cmocka_unit_test(test_retry_after_is_honoured_up_to_an_hour),
        cmocka_unit_test(test_who_can_ask_the_provider_asks_until_the_budget_is_used_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
