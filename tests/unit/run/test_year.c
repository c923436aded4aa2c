/* SPDX-License-Identifier: Apache-2.0 */
#include "run/pipekit.h"

#include "lang/schedule.h"
#include "lang/zone_files.h"
#include "run/quiet.h"

/* A year in four zones, minute by minute against the wall clock: cron, quiet hours and the sun. And the days of the
 * changes again, with the service down over them. */

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static const struct place {
    const char *zone;
    double latitude, longitude;
    const char *gap, *fold; /* days of the changes, by the clock of the place; NULL: none */
} places[] = {
    {"Europe/Berlin", 52.52, 13.405, "2026-03-29", "2026-10-25"},
    {"America/New_York", 40.713, -74.006, "2026-03-08", "2026-11-01"},
    {"Australia/Lord_Howe", -31.55, 159.08, "2026-10-04", "2026-04-05"},
    {"Asia/Kolkata", 22.572, 88.364, NULL, NULL},
};

struct times {
    int64_t at[800];
    size_t count;
};

static void same(const struct place *place, const char *what, const struct times *got, const struct times *wanted)
{
    for (size_t i = 0; i < got->count || i < wanted->count; i++)
        if (i >= got->count || i >= wanted->count || got->at[i] != wanted->at[i]) {
            char a[PERI_TIME_TEXT] = "nothing", b[PERI_TIME_TEXT] = "nothing";
            if (i < got->count)
                peri_time_format(got->at[i], a);
            if (i < wanted->count)
                peri_time_format(wanted->at[i], b);
            fail_msg("%s, %s: %s, wanted %s", place->zone, what, a, b);
        }
}

/* Each local minute of the year that the expression names: in a gap at its end (made up for) or not at all, of a
 * repeated one the first, or both. */
static void oracle(const struct peri_tz *tz, unsigned hour, unsigned minute, enum peri_dst dst, int64_t from,
    int64_t to, struct times *ret)
{
    bool today = false;
    unsigned day = 0;
    for (int64_t t = from; t < to; t += MINUTE) {
        struct peri_local now, before;
        peri_tz_local(tz, t, &now);
        peri_tz_local(tz, t - MINUTE, &before);
        today = today && now.day == day;
        day = now.day;
        unsigned have = now.hour * 60 + now.minute, had = before.hour * 60 + before.minute, wanted = hour * 60 + minute;
        bool hit = have == wanted && (!today || dst == PERI_DST_BOTH);
        bool lost = before.day == now.day && had < wanted && wanted < have && have - had > 1 && dst != PERI_DST_SKIP;
        if (hit || lost) {
            ret->at[ret->count++] = t;
            today = true;
        }
    }
}

static void all(const struct peri_schedule *s, int64_t from, int64_t to, struct times *ret)
{
    int64_t due = from - 1;
    while (peri_schedule_next(s, 0, due, &due) == PERI_OK && due < to && ret->count < 800)
        ret->at[ret->count++] = due;
}

static void test_cron_over_a_year(void **state)
{
    static const char *const expressions[] = {"15 2 * * *", "45 1 * * *", "30 2 * * *"};
    static const unsigned clocks[][2] = {{2, 15}, {1, 45}, {2, 30}};
    int64_t from = at("2026-01-01T00:00:00Z"), to = at("2027-01-01T00:00:00Z");
    for (size_t p = 0; p < 4; p++) {
        struct peri_tz *tz = zone(places[p].zone);
        for (size_t e = 0; e < 9; e++) {
            struct peri_schedule s = {.kind = PERI_SCHEDULE_CRON, .tz = tz, .dst = (enum peri_dst)(e % 3)};
            struct times got = {.count = 0}, wanted = {.count = 0};
            struct peri_error err;
            int column;
            assert_int_equal(peri_cron_parse(expressions[e / 3], &s.cron, &column, &err), PERI_OK);
            all(&s, from, to, &got);
            oracle(tz, clocks[e / 3][0], clocks[e / 3][1], s.dst, from, to, &wanted);
            assert_in_range(wanted.count, 364, 366);
            same(&places[p], expressions[e / 3], &got, &wanted);
        }
        peri_tz_destroy(tz);
    }
}

static void test_quiet_hours_over_a_year(void **state)
{
    for (size_t p = 0; p < 4; p++) {
        struct peri_tz *tz = zone(places[p].zone);
        for (int64_t t = at("2026-01-01T00:00:00Z"); t < at("2027-01-01T00:00:00Z"); t += 15 * MINUTE) {
            struct peri_local now, then;
            int64_t end = 0;
            peri_tz_local(tz, t, &now);
            bool quiet = peri_quiet_now(tz, 22 * 60, 7 * 60, t, &end);
            assert_int_equal(quiet, now.hour >= 22 || now.hour < 7);
            if (!quiet)
                continue;
            peri_tz_local(tz, end, &then);
            assert_true(then.hour == 7 && then.minute == 0);
            assert_in_range(end - t, MINUTE, 10 * HOUR);
        }
        peri_tz_destroy(tz);
    }
}

static void test_the_sun_over_a_year(void **state)
{
    for (size_t p = 0; p < 4; p++) {
        struct peri_tz *tz = zone(places[p].zone);
        struct peri_schedule rise = {.kind = PERI_SCHEDULE_SUN,
            .sun = {PERI_SUN_RISING, PERI_SUN_RISE, places[p].latitude, places[p].longitude, 0}};
        struct times got = {.count = 0};
        all(&rise, at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"), &got);
        assert_int_equal(got.count, 365);
        for (size_t i = 1; i < got.count; i++) { /* one each day of the place, whatever its clocks do, and no jumps */
            struct peri_local a, b;
            peri_tz_local(tz, got.at[i - 1], &a);
            peri_tz_local(tz, got.at[i], &b);
            assert_true(a.day != b.day && b.hour >= 4 && b.hour <= 8);
            assert_in_range(got.at[i] - got.at[i - 1], DAY - 3 * MINUTE, DAY + 3 * MINUTE);
        }
        peri_tz_destroy(tz);
    }
}

/* --- the service is down over the change --- */

static const struct peri_tz_source source = {read_zone, NULL};

static int64_t noon(const struct peri_tz *tz, const char *date, int days)
{
    int64_t ms = 0;
    char text[32];
    snprintf(text, sizeof(text), "%sT12:00", date);
    assert_true(peri_tz_parse_local(tz, text, &ms));
    return ms + days * DAY;
}

static size_t fired(struct bed *bed, const char *rule)
{
    size_t n = 0;
    for (size_t i = 0; i < bed->call_count; i++)
        n += strstr(bed->calls[i]->params, rule) != NULL;
    return n;
}

/* Goes down the noon before and comes back the noon of the change: what was missed fires once, for its own time. */
static void over_the_change(const struct place *place, const char *date, const char *due)
{
    struct bed bed;
    char yaml[1200];
    struct peri_tz *tz = zone(place->zone);
    struct peri_rule_env env = {.tz = &source,
        .timezone = place->zone,
        .has_location = true,
        .latitude = place->latitude,
        .longitude = place->longitude};
    snprintf(yaml, sizeof(yaml),
        "rules:\n"
        "  - name: cron\n    trigger: {schedule: {cron: \"15 2 * * *\", catch_up: 12h}}\n"
        "    actions: [{operator: x.ok, params: {r: cron, t: \"{{ trigger.scheduled_at }}\"}}]\n"
        "  - name: often\n    trigger: {schedule: {cron: \"*/15 * * * *\"}}\n"
        "    actions: [{operator: x.ok, params: {r: often, t: \"{{ trigger.scheduled_at }}\"}}]\n"
        "  - name: sun\n    trigger: {sun: {at: sunrise, catch_up: 12h}}\n"
        "    actions: [{operator: x.ok, params: {r: sun}}]\n"
        "  - name: old\n    trigger: {sun: {at: sunset, catch_up: 1h}}\n"
        "    actions: [{operator: x.ok, params: {r: old}}]\n");
    memset(&bed, 0, sizeof(bed));
    bed.env = &env;
    kit_open_at(&bed, yaml, noon(tz, date, -1));
    KIT_QUIET(&bed);
    kit_stop(&bed);
    bed.fake.wall_ms = noon(tz, date, 0);
    kit_start(&bed, yaml);
    KIT_UNTIL(&bed, fired(&bed, "\"cron\"") == 1 && fired(&bed, "\"often\"") == 1 && fired(&bed, "\"sun\"") == 1);
    KIT_QUIET(&bed);
    assert_int_equal(fired(&bed, "\"old\""), 0);
    if (due) {
        for (size_t i = 0; i < bed.call_count; i++)
            if (strstr(bed.calls[i]->params, "\"cron\""))
                assert_non_null(strstr(bed.calls[i]->params, due));
    }
    kit_restart(&bed, yaml); /* and nothing of it again */
    KIT_QUIET(&bed);
    assert_int_equal(bed.call_count, 0);
    kit_close(&bed);
    peri_tz_destroy(tz);
}

static void test_down_over_the_changes(void **state)
{
    over_the_change(&places[0], places[0].gap, "2026-03-29T01:00:00.000Z");  /* 02:15 is lost: 03:00 */
    over_the_change(&places[0], places[0].fold, "2026-10-25T00:15:00.000Z"); /* the first 02:15 */
    over_the_change(&places[1], places[1].gap, "2026-03-08T07:00:00.000Z");
    over_the_change(&places[1], places[1].fold, "2026-11-01T07:15:00.000Z");
    over_the_change(&places[2], places[2].gap, "2026-10-03T15:30:00.000Z"); /* 02:00 to 02:30 */
    over_the_change(&places[2], places[2].fold, "2026-04-04T15:45:00.000Z");
    over_the_change(&places[3], "2026-06-01", "2026-05-31T20:45:00.000Z");
}

/* A call that the quiet hours of the night of a change hold back, with the service down for the change itself: it
 * leaves at seven by the clock of the place, not an hour before or after. */
static void quiet_over_the_change(const struct place *place, const char *date)
{
    struct bed bed;
    char yaml[400];
    struct peri_tz *tz = zone(place->zone);
    struct peri_rule_env env = {.tz = &source, .timezone = place->zone};
    snprintf(yaml, sizeof(yaml),
        "name: R\ntrigger: {event: a.B}\nactions:\n"
        "  - {operator: x.ok, quiet_hours: {from: \"22:00\", to: \"07:00\", timezone: %s}}\n",
        place->zone);
    memset(&bed, 0, sizeof(bed));
    bed.env = &env;
    bed.tz = &source;
    kit_open_at(&bed, yaml, noon(tz, date, 0) - 13 * HOUR); /* about eleven in the evening before */
    (void)kit_send(&bed, "a.B", "{}");
    KIT_QUIET(&bed);
    kit_stop(&bed);
    bed.fake.wall_ms = noon(tz, date, 0) - 6 * HOUR; /* six in the morning, after the change */
    kit_start(&bed, yaml);
    KIT_QUIET(&bed);
    kit_advance(&bed, HOUR - 1);
    KIT_QUIET(&bed);
    assert_int_equal(bed.call_count, 0);
    kit_advance(&bed, 1);
    KIT_UNTIL(&bed, kit_run_is(&bed, 1, "succeeded"));
    assert_int_equal(bed.call_count, 1);
    kit_close(&bed);
    peri_tz_destroy(tz);
}

static void test_quiet_hours_over_the_changes(void **state)
{
    for (size_t p = 0; p < 3; p++) {
        quiet_over_the_change(&places[p], places[p].gap);
        quiet_over_the_change(&places[p], places[p].fold);
    }
    quiet_over_the_change(&places[3], "2026-06-01");
}

/* --- overlap and jitter --- */

static void test_overlap(void **state)
{
    static const char *const words[] = {"allow", "skip", "buffer_one"};
    static const size_t started[] = {4, 1, 1}, after[] = {4, 2, 2};
    for (size_t i = 0; i < 3; i++) {
        struct bed bed;
        char yaml[200];
        snprintf(yaml, sizeof(yaml),
            "name: R\ntrigger: {schedule: {every: 1m, overlap: %s}}\nactions: [{operator: x.slow}]\n", words[i]);
        kit_open(&bed, yaml);
        for (int m = 0; m < 4; m++) {
            kit_advance(&bed, MINUTE);
            KIT_UNTIL(&bed, kit_status(&bed, "matched") == m + 1 && peri_store_queued(bed.store) == 0);
        }
        KIT_UNTIL(&bed, kit_calls(&bed, "x.slow") == started[i]);
        kit_reply(&bed, "x.slow", true);
        KIT_UNTIL(&bed, kit_run_count(&bed, "succeeded") == 1);
        if (i == 1) /* the next time finds nobody */
            kit_advance(&bed, MINUTE);
        KIT_UNTIL(&bed, kit_calls(&bed, "x.slow") == after[i]);
        assert_int_equal(kit_run_count(&bed, NULL), after[i]);
        kit_close(&bed);
    }
}

static void test_jitter(void **state)
{
    struct bed bed;
    const char *yaml =
        "name: R\ntrigger: {schedule: {cron: \"0 * * * *\", jitter: 20m}}\n"
        "actions: [{operator: x.ok, params: {t: \"{{ trigger.scheduled_at }}\", l: \"{{ trigger.late_ms }}\"}}]\n";
    kit_open(&bed, yaml);
    int64_t late[24], distinct = 0;
    for (int h = 0; h < 24; h++) {
        int64_t due = peri_pipeline_next_due(bed.pipe);
        kit_advance(&bed, due - bed.fake.wall_ms);
        KIT_UNTIL(&bed, kit_calls(&bed, "x.ok") == (size_t)(h % 6) + 1);
        KIT_QUIET(&bed);
        struct peri_value *v = kit_json(kit_call(&bed, "x.ok", (size_t)(h % 6))->params);
        late[h] = peri_map_int(v, "l", -1);
        assert_int_equal((due - late[h]) % HOUR, 0); /* scheduled_at is the time itself */
        assert_in_range(late[h], 0, 20 * MINUTE - 1);
        distinct += h > 0 && late[h] != late[h - 1];
        peri_value_unref(v);
        if (h % 6 == 5) { /* nothing again, nothing left out */
            kit_restart(&bed, yaml);
            KIT_QUIET(&bed);
            assert_int_equal(kit_calls(&bed, "x.ok"), 0);
        }
    }
    assert_true(distinct > 12);
    kit_close(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cron_over_a_year),
        cmocka_unit_test(test_quiet_hours_over_a_year),
        cmocka_unit_test(test_the_sun_over_a_year),
        cmocka_unit_test(test_down_over_the_changes),
        cmocka_unit_test(test_quiet_hours_over_the_changes),
        cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_jitter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
