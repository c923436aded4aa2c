/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include "io/store_backup.h"
#include "io/store_db.h"

struct copy_fixture {
    struct fixture f;
    char to[128];
    struct peri_copy_options options;
};

static int setup(void **state)
{
    struct copy_fixture *c = calloc(1, sizeof(*c));
    fixture_dir(&c->f);
    fixture_open(&c->f);
    snprintf(c->to, sizeof(c->to), "%s/copy.db", c->f.dir);
    c->options = (struct peri_copy_options){.from = c->f.path, .to = c->to};
    *state = c;
    return 0;
}

static int64_t query(const char *path, const char *sql)
{
    struct peri_db db;
    struct peri_error err = {0};
    int64_t n = -1;
    if (peri_db_open(&db, path, PERI_DB_READ, &err) || peri_db_int(&db, sql, -1, &n, &err))
        fail_msg("%s: %s", sql, err.message);
    peri_db_finish(&db);
    return n;
}

struct filling {
    int first, count;
    bool runs;
};

static enum peri_status fill_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    const struct filling *fill = arg;
    enum peri_status st = PERI_OK;
    char data[200], id[32], key[32];
    memset(data, 'x', sizeof(data));
    for (int i = fill->first; !st && i < fill->first + fill->count; i++) {
        snprintf(data, sizeof(data), "{\"n\":%d,\"padding\":\"%0150d\"}", i, i);
        snprintf(id, sizeof(id), "id-%d", i);
        struct peri_event *e = make_event("a", id, data);
        st = peri_tx_event_insert(tx, e, err);
        uint64_t run;
        struct peri_run_row row = {.rule = "r",
            .rhash = "h",
            .event = e->seq,
            .trigger = "t",
            .state = PERI_RUN_SUCCEEDED,
            .pos = "{}",
            .vars = "{}",
            .kprefix = "k",
            .created_ms = T0,
            .ended_ms = T0};
        if (!st && fill->runs)
            st = peri_tx_run_insert(tx, &row, &run, err);
        for (int n = 1; !st && fill->runs && n <= 3; n++) {
            snprintf(key, sizeof(key), "k.%d/%d", i, n);
            struct peri_step_row step = {.run = run,
                .n = n,
                .attempt = 1,
                .path = "actions[0]",
                .op = "x.y",
                .state = PERI_ATTEMPT_DONE,
                .params = "{\"a\":1}",
                .result = "{\"ok\":true}",
                .key = key};
            st = peri_tx_step_put(tx, &step, err);
        }
        peri_event_unref(e);
    }
    return st;
}

static void fill(struct copy_fixture *c, int first, int count, bool runs)
{
    struct filling filling = {first, count, runs};
    ok(&c->f, peri_store_run(c->f.store, fill_fn, &filling, &c->f.err));
}

struct busy {
    struct copy_fixture *c;
    _Atomic bool stop;
    _Atomic int rounds;
};

static void *keep_writing(void *arg)
{
    struct busy *b = arg;
    while (!b->stop) {
        struct filling filling = {1000 + 10 * b->rounds, 10, true};
        struct peri_error err;
        if (peri_store_run(b->c->f.store, fill_fn, &filling, &err))
            break;
        b->rounds++;
    }
    return NULL;
}

static void test_backup_under_load_is_one_state(void **state)
{
    struct copy_fixture *c = *state;
    struct peri_value *v = NULL;
    struct busy busy = {.c = c};
    pthread_t thread;
    fill(c, 0, 1000, true);
    assert_int_equal(pthread_create(&thread, NULL, keep_writing, &busy), 0);
    while (busy.rounds < 3)
        sched_yield();
    ok(&c->f, peri_store_backup(&c->options, &v, &c->f.err));
    busy.stop = true;
    pthread_join(thread, NULL);
    int64_t events = query(c->to, "SELECT count(*) FROM events");
    assert_true(events >= 1030);
    assert_int_equal(peri_map_int(v, "events", 0), events);
    assert_int_equal(query(c->to, "SELECT count(*) FROM runs"), events);
    assert_int_equal(query(c->to, "SELECT count(*) FROM steps"), 3 * events);
    assert_int_equal(query(c->to, "SELECT max(seq) FROM events"), events);
    peri_value_unref(v);
    char wal[160];
    snprintf(wal, sizeof(wal), "%s.part", c->to);
    assert_int_equal(access(wal, F_OK), -1);
}

static void test_started_with_a_copy_it_has_another_identity(void **state)
{
    struct copy_fixture *c = *state;
    struct peri_value *v = NULL;
    char *before = NULL, *after = NULL;
    fill(c, 0, 5, true);
    ok(&c->f, peri_reader_meta(c->f.reader, "instance", &before, &c->f.err));
    ok(&c->f, peri_store_backup(&c->options, &v, &c->f.err));
    peri_value_unref(v);
    fixture_close(&c->f);
    assert_int_equal(rename(c->to, c->f.path), 0);
    fixture_open(&c->f);
    ok(&c->f, peri_reader_meta(c->f.reader, "instance", &after, &c->f.err));
    assert_string_not_equal(before, after);
    assert_int_equal(insert_event(&c->f, "a", "id-3", "{}"), 4); /* duplicates are known */
    assert_int_equal(insert_event(&c->f, "a", NULL, "{}"), 6);
    free(before);
    free(after);
}

static void test_backup_replaces_copies_and_nothing_else(void **state)
{
    struct copy_fixture *c = *state;
    struct peri_value *v = NULL;
    fill(c, 0, 5, false);
    ok(&c->f, peri_store_backup(&c->options, &v, &c->f.err));
    peri_value_unref(v);
    fill(c, 5, 5, false);
    ok(&c->f, peri_store_backup(&c->options, &v, &c->f.err));
    assert_int_equal(peri_map_int(v, "events", 0), 10);
    peri_value_unref(v);
    FILE *file = fopen(c->to, "w");
    fputs("a shopping list", file);
    fclose(file);
    assert_int_equal(peri_store_backup(&c->options, &v, &c->f.err), PERI_EEXIST);
    c->options.to = c->f.path;
    assert_int_equal(peri_store_backup(&c->options, &v, &c->f.err), PERI_EEXIST);
    c->options.to = c->f.dir;
    assert_int_equal(peri_store_backup(&c->options, &v, &c->f.err), PERI_EEXIST);
    c->options.to = "/nowhere/at/all";
    assert_int_equal(peri_store_backup(&c->options, &v, &c->f.err), PERI_EIO);
    c->options.from = "/nowhere/either";
    assert_int_equal(peri_store_backup(&c->options, &v, &c->f.err), PERI_ENOTFOUND);
}

static bool give_up(void *ctx, const char *what, int64_t done, int64_t total)
{
    return false;
}

static void test_interrupted_backup_leaves_nothing(void **state)
{
    struct copy_fixture *c = *state;
    struct peri_value *v = NULL;
    char part[160];
    fill(c, 0, 20000, false); /* more than one step */
    c->options.progress = give_up;
    assert_int_equal(peri_store_backup(&c->options, &v, &c->f.err), PERI_ETIMEOUT);
    snprintf(part, sizeof(part), "%s.part", c->to);
    assert_int_equal(access(part, F_OK), -1);
    assert_int_equal(access(c->to, F_OK), -1);
}

/* ---- recover ---- */

static const struct peri_value *table(const struct peri_value *v, const char *name)
{
    const struct peri_value *tables = peri_map_at(v, "tables");
    for (size_t i = 0; i < peri_value_count(tables); i++)
        if (peri_streq(peri_map_text(peri_list_at(tables, i), "table"), name))
            return peri_list_at(tables, i);
    fail_msg("nothing about %s", name);
    return NULL;
}

static void overwrite_page(struct copy_fixture *c, int64_t page)
{
    char junk[4096];
    memset(junk, 0xA5, sizeof(junk));
    int fd = open(c->f.path, O_WRONLY);
    assert_int_equal(pwrite(fd, junk, sizeof(junk), (page - 1) * 4096), sizeof(junk));
    close(fd);
}

/* The n-th leaf of a table or index. */
static int64_t leaf(struct copy_fixture *c, const char *name, int nth)
{
    char sql[200];
    snprintf(
        sql, sizeof(sql), "SELECT pageno FROM dbstat WHERE name='%s' AND pagetype='leaf' LIMIT 1 OFFSET %d", name, nth);
    return query(c->f.path, sql);
}

static struct peri_value *recover(struct copy_fixture *c)
{
    struct peri_value *v = NULL;
    ok(&c->f, peri_store_recover(&c->options, &v, &c->f.err));
    return v;
}

static void test_whole_database_is_saved_completely(void **state)
{
    struct copy_fixture *c = *state;
    fill(c, 0, 300, true);
    fixture_close(&c->f);
    struct peri_value *v = recover(c);
    assert_int_equal(peri_map_int(v, "lost", -1), 0);
    assert_int_equal(peri_map_int(table(v, "events"), "saved", 0), 300);
    assert_int_equal(peri_map_int(table(v, "steps"), "saved", 0), 900);
    assert_int_equal(query(c->to, "SELECT count(*) FROM dedupe"), 300);
    peri_value_unref(v);
    struct peri_value *again = NULL;
    assert_int_equal(peri_store_recover(&c->options, &again, &c->f.err), PERI_EEXIST);
}

static void test_damaged_pages_cost_their_own_rows(void **state)
{
    struct copy_fixture *c = *state;
    fill(c, 0, 3000, true);
    fixture_close(&c->f);
    int64_t pages[] = {leaf(c, "events", 0), leaf(c, "events", 40), leaf(c, "events", 41), leaf(c, "runs", 3),
        leaf(c, "runs_rule", 1), leaf(c, "steps", 5)};
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
        overwrite_page(c, pages[i]);
    struct peri_value *v = recover(c);
    int64_t events = peri_map_int(table(v, "events"), "saved", 0), runs = peri_map_int(table(v, "runs"), "saved", 0);
    /* A page has some 15 events; the bound of what is lost is exact, because the numbers have no gaps. */
    assert_in_range(events, 2900, 2999);
    assert_int_equal(events + peri_map_int(table(v, "events"), "lost", -1), 3000);
    assert_in_range(runs, 2880, 2999);
    assert_int_equal(runs + peri_map_int(table(v, "runs"), "lost", -1), 3000);
    assert_in_range(peri_map_int(table(v, "steps"), "saved", 0), 8850, 8999);
    assert_int_equal(query(c->to, "SELECT count(*) FROM events"), events);
    assert_int_equal(query(c->to, "SELECT count(*) FROM dedupe"), events);
    assert_int_equal(query(c->to, "SELECT count(*) FROM runs INDEXED BY runs_rule WHERE rule='r'"), runs);
    peri_value_unref(v);
}

static void test_flipped_bytes_in_a_row_cost_this_row(void **state)
{
    struct copy_fixture *c = *state;
    size_t len = 0;
    fill(c, 0, 100, true);
    fixture_close(&c->f);
    FILE *file = fopen(c->f.path, "r+b");
    char *data = malloc(4 << 20);
    len = fread(data, 1, 4 << 20, file);
    char *at = memmem(data, len, "\"n\":42,", 7);
    assert_non_null(at);
    assert_int_equal(fseek(file, at - data + 4, SEEK_SET), 0);
    fputc('9', file);
    fclose(file);
    free(data);
    struct peri_value *v = recover(c);
    assert_int_equal(peri_map_int(table(v, "events"), "saved", 0), 99);
    assert_int_equal(peri_map_int(v, "lost", -1), 1);
    peri_value_unref(v);
}

static void test_last_page_gone_does_not_end_the_search_for_ever(void **state)
{
    struct copy_fixture *c = *state;
    fill(c, 0, 500, false);
    fixture_close(&c->f);
    int64_t n = query(c->f.path, "SELECT count(*) FROM dbstat WHERE name='events' AND pagetype='leaf'");
    overwrite_page(c, leaf(c, "events", (int)n - 1));
    struct peri_value *v = recover(c);
    assert_in_range(peri_map_int(table(v, "events"), "saved", 0), 450, 499);
    assert_null(peri_map_at(table(v, "events"), "lost")); /* nobody can say */
    assert_null(peri_map_at(v, "lost"));
    peri_value_unref(v);
}

static enum peri_status live_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    static const enum peri_run_state states[] = {
        PERI_RUN_READY, PERI_RUN_RUNNING, PERI_RUN_SLEEPING, PERI_RUN_UNKNOWN, PERI_RUN_SUCCEEDED};
    for (size_t i = 0; !st && i < sizeof(states) / sizeof(states[0]); i++) {
        uint64_t id;
        struct peri_run_row row = {.rule = "r",
            .rhash = "h",
            .event = i + 1,
            .trigger = "t",
            .state = states[i],
            .pos = "{}",
            .vars = "{}",
            .kprefix = "old",
            .created_ms = T0,
            .wake_ms = T0 + 5,
            .base_ms = 5};
        st = peri_tx_run_insert(tx, &row, &id, err);
    }
    return st;
}

static enum peri_status resume_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    return peri_tx_run_resume(tx, *(uint64_t *)arg, err);
}

static void test_live_runs_are_paused_until_somebody_resumes_them(void **state)
{
    struct copy_fixture *c = *state;
    char *instance = NULL, *other = NULL;
    ok(&c->f, peri_reader_meta(c->f.reader, "instance", &instance, &c->f.err));
    ok(&c->f, peri_store_run(c->f.store, live_fn, NULL, &c->f.err));
    fixture_close(&c->f);
    struct peri_value *v = recover(c);
    assert_int_equal(peri_map_int(v, "paused", 0), 3);
    peri_value_unref(v);
    assert_int_equal(query(c->to, "SELECT count(*) FROM runs WHERE state=5 AND kprefix='old'"), 3);
    assert_int_equal(query(c->to, "SELECT state FROM runs WHERE id=4"), PERI_RUN_UNKNOWN);
    assert_int_equal(rename(c->to, c->f.path), 0);
    fixture_open(&c->f);
    ok(&c->f, peri_reader_meta(c->f.reader, "instance", &other, &c->f.err));
    assert_string_not_equal(instance, other);
    uint64_t run = 3;
    ok(&c->f, peri_store_run(c->f.store, resume_fn, &run, &c->f.err));
    assert_int_equal(query(c->f.path, "SELECT state FROM runs WHERE id=3"), PERI_RUN_SLEEPING);
    assert_int_equal(query(c->f.path, "SELECT wake FROM runs WHERE id=3"), T0 + 5);
    assert_int_equal(peri_store_run(c->f.store, resume_fn, &run, &c->f.err), PERI_ESTATE);
    free(instance);
    free(other);
}

static void test_numbers_of_lost_rows_are_not_given_again(void **state)
{
    struct copy_fixture *c = *state;
    char high[128];
    fill(c, 0, 20, true);
    fixture_close(&c->f);
    snprintf(high, sizeof(high), "%s/high", c->f.dir);
    FILE *file = fopen(high, "w");
    fprintf(file, "%020d %020d %020d \n", 77, 88, 0);
    fclose(file);
    struct peri_value *v = recover(c);
    peri_value_unref(v);
    assert_int_equal(rename(c->to, c->f.path), 0);
    fixture_open(&c->f);
    assert_int_equal(insert_event(&c->f, "a", NULL, "{}"), 78);
    assert_int_equal(query(c->f.path, "SELECT v FROM meta WHERE k='run_floor'"), 88);
}

static enum peri_status put_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct peri_value *patch = json("{\"id\":\"ada\",\"tags\":[\"vip\",\"friend\"],\"name\":\"Ada\"}");
    enum peri_status st = peri_tx_entity_put(tx, "contact", patch, NULL, NULL, err);
    peri_value_unref(patch);
    return st;
}

static void test_entities_are_found_by_what_their_lists_hold(void **state)
{
    struct copy_fixture *c = *state;
    ok(&c->f, peri_store_run(c->f.store, put_fn, NULL, &c->f.err));
    fixture_close(&c->f);
    int64_t terms = query(c->f.path, "SELECT count(*) FROM entity_terms");
    assert_true(terms > 0);
    peri_value_unref(recover(c));
    assert_int_equal(query(c->to, "SELECT count(*) FROM entity_terms"), terms);
}

static void test_ruined_first_page_is_said_so(void **state)
{
    struct copy_fixture *c = *state;
    struct peri_value *v = NULL;
    fill(c, 0, 20, false);
    fixture_close(&c->f);
    overwrite_page(c, 1);
    assert_int_equal(peri_store_recover(&c->options, &v, &c->f.err), PERI_ECORRUPT);
    assert_int_equal(access(c->to, F_OK), -1);
}

static void test_replacing_keeps_the_damaged_one(void **state)
{
    struct copy_fixture *c = *state;
    char aside[128];
    int lock = -1;
    fill(c, 0, 20, false);
    assert_int_equal(peri_store_hold(c->f.path, &lock, &c->f.err), PERI_EBUSY); /* it is in use */
    fixture_close(&c->f);
    peri_value_unref(recover(c));
    snprintf(aside, sizeof(aside), "%s/aside", c->f.dir);
    ok(&c->f, peri_store_hold(c->f.path, &lock, &c->f.err));
    ok(&c->f, peri_store_replace(c->f.path, c->to, aside, &c->f.err));
    close(lock);
    assert_int_equal(query(aside, "SELECT count(*) FROM events"), 20);
    assert_int_equal(access(c->to, F_OK), -1);
    fixture_open(&c->f);
    assert_int_equal(insert_event(&c->f, "a", NULL, "{}"), 21);
}

#define B(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        B(test_backup_under_load_is_one_state),
        B(test_started_with_a_copy_it_has_another_identity),
        B(test_backup_replaces_copies_and_nothing_else),
        B(test_interrupted_backup_leaves_nothing),
        B(test_whole_database_is_saved_completely),
        B(test_damaged_pages_cost_their_own_rows),
        B(test_flipped_bytes_in_a_row_cost_this_row),
        B(test_last_page_gone_does_not_end_the_search_for_ever),
        B(test_live_runs_are_paused_until_somebody_resumes_them),
        B(test_numbers_of_lost_rows_are_not_given_again),
        B(test_entities_are_found_by_what_their_lists_hold),
        B(test_ruined_first_page_is_said_so),
        B(test_replacing_keeps_the_damaged_one),
    };
    return cmocka_run_group_tests_name("store_backup", tests, NULL, NULL);
}
