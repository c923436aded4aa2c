/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_fixture.h"
#include "io/store_watch.h"

#include "io/store_db.h"

struct put {
    const char *type;
    struct peri_value *patch, *stored;
    bool created;
};

static enum peri_status put_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct put *p = arg;
    return peri_tx_entity_put(tx, p->type, p->patch, &p->stored, &p->created, err);
}

/* Returns what was stored. */
static struct peri_value *put(struct fixture *f, const char *type, const char *patch, bool *ret_created)
{
    struct put p = {.type = type, .patch = json(patch)};
    ok(f, peri_store_run(f->store, put_fn, &p, &f->err));
    peri_value_unref(p.patch);
    if (ret_created)
        *ret_created = p.created;
    return p.stored;
}

static void put_only(struct fixture *f, const char *type, const char *patch)
{
    peri_value_unref(put(f, type, patch, NULL));
}

static enum peri_status put_status(struct fixture *f, const char *type, const char *patch)
{
    struct put p = {.type = type, .patch = json(patch)};
    enum peri_status st = peri_store_run(f->store, put_fn, &p, &f->err);
    peri_value_unref(p.patch);
    peri_value_unref(p.stored);
    return st;
}

#define NOW "\"updatedAt\":\"2026-01-01T00:00:00.000Z\""

static void test_put_merges_and_null_removes(void **state)
{
    struct fixture *f = *state;
    bool created = false;
    struct peri_value *v =
        put(f, "contact", "{\"id\":\"c1\",\"displayName\":\"Ada\",\"timezone\":\"UTC\",\"tags\":[\"vip\"]}", &created);
    assert_true(created);
    assert_json(v, "{\"id\":\"c1\",\"type\":\"contact\",\"displayName\":\"Ada\",\"timezone\":\"UTC\",\"tags\":[\"vip\"]"
                   ",\"version\":1," NOW "}");
    peri_clock_fake_advance(&f->fake, 1000);
    v = put(f, "contact", "{\"id\":\"c1\",\"displayName\":\"Ada L.\",\"timezone\":null}", &created);
    assert_false(created);
    assert_json(v, "{\"id\":\"c1\",\"type\":\"contact\",\"displayName\":\"Ada L.\",\"tags\":[\"vip\"],\"version\":2,"
                   "\"updatedAt\":\"2026-01-01T00:00:01.000Z\"}");
    /* What changes nothing is no new version: the public form can be put back as it is. */
    peri_clock_fake_advance(&f->fake, 1000);
    v = put(f, "contact",
        "{\"id\":\"c1\",\"type\":\"contact\",\"version\":77,\"updatedAt\":\"x\",\"displayName\":\"Ada L.\"}", &created);
    assert_int_equal(peri_map_int(v, "version", 0), 2);
    peri_value_unref(v);
}

static void test_found_by_source_and_external_id(void **state)
{
    struct fixture *f = *state;
    bool created;
    char id[128], first[128];
    struct peri_value *v =
        put(f, "call", "{\"source\":\"twilio\",\"externalId\":\"CA1\",\"status\":\"ringing\"}", &created);
    snprintf(first, sizeof(first), "%s", peri_map_text(v, "id"));
    assert_true(peri_str_starts(first, "call-"));
    peri_value_unref(v);
    v = put(f, "call", "{\"source\":\"twilio\",\"externalId\":\"CA1\",\"status\":\"busy\"}", &created);
    assert_false(created);
    assert_string_equal(peri_map_text(v, "id"), first);
    assert_string_equal(peri_map_text(v, "status"), "busy");
    assert_string_equal(peri_map_text(v, "externalId"), "CA1");
    peri_value_unref(v);
    /* Told beforehand, and the same in every database. */
    struct peri_value *patch = json("{\"source\":\"twilio\",\"externalId\":\"CA2\"}");
    ok(f, peri_entity_id(f->reader, "call", patch, T0, id, &f->err));
    peri_value_unref(patch);
    v = put(f, "call", "{\"source\":\"twilio\",\"externalId\":\"CA2\"}", &created);
    assert_true(created);
    assert_string_equal(peri_map_text(v, "id"), id);
    peri_value_unref(v);
    /* Another source or type is another thing. */
    v = put(f, "call", "{\"source\":\"other\",\"externalId\":\"CA1\"}", &created);
    assert_true(created);
    peri_value_unref(v);
    v = put(f, "message", "{\"source\":\"twilio\",\"externalId\":\"CA1\"}", &created);
    assert_true(created);
    peri_value_unref(v);
    /* Providers with numeric ids; an id of ours stays when the provider's is learnt later. */
    put_only(f, "call", "{\"id\":\"mine\",\"status\":\"new\"}");
    put_only(f, "call", "{\"id\":\"mine\",\"source\":\"x\",\"externalId\":42}");
    v = put(f, "call", "{\"source\":\"x\",\"externalId\":\"42\"}", &created);
    assert_false(created);
    assert_string_equal(peri_map_text(v, "id"), "mine");
    peri_value_unref(v);
    assert_int_equal(put_status(f, "call", "{\"id\":\"thief\",\"source\":\"x\",\"externalId\":\"42\"}"), PERI_EEXIST);
    assert_non_null(strstr(f->err.message, "externalId \"42\""));
}

static void test_new_ids_without_a_key_differ(void **state)
{
    struct fixture *f = *state;
    struct peri_value *a = put(f, "task", "{\"title\":\"x\"}", NULL), *b = put(f, "task", "{\"title\":\"x\"}", NULL);
    assert_int_equal(strlen(peri_map_text(a, "id")), 26);
    assert_string_not_equal(peri_map_text(a, "id"), peri_map_text(b, "id"));
    peri_value_unref(a);
    peri_value_unref(b);
}

static void test_bad_entities_are_refused(void **state)
{
    struct fixture *f = *state;
    char deep[400] = "{\"x\":";
    static const char *const types[] = {"", "Contact", "a b", "1a", "_a", "a-b", "a'"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        assert_int_equal(put_status(f, types[i], "{}"), PERI_EINVAL);
    assert_int_equal(put_status(f, "contact", "[]"), PERI_EINVAL);
    assert_int_equal(put_status(f, "contact", "{\"id\":1}"), PERI_EINVAL);
    assert_int_equal(put_status(f, "contact", "{\"id\":\"\"}"), PERI_EINVAL);
    assert_int_equal(put_status(f, "contact", "{\"id\":\"a\\nb\"}"), PERI_EINVAL);
    assert_int_equal(put_status(f, "contact", "{\"source\":\"s\",\"externalId\":[]}"), PERI_EINVAL);
    for (int i = 0; i < 60; i++)
        strcat(deep, "[");
    for (int i = 0; i < 60; i++)
        strcat(deep, "]");
    strcat(deep, "}");
    assert_int_equal(put_status(f, "contact", deep), PERI_OK);
    struct peri_value *bottom = peri_value_list();
    for (int i = 0; i < 80; i++) {
        struct peri_value *up = peri_value_list();
        assert_int_equal(peri_list_push(up, bottom), PERI_OK);
        bottom = up;
    }
    struct put p = {.type = "contact", .patch = peri_value_map()};
    assert_int_equal(peri_map_put(p.patch, "x", bottom), PERI_OK);
    assert_int_equal(peri_store_run(f->store, put_fn, &p, &f->err), PERI_ELIMIT);
    peri_value_unref(p.patch);
}

static void test_large_entity_is_refused(void **state)
{
    struct fixture *f = *state;
    char *big = malloc((2 << 20) + 1);
    memset(big, 'x', 2 << 20);
    big[2 << 20] = '\0';
    struct put p = {.type = "message", .patch = peri_value_map()};
    assert_int_equal(peri_map_put_text(p.patch, "body", big), PERI_OK);
    assert_int_equal(peri_store_run(f->store, put_fn, &p, &f->err), PERI_ELIMIT);
    peri_value_unref(p.patch);
    free(big);
}

static size_t contacts_with(struct fixture *f, const char *where)
{
    struct peri_value *w = json(where);
    struct peri_query q = {.type = "contact", .where = w, .count_only = true};
    size_t n = 0;
    ok(f, peri_reader_query(f->reader, &q, NULL, &n, &f->err));
    peri_value_unref(w);
    return n;
}

static enum peri_status delete_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    bool existed = false;
    enum peri_status st = peri_tx_entity_delete(tx, "contact", arg, &existed, err);
    return st ? st : existed ? PERI_OK : PERI_ENOTFOUND;
}

static void test_terms_follow_the_list(void **state)
{
    struct fixture *f = *state;
    struct peri_value *v = NULL;
    char id[] = "a";
    put_only(f, "contact", "{\"id\":\"a\",\"tags\":[\"vip\",\"vip\",\"family\",7],\"phoneNumbers\":[\"+4930123\"]}");
    put_only(f, "contact", "{\"id\":\"b\",\"tags\":[\"vip\"]}");
    put_only(f, "contact", "{\"id\":\"c\",\"tags\":\"vip\"}");
    assert_int_equal(contacts_with(f, "{\"tags\":{\"contains\":\"vip\"}}"), 2);
    assert_int_equal(contacts_with(f, "{\"tags\":{\"contains\":7}}"), 1);
    assert_int_equal(contacts_with(f, "{\"tags\":{\"contains\":\"7\"}}"), 0);
    assert_int_equal(contacts_with(f, "{\"phoneNumbers\":{\"contains\":\"+4930123\"}}"), 1);
    put_only(f, "contact", "{\"id\":\"a\",\"tags\":[\"family\"]}");
    assert_int_equal(contacts_with(f, "{\"tags\":{\"contains\":\"vip\"}}"), 1);
    assert_int_equal(contacts_with(f, "{\"tags\":{\"contains\":\"family\"}}"), 1);
    put_only(f, "contact", "{\"id\":\"b\",\"tags\":null}");
    assert_int_equal(contacts_with(f, "{\"tags\":{\"contains\":\"vip\"}}"), 0);
    ok(f, peri_store_run(f->store, delete_fn, id, &f->err));
    assert_int_equal(contacts_with(f, "{\"tags\":{\"contains\":\"family\"}}"), 0);
    assert_int_equal(peri_reader_entity(f->reader, "contact", "a", &v, &f->err), PERI_ENOTFOUND);
    assert_string_equal(f->err.message, "there is no contact a");
    assert_int_equal(peri_store_run(f->store, delete_fn, id, &f->err), PERI_ENOTFOUND);
}

/* ---- plugin storage ---- */

struct kv {
    const char *key;
    struct peri_value *value;
    int64_t expires;
};

static enum peri_status kv_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct kv *k = arg;
    return peri_tx_kv_set(tx, "plug", k->key, k->value, k->expires, err);
}

static void kv_set(struct fixture *f, const char *key, const char *value, int64_t expires)
{
    struct kv k = {key, value ? json(value) : NULL, expires};
    ok(f, peri_store_run(f->store, kv_fn, &k, &f->err));
    peri_value_unref(k.value);
}

static void test_plugin_storage(void **state)
{
    struct fixture *f = *state;
    struct peri_value *v = NULL;
    kv_set(f, "a:1", "{\"x\":1}", 0);
    kv_set(f, "a:2", "null", T0 + 1000);
    kv_set(f, "a:3", "3", 0);
    kv_set(f, "b", "\"text\"", 0);
    kv_set(f, "a:1", "[1]", 0);
    kv_set(f, "a:3", NULL, 0);
    ok(f, peri_reader_kv_get(f->reader, "plug", "a:1", T0, &v, &f->err));
    assert_json(v, "[1]");
    ok(f, peri_reader_kv_get(f->reader, "plug", "a:2", T0, &v, &f->err));
    assert_json(v, "null");
    assert_int_equal(peri_reader_kv_get(f->reader, "plug", "a:2", T0 + 1000, &v, &f->err), PERI_ENOTFOUND);
    assert_int_equal(peri_reader_kv_get(f->reader, "plug", "a:3", T0, &v, &f->err), PERI_ENOTFOUND);
    assert_int_equal(peri_reader_kv_get(f->reader, "other", "b", T0, &v, &f->err), PERI_ENOTFOUND);
    ok(f, peri_reader_kv_list(f->reader, "plug", "a:", T0, 10, &v, &f->err));
    assert_json(v, "[\"a:1\",\"a:2\"]");
    ok(f, peri_reader_kv_list(f->reader, "plug", NULL, T0 + 5000, 0, &v, &f->err));
    assert_json(v, "[\"a:1\",\"b\"]");
    ok(f, peri_reader_kv_list(f->reader, "plug", "", T0, 1, &v, &f->err));
    assert_json(v, "[\"a:1\"]");
}

/* ---- outbox ---- */

struct message {
    struct peri_value *v;
    const char *key;
    uint64_t id;
};

static enum peri_status outbox_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct message *m = arg;
    return peri_tx_outbox_put(tx, m->v, m->key, &m->id, err);
}

static uint64_t outbox(struct fixture *f, const char *text, const char *key)
{
    struct message m = {json(text), key, 0};
    ok(f, peri_store_run(f->store, outbox_fn, &m, &f->err));
    peri_value_unref(m.v);
    return m.id;
}

static enum peri_status clear_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    return peri_tx_outbox_clear(tx, arg, err);
}

static void test_outbox(void **state)
{
    struct fixture *f = *state;
    struct peri_value *v = NULL;
    uint64_t n = 0;
    assert_int_equal(outbox(f, "{\"channel_type\":\"sms\",\"to\":\"+1\",\"body\":\"hi\",\"id\":\"fake\"}", "k1"), 1);
    assert_int_equal(outbox(f, "{\"channel_type\":\"sms\",\"to\":\"+1\",\"body\":\"again\"}", "k1"), 1);
    assert_int_equal(outbox(f, "{\"channel_type\":\"email\"}", NULL), 2);
    ok(f, peri_reader_outbox(f->reader, 0, 0, &v, &f->err));
    assert_json(v, "[{\"id\":\"ob-2\",\"channel_type\":\"email\",\"created\":\"2026-01-01T00:00:00.000Z\"},"
                   "{\"id\":\"ob-1\",\"channel_type\":\"sms\",\"to\":\"+1\",\"body\":\"hi\",\"created\":\"2026-01-"
                   "01T00:00:00.000Z\"}]");
    ok(f, peri_reader_outbox(f->reader, 2, 1, &v, &f->err));
    assert_int_equal(peri_value_count(v), 1);
    peri_value_unref(v);
    ok(f, peri_reader_outbox_item(f->reader, 2, &v, &f->err));
    peri_value_unref(v);
    assert_int_equal(peri_reader_outbox_item(f->reader, 9, &v, &f->err), PERI_ENOTFOUND);
    ok(f, peri_store_run(f->store, clear_fn, &n, &f->err));
    assert_int_equal(n, 2);
    assert_int_equal(outbox(f, "{\"channel_type\":\"sms\"}", "k1"), 3);
}

/* ---- audit, stats, retention ---- */

static enum peri_status audit_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    enum peri_status st = peri_tx_audit(tx, "cli", "plugin.approve", "a.b", arg, err);
    return st ? st : peri_tx_audit(tx, "service", "start", NULL, NULL, err);
}

static void test_stats(void **state)
{
    struct fixture *f = *state;
    struct peri_value *v = NULL, *detail = json("{\"version\":\"1.0.0\"}");
    ok(f, peri_store_run(f->store, audit_fn, detail, &f->err));
    peri_value_unref(detail);
    insert_event(f, "a", NULL, "{}");
    put_only(f, "contact", "{}");
    ok(f, peri_reader_stats(f->reader, &v, &f->err));
    assert_string_equal(peri_map_text(v, "path"), f->path);
    assert_int_equal(peri_map_int(v, "events", -1), 1);
    assert_int_equal(peri_map_int(v, "unmatched", -1), 1);
    assert_int_equal(peri_map_int(v, "entities", -1), 1);
    assert_int_equal(peri_map_int(v, "runs", -1), 0);
    assert_int_equal(peri_map_int(v, "audit", -1), 2);
    assert_true(peri_map_int(v, "bytes", 0) > 4096);
    assert_true(peri_map_int(v, "wal_bytes", 0) > 0);
    peri_value_unref(v);
}

static enum peri_status many_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    int *n = arg;
    enum peri_status st = PERI_OK;
    for (int i = 0; !st && i < *n; i++) {
        char xid[16];
        snprintf(xid, sizeof(xid), "x%d", i);
        struct peri_event *e = make_event("a", xid, "{}");
        e->received_ms = peri_tx_now(tx);
        st = peri_tx_event_insert(tx, e, err);
        if (!st)
            st = peri_tx_event_done(tx, e->seq, PERI_EVENT_MATCHED, "[]", err);
        peri_event_unref(e);
    }
    return st;
}

static enum peri_status run_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    const struct peri_run_row *row = arg;
    struct peri_step_row s = {.n = 1, .path = "actions[0]", .op = "x", .state = PERI_ATTEMPT_DONE};
    enum peri_status st = peri_tx_run_insert(tx, row, &s.run, err);
    for (s.attempt = 1; !st && s.attempt <= 3; s.attempt++)
        st = peri_tx_step_put(tx, &s, err);
    return st;
}

struct prune {
    struct peri_retention r;
    bool more;
};

static enum peri_status prune_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct prune *p = arg;
    return peri_tx_prune(tx, &p->r, &p->more, NULL, err);
}

static int64_t rows(struct fixture *f, const char *sql)
{
    int64_t n = -1;
    ok(f, peri_db_int(&f->reader->db, sql, -1, &n, &f->err));
    return n;
}

static int prune(struct fixture *f, struct peri_retention r)
{
    struct prune p = {r, true};
    int pages = 0;
    while (p.more) {
        assert_true(pages < 100);
        int64_t before =
            rows(f, "SELECT (SELECT count(*) FROM events)+(SELECT count(*) FROM dedupe)+(SELECT count(*) FROM verdicts)"
                    "+(SELECT count(*) FROM runs)+(SELECT count(*) FROM steps)");
        ok(f, peri_store_run(f->store, prune_fn, &p, &f->err));
        int64_t after =
            rows(f, "SELECT (SELECT count(*) FROM events)+(SELECT count(*) FROM dedupe)+(SELECT count(*) FROM verdicts)"
                    "+(SELECT count(*) FROM runs)+(SELECT count(*) FROM steps)");
        assert_true(before - after <= 1000);
        pages++;
    }
    return pages;
}

#define DAY INT64_C(86400000)

static void test_retention(void **state)
{
    struct fixture *f = *state;
    int n = 800;
    struct peri_run_row done = {.rule = "r",
                            .rhash = "h",
                            .event = 1,
                            .trigger = "t",
                            .state = PERI_RUN_SUCCEEDED,
                            .created_ms = T0,
                            .ended_ms = T0},
                        live = done;
    ok(f, peri_store_run(f->store, many_fn, &n, &f->err));
    insert_event(f, "unmatched", NULL, "{}");
    live.event = 2;
    live.state = PERI_RUN_SLEEPING;
    live.ended_ms = 0;
    ok(f, peri_store_run(f->store, run_fn, &done, &f->err));
    ok(f, peri_store_run(f->store, run_fn, &live, &f->err));
    kv_set(f, "soon", "1", T0 + 1000);
    outbox(f, "{\"channel_type\":\"sms\"}", NULL);
    kv_set(f, "never", "1", 0);
    struct peri_retention r = {.events_ms = 14 * DAY, .runs_ms = 30 * DAY, .max_events = 5000000};
    assert_int_equal(prune(f, r), 1);
    assert_int_equal(rows(f, "SELECT count(*) FROM events"), 801);
    assert_int_equal(rows(f, "SELECT count(*) FROM kv"), 2);

    /* A week on, an old sender's id is new again; the events are still there. */
    peri_clock_fake_advance(&f->fake, 8 * DAY);
    prune(f, r);
    assert_int_equal(rows(f, "SELECT count(*) FROM dedupe"), 0);
    assert_int_equal(rows(f, "SELECT count(*) FROM events"), 801);
    assert_int_equal(rows(f, "SELECT count(*) FROM kv"), 1);
    assert_int_equal(insert_event(f, "a", "x1", "{}"), 802);

    peri_clock_fake_advance(&f->fake, 8 * DAY);
    assert_true(prune(f, r) >= 2);
    /* The event of the live run, the one that waits to be matched, and the young one (unmatched too). */
    assert_int_equal(rows(f, "SELECT count(*) FROM events"), 3);
    assert_int_equal(rows(f, "SELECT count(*) FROM verdicts"), 1);
    assert_int_equal(rows(f, "SELECT count(*) FROM runs"), 2);

    peri_clock_fake_advance(&f->fake, 30 * DAY);
    prune(f, r);
    assert_int_equal(rows(f, "SELECT count(*) FROM runs"), 1);
    assert_int_equal(rows(f, "SELECT count(*) FROM steps"), 3);
    assert_int_equal(rows(f, "SELECT id FROM runs"), 2);
    assert_int_equal(rows(f, "SELECT count(*) FROM outbox"), 0);
}

static void test_retention_by_number_never_reuses_one(void **state)
{
    struct fixture *f = *state;
    int n = 50;
    struct peri_retention r = {.max_events = 10};
    struct peri_run_row row = {.rule = "r", .event = 1, .trigger = "t", .state = PERI_RUN_SUCCEEDED, .ended_ms = T0};
    ok(f, peri_store_run(f->store, run_fn, &row, &f->err));
    ok(f, peri_store_run(f->store, many_fn, &n, &f->err));
    prune(f, r);
    assert_int_equal(rows(f, "SELECT count(*) FROM events"), 10);
    assert_int_equal(rows(f, "SELECT min(seq) FROM events"), 41);
    /* Everything goes; the next numbers are new ones all the same, also after a restart. */
    peri_clock_fake_advance(&f->fake, DAY);
    prune(f, (struct peri_retention){.events_ms = 1, .runs_ms = 1});
    assert_int_equal(rows(f, "SELECT count(*) FROM events"), 0);
    assert_int_equal(rows(f, "SELECT count(*) FROM runs"), 0);
    fixture_close(f);
    fixture_open(f);
    assert_int_equal(insert_event(f, "a", "x1", "{}"), 51);
    ok(f, peri_store_run(f->store, run_fn, &row, &f->err));
    assert_int_equal(rows(f, "SELECT max(id) FROM runs"), 2);
}

static int64_t used_bytes(struct fixture *f)
{
    return (rows(f, "PRAGMA page_count") - rows(f, "PRAGMA freelist_count")) * rows(f, "PRAGMA page_size");
}

static void test_retention_by_size_keeps_what_is_needed(void **state)
{
    struct fixture *f = *state;
    int n = 3000;
    struct peri_run_row live = {.rule = "r", .event = 1, .trigger = "t", .state = PERI_RUN_SLEEPING};
    struct peri_run_row done = {.rule = "r", .event = 2, .trigger = "t", .state = PERI_RUN_SUCCEEDED, .ended_ms = T0};
    ok(f, peri_store_run(f->store, many_fn, &n, &f->err));
    ok(f, peri_store_run(f->store, run_fn, &live, &f->err));
    ok(f, peri_store_run(f->store, run_fn, &done, &f->err));
    int64_t before = used_bytes(f), max = before * 3 / 4;
    prune(f, (struct peri_retention){.max_bytes = before + 1});
    assert_int_equal(rows(f, "SELECT count(*) FROM events"), 3000);
    prune(f, (struct peri_retention){.max_bytes = max});
    assert_true(used_bytes(f) <= max);
    assert_in_range(rows(f, "SELECT count(*) FROM events"), 500, 2900); /* not more than it took */
    assert_int_equal(rows(f, "SELECT max(seq) FROM events"), 3000);
    assert_int_equal(rows(f, "SELECT min(seq) FROM events"), 1); /* a live run needs it */
    assert_int_equal(rows(f, "SELECT count(*) FROM events WHERE seq=2"), 0);
    assert_int_equal(rows(f, "SELECT count(*) FROM runs WHERE state=3"), 1);
}

/* 5,000 runs wait, for longer than events are kept: what lies behind their events is pruned all the same, and theirs
 * are when they have ended. */
static enum peri_status waiting_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct peri_run_row row = {.rule = "r", .trigger = "t", .state = PERI_RUN_SLEEPING, .created_ms = T0};
    enum peri_status st = PERI_OK;
    uint64_t id;
    for (row.event = 1; !st && row.event <= 5000; row.event++)
        st = peri_tx_run_insert(tx, &row, &id, err);
    return st;
}

static void prune_all(struct fixture *f, struct peri_retention r)
{
    struct prune p = {r, true};
    for (int pages = 0; p.more; pages++) {
        assert_true(pages < 200);
        ok(f, peri_store_run(f->store, prune_fn, &p, &f->err));
    }
}

static enum peri_status sql_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    return peri_db_exec(tx->db, arg, err);
}

static void sql(struct fixture *f, const char *text)
{
    ok(f, peri_store_run(f->store, sql_fn, (void *)(uintptr_t)text, &f->err));
}

/* The clock was ahead once: what was made then goes late, and nothing behind it waits for that. */
static void test_runs_of_a_time_to_come_do_not_hide_those_behind_them(void **state)
{
    struct fixture *f = *state;
    ok(f, peri_store_run(f->store, waiting_fn, NULL, &f->err));
    sql(f, "UPDATE runs SET state=10,ended=created");
    sql(f, "UPDATE runs SET created=created+86400000*1000,ended=created+86400000*1000 WHERE id IN (1,2500)");
    sql(f, "UPDATE runs SET created=created+86400000*39,ended=created+86400000*39 WHERE id>4000");
    sql(f, "UPDATE runs SET ended=created+86400000*20 WHERE id IN (7,8)"); /* made long ago, ended lately */
    peri_clock_fake_advance(&f->fake, 40 * DAY);
    prune_all(f, (struct peri_retention){.runs_ms = 30 * DAY});
    assert_int_equal(rows(f, "SELECT count(*) FROM runs WHERE id<=4000"), 4);
    assert_int_equal(rows(f, "SELECT count(*) FROM runs"), 1004);
    peri_clock_fake_advance(&f->fake, 15 * DAY);
    prune_all(f, (struct peri_retention){.runs_ms = 30 * DAY});
    assert_int_equal(rows(f, "SELECT count(*) FROM runs WHERE id<=4000"), 2);
}

static void test_rows_that_stay_do_not_hide_those_behind_them(void **state)
{
    struct fixture *f = *state;
    int n = 8000;
    struct peri_retention r = {.events_ms = 14 * DAY, .runs_ms = 30 * DAY, .max_runs = 1000};
    ok(f, peri_store_run(f->store, many_fn, &n, &f->err));
    ok(f, peri_store_run(f->store, waiting_fn, NULL, &f->err));
    peri_clock_fake_advance(&f->fake, 20 * DAY);
    prune_all(f, r);
    assert_int_equal(rows(f, "SELECT count(*) FROM events"), 5000);
    assert_int_equal(rows(f, "SELECT max(seq) FROM events"), 5000);
    assert_int_equal(rows(f, "SELECT count(*) FROM runs"), 5000);
    /* One in the middle and those that came last end: more than 1,000 are there, so they may go. */
    sql(f, "UPDATE runs SET state=10,ended=created WHERE id=2500 OR id>3500");
    prune_all(f, r); /* the walk before has ended where the young ones begin */
    assert_int_equal(rows(f, "SELECT count(*) FROM runs WHERE id=2500"), 0);
    assert_int_equal(rows(f, "SELECT count(*) FROM runs"), 4499);
    prune_all(f, r);
    assert_int_equal(rows(f, "SELECT count(*) FROM events"), 3499);
    assert_int_equal(rows(f, "SELECT count(*) FROM runs WHERE state<10"), 3499);
}

/* Oldest first, by number too. */
static void test_audit_and_outbox_are_bounded(void **state)
{
    struct fixture *f = *state;
    sql(f, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3000)"
           " INSERT INTO audit(ts,actor,action,target,detail) SELECT i,'a','b','c',NULL FROM n;"
           "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3000)"
           " INSERT INTO outbox(key,created,message) SELECT NULL,i,'{}' FROM n");
    prune_all(f, (struct peri_retention){.audit_ms = T0 * 2, .max_audit = 500, .max_outbox = 700});
    assert_int_equal(rows(f, "SELECT count(*) FROM audit"), 500);
    assert_int_equal(rows(f, "SELECT min(seq) FROM audit"), 2501);
    assert_int_equal(rows(f, "SELECT count(*) FROM outbox"), 700);
    assert_int_equal(rows(f, "SELECT min(id) FROM outbox"), 2301);
}

static bool is_there(void *ctx, const char *rule)
{
    return strcmp(rule, ctx) == 0;
}

static enum peri_status gone_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    char name[] = "there";
    struct peri_gone gone = {.there = is_there, .ctx = name, .before_ms = T0};
    size_t count = 0;
    enum peri_status st = peri_tx_forget_gone(tx, &gone, &count, err);
    *(size_t *)arg = count;
    return st;
}

static void test_what_rules_that_are_gone_left_behind_is_deleted(void **state)
{
    struct fixture *f = *state;
    size_t count = 0;
    char text[512];
    snprintf(text, sizeof(text),
        "INSERT INTO watches "
        "VALUES(1,'there','a','s',1,0),(2,'gone','a','s',1,0),(3,'gone','b','s',1,0),(4,'gone','c','s',0,0);"
        "INSERT INTO keyed VALUES(1,'k',5,0,0,0,0,0,NULL),(2,'k',5,0,0,0,0,0,NULL),(3,'k',%lld,0,0,0,0,0,NULL);"
        "INSERT INTO win VALUES(2,'k',5,1,1);"
        "INSERT INTO schedules VALUES('there/a','s',5,5),('gone/a','s',5,5),('gone/b','s',%lld,5)",
        (long long)T0 + 1, (long long)T0 + 1);
    sql(f, text);
    ok(f, peri_store_run(f->store, gone_fn, &count, &f->err));
    assert_int_equal(count, 3);
    prune_all(f, (struct peri_retention){.audit_ms = DAY});
    /* The rule is there, or something of it is young. */
    assert_int_equal(rows(f, "SELECT group_concat(wid,'') FROM (SELECT wid FROM watches ORDER BY wid)"), 13);
    assert_int_equal(rows(f, "SELECT count(*) FROM keyed"), 2);
    assert_int_equal(rows(f, "SELECT count(*) FROM win"), 0);
    assert_int_equal(rows(f, "SELECT count(*) FROM schedules"), 2);
}

/* Whoever adds a table says in engine/doc/store.md what bounds it. */
static void test_every_table_says_what_bounds_it(void **state)
{
    struct fixture *f = *state;
    char line[512], name[64];
    size_t told = 0;
    bool inside = false;
    FILE *doc = fopen(TEST_SOURCE_DIR "/engine/doc/store.md", "r");
    assert_non_null(doc);
    while (fgets(line, sizeof(line), doc)) {
        if (line[0] == '#')
            inside = strcmp(line, "## What bounds each table\n") == 0;
        if (!inside || sscanf(line, "| `%63[a-z_]` | %*c", name) != 1)
            continue;
        char query[160];
        snprintf(query, sizeof(query), "SELECT count(*) FROM sqlite_schema WHERE type='table' AND name='%s'", name);
        if (rows(f, query) != 1)
            fail_msg("there is no table %s", name);
        told++;
    }
    fclose(doc);
    assert_int_equal(
        told, rows(f, "SELECT count(*) FROM sqlite_schema WHERE type='table' AND name NOT LIKE 'sqlite%'"));
}

#define M(name) cmocka_unit_test_setup_teardown(name, fixture_setup_memory, fixture_teardown)
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        M(test_put_merges_and_null_removes),
        M(test_found_by_source_and_external_id),
        M(test_new_ids_without_a_key_differ),
        M(test_bad_entities_are_refused),
        M(test_large_entity_is_refused),
        M(test_terms_follow_the_list),
        M(test_plugin_storage),
        M(test_outbox),
        T(test_stats),
        T(test_retention),
        T(test_retention_by_number_never_reuses_one),
        T(test_retention_by_size_keeps_what_is_needed),
        M(test_runs_of_a_time_to_come_do_not_hide_those_behind_them),
        M(test_rows_that_stay_do_not_hide_those_behind_them),
        M(test_audit_and_outbox_are_bounded),
        M(test_what_rules_that_are_gone_left_behind_is_deleted),
        M(test_every_table_says_what_bounds_it),
    };
    return cmocka_run_group_tests_name("store_data", tests, NULL, NULL);
}
