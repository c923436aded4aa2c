/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_fixture.h"

#include "io/store_db.h"

static void test_event_round_trip(void **state)
{
    struct fixture *f = *state;
    struct peri_event *e = make_event("comms.CallMissed", "call-1", "{\"from\":\"+49\"}"), *back = NULL;
    e->subject = peri_strdup("s");
    e->hops = 2;
    e->cause = peri_strdup("run-9");
    e->replay_of = 7;
    e->target_rule = peri_strdup("r");
    e->target_trigger = peri_strdup("t1");
    e->extensions = json("{\"traceparent\":\"00\"}");
    ok(f, peri_store_run(f->store, insert_fn, e, &f->err));
    assert_int_equal(e->seq, 1);
    assert_false(e->duplicate);
    ok(f, peri_reader_event(f->reader, 1, &back, &f->err));
    assert_string_equal(back->target_rule, "r");
    assert_string_equal(back->target_trigger, "t1");
    assert_int_equal(back->data_len, strlen(back->data));
    struct peri_value *v = NULL;
    ok(f, peri_event_value(back, &v, &f->err));
    assert_json(v,
        "{\"id\":\"ev-1\",\"source\":\"test\",\"type\":\"comms.CallMissed\",\"time\":\"2025-12-31T23:59:59.000Z\","
        "\"received\":\"2026-01-01T00:00:00.000Z\",\"subject\":\"s\",\"external_id\":\"call-1\",\"hops\":2,\"cause\":"
        "\"run-9\","
        "\"replay_of\":\"ev-7\",\"extensions\":{\"traceparent\":\"00\"},\"data\":{\"from\":\"+49\"}}");
    ok(f, peri_reader_event_value(f->reader, 1, &v, &f->err));
    assert_string_equal(peri_map_text(v, "state"), "journaled");
    peri_value_unref(v);
    peri_event_unref(back);
    peri_event_unref(e);
}

static void test_plain_event_has_no_optional_members(void **state)
{
    struct fixture *f = *state;
    struct peri_value *v = NULL;
    insert_event(f, "a", NULL, "null");
    ok(f, peri_reader_event_value(f->reader, 1, &v, &f->err));
    assert_json(v, "{\"id\":\"ev-1\",\"source\":\"test\",\"type\":\"a\",\"time\":\"2025-12-31T23:59:59.000Z\","
                   "\"received\":\"2026-01-01T00:00:00.000Z\",\"hops\":0,\"state\":\"journaled\",\"data\":null}");
}

static void test_duplicate_gets_the_first_ones_number(void **state)
{
    struct fixture *f = *state;
    struct peri_event *again = make_event("other", "x", "{}"), *elsewhere = make_event("a", "x", "{}");
    assert_int_equal(insert_event(f, "a", "x", "{}"), 1);
    assert_int_equal(insert_event(f, "a", NULL, "{}"), 2);
    ok(f, peri_store_run(f->store, insert_fn, again, &f->err));
    assert_true(again->duplicate);
    assert_int_equal(again->seq, 1);
    free(elsewhere->source);
    elsewhere->source = peri_strdup("another source");
    ok(f, peri_store_run(f->store, insert_fn, elsewhere, &f->err));
    assert_false(elsewhere->duplicate);
    assert_int_equal(elsewhere->seq, 3);
    /* No external id: never a duplicate. */
    assert_int_equal(insert_event(f, "a", NULL, "{}"), 4);
    peri_event_unref(again);
    peri_event_unref(elsewhere);
    fixture_close(f);
    fixture_open(f);
    assert_int_equal(insert_event(f, "a", "x", "{}"), 1);
    assert_int_equal(insert_event(f, "a", "y", "{}"), 5);
}

static void test_duplicates_are_told_apart_whatever_source_and_id_are(void **state)
{
    struct fixture *f = *state;
    char l64[65], l65[66], other65[66], huge[5001];
    memset(l64, 'x', 64);
    memset(l65, 'x', 65);
    memset(huge, 'x', 5000);
    l64[64] = l65[65] = huge[5000] = 0;
    memcpy(other65, l65, sizeof(l65));
    other65[64] = 'y';
    /* Where one part ends and the other begins; ids that look like parts of a key; long ones on both sides. */
    const char *const pairs[][2] = {{"a", "bc"}, {"ab", "c"}, {"abc", "1"}, {"a", "b"}, {"a", "b c"}, {"a", "B"},
        {"a", "\001"}, {"a\001", "b"}, {"\001a", "b"}, {"a", "\377\377"}, {"a", "1"}, {"a", "01"}, {"a", "\2011"},
        {"a", "x1"}, {"a", "x\2011"}, {"a", "x01"}, {l64, "b"}, {l65, "b"}, {other65, "b"}, {"a", l64}, {"a", l65},
        {"a", other65}, {l65, l65}, {l65, other65}, {other65, l65}, {huge, huge}, {"a", huge}};
    size_t count = sizeof(pairs) / sizeof(pairs[0]);
    for (size_t round = 0; round < 2; round++)
        for (size_t i = 0; i < count; i++)
            if (is_known(f, pairs[i][0], pairs[i][1]) != (round > 0))
                fail_msg("pair %zu, round %zu", i, round);
    fixture_close(f);
    fixture_open(f);
    for (size_t i = 0; i < count; i++)
        assert_true(is_known(f, pairs[i][0], pairs[i][1]));
}

static enum peri_status twice_then_fail(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct peri_event *e = make_event("a", "lost", "{}");
    enum peri_status st = peri_tx_event_insert(tx, e, err);
    *(uint64_t *)arg = e->seq;
    peri_event_unref(e);
    return st ? st : PERI_EINVAL;
}

static void test_rolled_back_event_leaves_no_trace(void **state)
{
    struct fixture *f = *state;
    uint64_t seq = 0;
    assert_int_equal(peri_store_run(f->store, twice_then_fail, &seq, &f->err), PERI_EINVAL);
    assert_int_equal(seq, 1);
    assert_int_equal(insert_event(f, "a", "lost", "{}"), 1);
}

static void test_event_needs_source_and_type(void **state)
{
    struct fixture *f = *state;
    struct peri_event *e = make_event("", NULL, "{}");
    assert_int_equal(peri_store_run(f->store, insert_fn, e, &f->err), PERI_EINVAL);
    peri_event_unref(e);
}

struct done {
    uint64_t seq;
    enum peri_event_state state;
    const char *verdicts;
};

static enum peri_status done_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct done *d = arg;
    return peri_tx_event_done(tx, d->seq, d->state, d->verdicts, err);
}

struct seen {
    uint64_t seq[16];
    bool damaged[16];
    size_t count, stop_after;
};

static enum peri_status see(void *arg, struct peri_event *event)
{
    struct seen *s = arg;
    s->damaged[s->count] = event->damaged;
    s->seq[s->count++] = event->seq;
    return s->stop_after && s->count == s->stop_after ? PERI_ELIMIT : PERI_OK;
}

static void test_unmatched_in_order(void **state)
{
    struct fixture *f = *state;
    struct done d = {2, PERI_EVENT_MATCHED, "[{\"rule\":\"r\",\"verdict\":\"fired\"}]"};
    struct seen s = {.count = 0};
    for (int i = 0; i < 5; i++)
        insert_event(f, "a", NULL, "{}");
    ok(f, peri_store_run(f->store, done_fn, &d, &f->err));
    ok(f, peri_reader_unmatched(f->reader, 0, 3, see, &s, &f->err));
    assert_int_equal(s.count, 3);
    assert_int_equal(s.seq[0], 1);
    assert_int_equal(s.seq[1], 3);
    assert_int_equal(s.seq[2], 4);
    s = (struct seen){.count = 0};
    ok(f, peri_reader_unmatched(f->reader, 3, 10, see, &s, &f->err));
    assert_int_equal(s.count, 2);
    s = (struct seen){.stop_after = 1};
    assert_int_equal(peri_reader_unmatched(f->reader, 0, 10, see, &s, &f->err), PERI_ELIMIT);
    assert_int_equal(s.count, 1);
    /* An event is matched once. */
    assert_int_equal(peri_store_run(f->store, done_fn, &d, &f->err), PERI_ESTATE);
    struct peri_value *list = NULL;
    ok(f, peri_reader_verdicts(f->reader, 2, &list, &f->err));
    assert_json(list, "[{\"rule\":\"r\",\"verdict\":\"fired\"}]");
    ok(f, peri_reader_verdicts(f->reader, 1, &list, &f->err));
    assert_json(list, "[]");
    assert_int_equal(peri_reader_verdicts(f->reader, 77, &list, &f->err), PERI_ENOTFOUND);
}

static void assert_ids(struct fixture *f, const struct peri_event_filter *filter, const char *wanted)
{
    struct peri_value *list = NULL;
    char got[256] = "";
    ok(f, peri_reader_events(f->reader, filter, &list, &f->err));
    for (size_t i = 0; i < peri_value_count(list); i++)
        snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", i ? " " : "",
            peri_map_text(peri_list_at(list, i), "id"));
    assert_string_equal(got, wanted);
    peri_value_unref(list);
}

static void test_lists_and_filters(void **state)
{
    struct fixture *f = *state;
    static const char *const types[] = {
        "comms.CallMissed", "comms.sms.Received", "location.PlaceArrived", "comms.CallEnded", "comms"};
    for (size_t i = 0; i < 5; i++)
        insert_event(f, types[i], NULL, "{}");
    assert_ids(f, &(struct peri_event_filter){0}, "ev-5 ev-4 ev-3 ev-2 ev-1");
    assert_ids(f, &(struct peri_event_filter){.limit = 2}, "ev-5 ev-4");
    assert_ids(f, &(struct peri_event_filter){.limit = 2, .before = 4}, "ev-3 ev-2");
    assert_ids(f, &(struct peri_event_filter){.limit = 2, .after = 1}, "ev-2 ev-3");
    assert_ids(f, &(struct peri_event_filter){.type = "comms.CallEnded"}, "ev-4");
    assert_ids(f, &(struct peri_event_filter){.type = "comms.*"}, "ev-4 ev-1");
    assert_ids(f, &(struct peri_event_filter){.type = "comms.Call*", .limit = 1}, "ev-4");
    assert_ids(f, &(struct peri_event_filter){.type = "comms.**"}, "ev-5 ev-4 ev-2 ev-1");
    assert_ids(f, &(struct peri_event_filter){.type = "**"}, "ev-5 ev-4 ev-3 ev-2 ev-1");
    assert_ids(f, &(struct peri_event_filter){.type = "*.*.Received"}, "ev-2");
    assert_ids(f, &(struct peri_event_filter){.source = "elsewhere"}, "");
}

static void test_flipped_bytes_are_noticed(void **state)
{
    struct fixture *f = *state;
    struct peri_db db;
    struct seen s = {.count = 0};
    struct peri_event *e = NULL;
    struct peri_value *v = NULL;
    insert_event(f, "a", NULL, "{\"amount\":100}");
    insert_event(f, "a", NULL, "{}");
    ok(f, peri_db_open(&db, peri_store_path(f->store), PERI_DB_WRITE, &f->err));
    ok(f, peri_db_exec(&db, "UPDATE events SET body='{\"amount\":900}' WHERE seq=1", &f->err));
    peri_db_finish(&db);
    assert_int_equal(peri_reader_event(f->reader, 1, &e, &f->err), PERI_ECORRUPT);
    assert_string_equal(f->err.code, "corrupt.event");
    assert_non_null(strstr(f->err.message, "ev-1"));
    assert_int_equal(peri_reader_event_value(f->reader, 1, &v, &f->err), PERI_ECORRUPT);
    /* It does not hold up the others, and lists show it for what it is. */
    ok(f, peri_reader_unmatched(f->reader, 0, 10, see, &s, &f->err));
    assert_int_equal(s.count, 2);
    assert_true(s.damaged[0]);
    assert_false(s.damaged[1]);
    ok(f, peri_reader_events(f->reader, &(struct peri_event_filter){0}, &v, &f->err));
    assert_true(peri_map_bool(peri_list_at(v, 1), "damaged", false));
    peri_value_unref(v);
}

static void test_batch_stands_or_falls(void **state)
{
    struct fixture *f = *state;
    struct peri_batch *b = peri_batch_create();
    assert_int_equal(peri_batch_event(b, make_event("a", "1", "{}")), PERI_OK);
    assert_int_equal(peri_batch_event(b, make_event("a", "1", "{}")), PERI_OK);
    assert_int_equal(peri_batch_entity_put(b, "contact", json("{\"id\":\"c1\",\"displayName\":\"Ada\"}")), PERI_OK);
    assert_int_equal(peri_batch_event(b, make_event("b", NULL, "{}")), PERI_OK);
    assert_int_equal(peri_batch_count(b), 4);
    assert_int_equal(peri_batch_events(b), 3);
    assert_true(peri_batch_bytes(b) > 0);
    ok(f, peri_store_run(f->store, batch_fn, b, &f->err));
    assert_int_equal(peri_batch_event_at(b, 0)->seq, 1);
    assert_true(peri_batch_event_at(b, 1)->duplicate);
    assert_int_equal(peri_batch_event_at(b, 1)->seq, 1);
    assert_int_equal(peri_batch_event_at(b, 2)->seq, 2);
    assert_null(peri_batch_event_at(b, 3));
    peri_batch_destroy(b);

    b = peri_batch_create();
    assert_int_equal(peri_batch_event(b, make_event("a", "2", "{}")), PERI_OK);
    assert_int_equal(peri_batch_entity_put(b, "Bad Type", json("{}")), PERI_OK);
    assert_int_equal(peri_store_run(f->store, batch_fn, b, &f->err), PERI_EINVAL);
    assert_ids(f, &(struct peri_event_filter){0}, "ev-2 ev-1");
    peri_batch_destroy(b);
}

static void test_ids(void **state)
{
    char out[PERI_ID_TEXT];
    uint64_t n = 0;
    assert_string_equal(peri_event_id(12, out), "ev-12");
    assert_string_equal(peri_run_id(7, out), "run-7");
    assert_true(peri_event_id_parse("ev-12", &n));
    assert_int_equal(n, 12);
    assert_true(peri_run_id_parse("run-9223372036854775807", &n));
    static const char *const wrong[] = {"", "ev", "ev-", "ev-0", "ev-01", "ev--1", "ev-+1", "ev- 1", "ev-1x", "run-1",
        "EV-1", "ev-9223372036854775808", "12"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(peri_event_id_parse(wrong[i], &n));
    assert_false(peri_event_id_parse(NULL, &n));
}

#define M(name) cmocka_unit_test_setup_teardown(name, fixture_setup_memory, fixture_teardown)

static enum peri_status many(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    for (int i = 0; !st && i < 5000; i++) {
        struct peri_event *e = peri_event_create();
        e->source = peri_strdup("s");
        e->type = peri_strdup(i == 10 || i == 4000 ? "rare.One" : "usual.One");
        e->data = peri_strdup("{}");
        e->data_len = 2;
        st = peri_tx_event_insert(tx, e, err);
        peri_event_unref(e);
    }
    return st;
}

/* Whatever the pieces are, going on where a list ended early brings each event once and in order. */
static void test_rare_events_are_found_piece_by_piece(void **state)
{
    struct fixture *f = *state;
    struct peri_value *list = NULL;
    uint64_t next = 77;
    ok(f, peri_store_run(f->store, many, NULL, &f->err));
    struct peri_event_filter filter = {.type = "rare.One", .ret_next = &next};
    ok(f, peri_reader_events(f->reader, &filter, &list, &f->err));
    assert_int_equal(next, 0); /* there was time for all of it */
    assert_int_equal(peri_value_count(list), 2);
    assert_string_equal(peri_map_text(peri_list_at(list, 0), "id"), "ev-4001");
    peri_value_unref(list);
    filter = (struct peri_event_filter){.type = "rare.*", .after = 5, .limit = 1};
    ok(f, peri_reader_events(f->reader, &filter, &list, &f->err));
    assert_string_equal(peri_map_text(peri_list_at(list, 0), "id"), "ev-11");
    peri_value_unref(list);
    filter = (struct peri_event_filter){.type = "rare.One", .before = 4001};
    ok(f, peri_reader_events(f->reader, &filter, &list, &f->err));
    assert_int_equal(peri_value_count(list), 1);
    peri_value_unref(list);
    filter = (struct peri_event_filter){.limit = 1000};
    uint64_t seen = 0;
    for (size_t count = 1000; count == 1000;) {
        ok(f, peri_reader_events(f->reader, &filter, &list, &f->err));
        count = peri_value_count(list);
        for (size_t i = 0; i < count; i++) {
            uint64_t seq;
            assert_true(peri_event_id_parse(peri_map_text(peri_list_at(list, i), "id"), &seq));
            assert_int_equal(seq, 5000 - seen++);
            filter.before = seq;
        }
        peri_value_unref(list);
    }
    assert_int_equal(seen, 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rare_events_are_found_piece_by_piece, fixture_setup, fixture_teardown),
        M(test_event_round_trip),
        M(test_plain_event_has_no_optional_members),
        cmocka_unit_test_setup_teardown(test_duplicate_gets_the_first_ones_number, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(
            test_duplicates_are_told_apart_whatever_source_and_id_are, fixture_setup, fixture_teardown),
        M(test_rolled_back_event_leaves_no_trace),
        M(test_event_needs_source_and_type),
        M(test_unmatched_in_order),
        M(test_lists_and_filters),
        M(test_flipped_bytes_are_noticed),
        M(test_batch_stands_or_falls),
        cmocka_unit_test(test_ids),
    };
    return cmocka_run_group_tests_name("store_events", tests, NULL, NULL);
}
