/* SPDX-License-Identifier: Apache-2.0 */
#include "run/kit.h"

#include "base/timefmt.h"
#include "io/tzfiles.h"
#include "run/quiet.h"

static const struct {
    const char *zone;
    int from, to;          /* hours * 100 + minutes */
    const char *now, *end; /* end NULL: not quiet */
} cases[] = {
    {"UTC", 2200, 700, "2026-03-01T21:59:59Z", NULL},
    {"UTC", 2200, 700, "2026-03-01T22:00:00Z", "2026-03-02T07:00:00.000Z"},
    {"UTC", 2200, 700, "2026-03-02T06:59:59Z", "2026-03-02T07:00:00.000Z"},
    {"UTC", 2200, 700, "2026-03-02T07:00:00Z", NULL},
    {"UTC", 1200, 1400, "2026-03-02T13:00:00Z", "2026-03-02T14:00:00.000Z"},
    {"UTC", 1200, 1400, "2026-03-02T01:00:00Z", NULL},
    {"UTC", 0, 2359, "2026-03-02T23:59:30Z", NULL},
    /* the recipient's night, not ours */
    {"America/New_York", 2200, 700, "2026-01-15T04:00:00Z", "2026-01-15T12:00:00.000Z"},
    {"Asia/Kolkata", 2200, 700, "2026-01-15T17:00:00Z", "2026-01-16T01:30:00.000Z"},
    /* clocks go forward: the night has an hour less; 02:30 is not there and stands for 03:00 */
    {"Europe/Berlin", 2200, 700, "2026-03-28T21:00:00Z", "2026-03-29T05:00:00.000Z"},
    {"Europe/Berlin", 2200, 230, "2026-03-28T23:00:00Z", "2026-03-29T01:00:00.000Z"},
    {"Europe/Berlin", 230, 500, "2026-03-29T00:59:00Z", NULL},
    {"Europe/Berlin", 230, 500, "2026-03-29T01:00:00Z", "2026-03-29T03:00:00.000Z"},
    /* clocks go back: an hour more; an end that comes twice is the second one, a beginning the first */
    {"Europe/Berlin", 2200, 700, "2026-10-24T20:00:00Z", "2026-10-25T06:00:00.000Z"},
    {"Europe/Berlin", 2200, 230, "2026-10-25T00:45:00Z", "2026-10-25T01:30:00.000Z"},
    {"Europe/Berlin", 230, 500, "2026-10-25T00:30:00Z", "2026-10-25T04:00:00.000Z"},
    {"Australia/Lord_Howe", 2200, 145, "2026-04-04T14:50:00Z", "2026-04-04T15:15:00.000Z"},
};

static void test_quiet_hours_end_when_the_recipients_clock_says_so(void **state)
{
    struct peri_tz_source tz = {peri_tzfiles_read, NULL};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct peri_tz *zone = NULL;
        struct peri_error err;
        int64_t now = 0, end = 0;
        char text[PERI_TIME_TEXT];
        assert_int_equal(peri_tz_load(&tz, cases[i].zone, &zone, &err), PERI_OK);
        assert_true(peri_time_parse(cases[i].now, strlen(cases[i].now), &now));
        int from = cases[i].from / 100 * 60 + cases[i].from % 100, to = cases[i].to / 100 * 60 + cases[i].to % 100;
        bool quiet = peri_quiet_now(zone, from, to, now, &end);
        assert_int_equal(quiet, cases[i].end != NULL);
        if (quiet)
            assert_string_equal(peri_time_format(end, text), cases[i].end);
        peri_tz_destroy(zone);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quiet_hours_end_when_the_recipients_clock_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
