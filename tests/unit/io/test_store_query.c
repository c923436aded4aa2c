/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_fixture.h"

#include "io/store_db.h"

static void put(struct fixture *f, const char *type, const char *text)
{
    struct peri_batch *b = peri_batch_create();
    assert_int_equal(peri_batch_entity_put(b, type, json(text)), PERI_OK);
    ok(f, peri_store_run(f->store, batch_fn, b, &f->err));
    peri_batch_destroy(b);
}

/* The ids that the query gives, in order. */
static void assert_found(struct fixture *f, const char *type, const char *where, const char *order, const char *wanted)
{
    struct peri_value *list = NULL, *w = where ? json(where) : NULL;
    struct peri_query q = {.type = type, .where = w, .order = order};
    char got[512] = "";
    size_t count = 0, counted = 0;
    enum peri_status st = peri_reader_query(f->reader, &q, &list, &count, &f->err);
    if (st)
        fail_msg("%s: %s", where, f->err.message);
    for (size_t i = 0; i < peri_value_count(list); i++)
        snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", i ? " " : "",
            peri_map_text(peri_list_at(list, i), "id"));
    if (strcmp(got, wanted) != 0)
        fail_msg("%s order %s: got \"%s\", wanted \"%s\"", where, order ? order : "-", got, wanted);
    peri_value_unref(list);
    q.count_only = true;
    ok(f, peri_reader_query(f->reader, &q, NULL, &counted, &f->err));
    assert_int_equal(counted, count);
    peri_value_unref(w);
}

static void assert_refused(struct fixture *f, const char *where, const char *order, const char *hint)
{
    struct peri_value *w = where ? json(where) : NULL;
    struct peri_query q = {.type = "contact", .where = w, .order = order};
    struct peri_value *list = NULL;
    assert_int_equal(peri_reader_query(f->reader, &q, &list, NULL, &f->err), PERI_EINVAL);
    if (!strstr(f->err.message, hint))
        fail_msg("%s: \"%s\" does not say \"%s\"", where, f->err.message, hint);
    peri_value_unref(w);
}

static void test_operators(void **state)
{
    struct fixture *f = *state;
    put(f, "thing",
        "{\"id\":\"a\",\"n\":1,\"s\":\"apple\",\"on\":true,\"deep\":{\"x\":{\"y\":5}},\"list\":[\"p\",2,true]}");
    put(f, "thing", "{\"id\":\"b\",\"n\":2.5,\"s\":\"apricot\",\"on\":false,\"list\":[]}");
    put(f, "thing", "{\"id\":\"c\",\"n\":\"3\",\"s\":\"\",\"list\":\"p\"}");
    put(f, "thing", "{\"id\":\"d\",\"s\":\"\\u00e9clair\",\"n\":-4}");
    put(f, "other", "{\"id\":\"x\",\"n\":1}");

    assert_found(f, "thing", NULL, NULL, "d c b a");
    assert_found(f, "thing", "{}", "id", "a b c d");
    assert_found(f, "thing", "{\"n\":1}", NULL, "a");
    assert_found(f, "thing", "{\"n\":1.0}", NULL, "a");
    assert_found(f, "thing", "{\"n\":\"3\"}", NULL, "c");
    assert_found(f, "thing", "{\"n\":3}", NULL, "");
    assert_found(f, "thing", "{\"on\":true}", NULL, "a");
    assert_found(f, "thing", "{\"on\":false}", NULL, "b");
    assert_found(f, "thing", "{\"on\":null}", "id", "c d");
    assert_found(f, "thing", "{\"n\":[1,\"3\"]}", "id", "a c");
    assert_found(f, "thing", "{\"on\":[true,null]}", "id", "a c d");
    assert_found(f, "thing", "{\"n\":[]}", NULL, "");
    assert_found(f, "thing", "{\"n\":{\"eq\":2.5}}", NULL, "b");
    assert_found(f, "thing", "{\"n\":{\"ne\":1}}", "id", "b c d");
    assert_found(f, "thing", "{\"on\":{\"ne\":null}}", "id", "a b");
    assert_found(f, "thing", "{\"on\":{\"ne\":true}}", "id", "b c d");
    /* A range of numbers holds numbers only, a range of texts texts only. */
    assert_found(f, "thing", "{\"n\":{\"gt\":1}}", "id", "b");
    assert_found(f, "thing", "{\"n\":{\"gte\":1}}", "id", "a b");
    assert_found(f, "thing", "{\"n\":{\"lt\":2}}", "id", "a d");
    assert_found(f, "thing", "{\"n\":{\"gte\":-4,\"lte\":1}}", "id", "a d");
    assert_found(f, "thing", "{\"n\":{\"lt\":\"9\"}}", "id", "c");
    assert_found(f, "thing", "{\"n\":{\"gt\":\"0\"}}", "id", "c");
    assert_found(f, "thing", "{\"n\":{\"in\":[1,2.5]}}", "id", "a b");
    assert_found(f, "thing", "{\"s\":{\"prefix\":\"ap\"}}", "id", "a b");
    assert_found(f, "thing", "{\"s\":{\"prefix\":\"\\u00e9\"}}", "id", "d");
    assert_found(f, "thing", "{\"s\":{\"prefix\":\"\"}}", "id", "a b c d");
    assert_found(f, "thing", "{\"n\":{\"prefix\":\"\"}}", "id", "c");
    assert_found(f, "thing", "{\"on\":{\"exists\":true}}", "id", "a b");
    assert_found(f, "thing", "{\"on\":{\"exists\":false}}", "id", "c d");
    assert_found(f, "thing", "{\"list\":{\"contains\":\"p\"}}", NULL, "a");
    assert_found(f, "thing", "{\"list\":{\"contains\":2}}", NULL, "a");
    assert_found(f, "thing", "{\"list\":{\"contains\":\"2\"}}", NULL, "");
    assert_found(f, "thing", "{\"deep.x.y\":5}", NULL, "a");
    assert_found(f, "thing", "{\"deep.x.z\":5}", NULL, "");
    assert_found(f, "thing", "{\"id\":\"b\"}", NULL, "b");
    assert_found(f, "thing", "{\"version\":1,\"n\":1}", NULL, "a");
    assert_found(f, "thing", "{\"updatedAt\":{\"gte\":\"2026-01-01T01:00:00+01:00\"}}", "id", "a b c d");
    assert_found(f, "thing", "{\"updatedAt\":{\"gt\":\"2026-01-01T00:00:00Z\"}}", "id", "");
    /* Values are never part of the statement. */
    assert_found(f, "thing", "{\"s\":\"' OR 1=1 --\"}", NULL, "");
    assert_found(f, "nothing", NULL, NULL, "");
}

static void test_order_limit_and_offset(void **state)
{
    struct fixture *f = *state;
    put(f, "thing", "{\"id\":\"a\",\"n\":2,\"m\":\"x\"}");
    put(f, "thing", "{\"id\":\"b\",\"n\":1,\"m\":\"y\"}");
    put(f, "thing", "{\"id\":\"c\",\"n\":2,\"m\":\"z\"}");
    put(f, "thing", "{\"id\":\"d\"}");
    assert_found(f, "thing", NULL, "n", "d b a c");
    assert_found(f, "thing", NULL, "-n", "c a b d");
    assert_found(f, "thing", NULL, "-n, m", "a c b d");
    assert_found(f, "thing", NULL, "-n,-m", "c a b d");
    struct peri_query q = {.type = "thing", .order = "id", .limit = 2, .offset = 1};
    struct peri_value *list = NULL;
    size_t count = 0;
    ok(f, peri_reader_query(f->reader, &q, &list, &count, &f->err));
    assert_int_equal(count, 2);
    assert_string_equal(peri_map_text(peri_list_at(list, 0), "id"), "b");
    peri_value_unref(list);
    q.count_only = true;
    ok(f, peri_reader_query(f->reader, &q, NULL, &count, &f->err));
    assert_int_equal(count, 4);
}

static void test_bad_queries_name_the_field(void **state)
{
    struct fixture *f = *state;
    assert_refused(f, "{\"a b\":1}", NULL, "\"a b\" is not a field name");
    assert_refused(f, "{\"a') OR 1=1 --\":1}", NULL, "is not a field name");
    assert_refused(f, "{\"a'\":1}", NULL, "is not a field name");
    assert_refused(f, "{\"\":1}", NULL, "is not a field name");
    assert_refused(f, "{\"a..b\":1}", NULL, "is not a field name");
    assert_refused(f, "{\"a.\":1}", NULL, "is not a field name");
    assert_refused(f, "{\"1a\":1}", NULL, "is not a field name");
    assert_refused(f, "{\"tags\":{\"contain\":1}}", NULL, "did you mean \"contains\"");
    assert_refused(f, "{\"n\":{}}", NULL, "n: no operator");
    assert_refused(f, "{\"n\":{\"gt\":true}}", NULL, "n: order is known");
    assert_refused(f, "{\"n\":{\"gt\":null}}", NULL, "n: order is known");
    assert_refused(f, "{\"n\":{\"eq\":[1]}}", NULL, "n: compare with");
    assert_refused(f, "{\"n\":[[1]]}", NULL, "n: compare with");
    assert_refused(f, "{\"n\":{\"in\":1}}", NULL, "n: \"in\" takes a list");
    assert_refused(f, "{\"n\":{\"prefix\":1}}", NULL, "n: \"prefix\"");
    assert_refused(f, "{\"n\":{\"exists\":1}}", NULL, "n: \"exists\"");
    assert_refused(f, "{\"n\":{\"contains\":null}}", NULL, "n: \"contains\"");
    assert_refused(f, "{\"updatedAt\":\"yesterday\"}", NULL, "updatedAt: compare with a time");
    assert_refused(f, "[1]", NULL, "where: must be an object");
    assert_refused(f, NULL, "n; DROP TABLE entities", "order: ");
    assert_refused(f, NULL, "--n", "order: ");
    assert_refused(f, NULL, ",", "order: ");
    assert_refused(f, NULL, "a,b,c,d,e,f,g,h,i", "order: more than 8");
    struct peri_query q = {.type = "Contact'"};
    struct peri_value *list;
    assert_int_equal(peri_reader_query(f->reader, &q, &list, NULL, &f->err), PERI_EINVAL);
}

static void test_too_many_values(void **state)
{
    struct fixture *f = *state;
    struct peri_value *in = peri_value_list(), *w = peri_value_map(), *list = NULL;
    for (int i = 0; i < 1001; i++)
        assert_int_equal(peri_list_push(in, peri_value_int(i)), PERI_OK);
    assert_int_equal(peri_map_put(w, "n", in), PERI_OK);
    struct peri_query q = {.type = "thing", .where = w};
    assert_int_equal(peri_reader_query(f->reader, &q, &list, NULL, &f->err), PERI_ELIMIT);
    peri_value_unref(w);
}

static void test_times_compare_whatever_their_zone(void **state)
{
    struct fixture *f = *state;
    put(f, "call", "{\"id\":\"a\",\"startedAt\":\"2026-01-01T02:00:00+02:00\"}");
    put(f, "call", "{\"id\":\"b\",\"startedAt\":\"2026-01-01T00:00:00.500Z\"}");
    put(f, "call",
        "{\"id\":\"c\",\"startedAt\":\"2025-12-31T20:00:01-04:00\",\"nested\":{\"at\":[\"2026-01-01t00:00:00z\"]}}");
    assert_found(f, "call", NULL, "startedAt", "a b c");
    assert_found(f, "call", "{\"startedAt\":{\"gt\":\"2026-01-01T01:00:00+01:00\"}}", "startedAt", "b c");
    assert_found(f, "call", "{\"startedAt\":\"2026-01-01T00:00:00Z\"}", NULL, "a");
    struct peri_value *v = NULL;
    ok(f, peri_reader_entity(f->reader, "call", "c", &v, &f->err));
    assert_json(v,
        "{\"id\":\"c\",\"type\":\"call\",\"startedAt\":\"2026-01-01T00:00:01.000Z\","
        "\"nested\":{\"at\":[\"2026-01-01T00:00:00.000Z\"]},\"version\":1,\"updatedAt\":\"2026-01-01T00:00:00.000Z\"}");
}

/* The plan uses this index and sorts nothing more than `sort` allows. */
static void assert_plan(struct fixture *f, const char *type, const char *where, const char *order, bool count,
    const char *index, bool sorts, int *wrong)
{
    struct peri_value *w = where ? json(where) : NULL;
    struct peri_query q = {.type = type, .where = w, .order = order, .count_only = count, .as_of = 5};
    char *plan = NULL;
    ok(f, peri_query_plan(f->reader, &q, &plan, &f->err));
    if (!strstr(plan, index) || (!sorts && strstr(plan, "USE TEMP B-TREE FOR ORDER"))) {
        print_message(
            "%s %s order %s: wanted %s, got:\n%s", type, where ? where : "-", order ? order : "-", index, plan);
        *wrong += 1;
    }
    free(plan);
    peri_value_unref(w);
}

static void test_usual_questions_use_their_indexes(void **state)
{
    struct fixture *f = *state;
    int wrong = 0;
    const char *window = "{\"contactId\":\"c\",\"missed\":true,\"direction\":\"inbound\",\"startedAt\":{\"gte\":\"2026-"
                         "01-01T00:00:00Z\"}}";
    assert_plan(f, "call", window, NULL, true, "entity_call_contact (<expr>=? AND <expr>>?)", false, &wrong);
    assert_plan(f, "call", "{\"missed\":true,\"startedAt\":{\"gte\":\"2026-01-01T00:00:00Z\"}}", NULL, true,
        "entity_call_started", false, &wrong);
    assert_plan(
        f, "call", "{\"contactId\":\"c\"}", "-startedAt", false, "entity_call_contact (<expr>=?)", false, &wrong);
    assert_plan(f, "call", NULL, "-startedAt", false, "entity_call_started", false, &wrong);
    assert_plan(f, "message", "{\"contactId\":\"c\",\"channelType\":\"sms\"}", "-sentAt", false,
        "entity_message_contact", false, &wrong);
    assert_plan(f, "message", "{\"sentAt\":{\"gt\":\"2026\"}}", "sentAt", false, "entity_message_sent", false, &wrong);
    assert_plan(
        f, "message", "{\"conversationId\":\"v\"}", "-sentAt", false, "entity_message_conversation", false, &wrong);
    assert_plan(f, "conversation", "{\"contactId\":\"c\",\"channelType\":\"sms\"}", NULL, false,
        "entity_conversation_contact", true, &wrong);
    assert_plan(f, "voicemail", "{\"contactId\":\"c\",\"listened\":false}", NULL, true, "entity_voicemail_contact",
        false, &wrong);
    assert_plan(f, "voicemail", "{\"listened\":false}", NULL, true, "entity_voicemail_listened", false, &wrong);
    assert_plan(f, "task", "{\"contactId\":\"c\",\"status\":\"pending\",\"kind\":\"follow_up\"}", "dueAt", false,
        "entity_task_contact", false, &wrong);
    assert_plan(f, "task", "{\"status\":\"pending\",\"kind\":\"follow_up\"}", "dueAt", false, "entity_task_status",
        false, &wrong);
    assert_plan(f, "task", "{\"status\":\"pending\",\"dueAt\":{\"lt\":\"2027\"}}", "dueAt", false,
        "entity_task_status (<expr>=? AND", false, &wrong);
    assert_plan(f, "calendar_event", "{\"startsAt\":{\"gte\":\"2026\",\"lt\":\"2027\"}}", "startsAt", false,
        "entity_calendar_starts", false, &wrong);
    assert_plan(f, "email", "{\"messageId\":\"m\"}", NULL, false, "entity_email_message", true, &wrong);
    assert_plan(f, "email", "{\"contactId\":\"c\"}", "-receivedAt", false, "entity_email_contact", false, &wrong);
    assert_plan(f, "place", "{\"placeType\":\"work\"}", NULL, false, "entity_place_type", true, &wrong);
    assert_plan(f, "presence", "{\"userId\":\"u\"}", "-since", false, "entity_presence_user", false, &wrong);
    assert_plan(f, "presence", "{\"deviceId\":\"u\"}", "-since", false, "entity_presence_device", false, &wrong);
    assert_plan(f, "presence", "{\"placeId\":\"u\"}", NULL, true, "entity_presence_place", false, &wrong);
    assert_plan(f, "contact", "{\"displayName\":{\"prefix\":\"A\"}}", "displayName", false, "entity_contact_name",
        false, &wrong);
    assert_plan(
        f, "contact", "{\"tags\":{\"contains\":\"vip\"}}", NULL, false, "entity_terms USING PRIMARY KEY", true, &wrong);
    assert_plan(f, "contact", "{\"id\":\"c\"}", NULL, false, "entities_id", true, &wrong);
    assert_plan(
        f, "contact", "{\"source\":\"s\",\"externalId\":\"e\"}", NULL, false, "entities_external", true, &wrong);
    assert_plan(f, "anything", NULL, NULL, false, "entities_type", false, &wrong);
    assert_plan(f, "anything", "{\"x\":1}", NULL, false, "entities_type", false, &wrong);
    assert_int_equal(wrong, 0);
}

/* A rule sees data as of its event: what came in before it or in the same batch before it. */
static void test_as_of_an_event(void **state)
{
    struct fixture *f = *state;
    struct peri_batch *b = peri_batch_create();
    insert_event(f, "first", NULL, "{}");
    put(f, "call", "{\"id\":\"after-first\"}");
    assert_int_equal(peri_batch_entity_put(b, "call", json("{\"id\":\"with-second\"}")), PERI_OK);
    assert_int_equal(peri_batch_event(b, make_event("second", NULL, "{}")), PERI_OK);
    assert_int_equal(peri_batch_entity_put(b, "call", json("{\"id\":\"with-third\"}")), PERI_OK);
    assert_int_equal(peri_batch_event(b, make_event("third", NULL, "{}")), PERI_OK);
    assert_int_equal(peri_batch_entity_put(b, "call", json("{\"id\":\"tail\"}")), PERI_OK);
    ok(f, peri_store_run(f->store, batch_fn, b, &f->err));
    peri_batch_destroy(b);
    static const char *const wanted[] = {"tail with-third with-second after-first", "after-first",
        "with-second after-first", "tail with-third with-second after-first"};
    for (uint64_t as_of = 0; as_of <= 3; as_of++) {
        struct peri_query q = {.type = "call", .as_of = as_of};
        struct peri_value *list = NULL;
        char got[128] = "";
        ok(f, peri_reader_query(f->reader, &q, &list, NULL, &f->err));
        for (size_t i = 0; i < peri_value_count(list); i++)
            snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", i ? " " : "",
                peri_map_text(peri_list_at(list, i), "id"));
        assert_string_equal(got, wanted[as_of]);
        peri_value_unref(list);
    }
}

static void test_long_reading_is_cut_off(void **state)
{
    struct fixture *f = *state;
    struct peri_stmt q;
    peri_db_limit(&((struct peri_reader *)f->reader)->db, 1000000);
    ok(f, peri_stmt_open_text(&q, &f->reader->db,
              "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT max(i) FROM n", &f->err));
    bool row;
    assert_int_equal(peri_stmt_row(&q, &row, &f->err), PERI_ETIMEOUT);
    peri_stmt_close(&q);
    assert_found(f, "thing", NULL, NULL, "");
}

#define M(name) cmocka_unit_test_setup_teardown(name, fixture_setup_memory, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        M(test_operators),
        M(test_order_limit_and_offset),
        M(test_bad_queries_name_the_field),
        M(test_too_many_values),
        M(test_times_compare_whatever_their_zone),
        M(test_usual_questions_use_their_indexes),
        M(test_as_of_an_event),
        M(test_long_reading_is_cut_off),
    };
    return cmocka_run_group_tests_name("store_query", tests, NULL, NULL);
}
