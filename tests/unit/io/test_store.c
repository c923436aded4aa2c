/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include "io/store_db.h"

static enum peri_status set_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    const char *const *pair = arg;
    return peri_tx_meta_set(tx, pair[0], pair[1], err);
}

static void assert_meta(struct fixture *f, const char *key, const char *wanted)
{
    char *text = NULL;
    enum peri_status st = peri_reader_meta(f->reader, key, &text, &f->err);
    if (wanted) {
        ok(f, st);
        assert_string_equal(text, wanted);
        free(text);
    } else {
        assert_int_equal(st, PERI_ENOTFOUND);
    }
}

static void test_facts_survive_reopening(void **state)
{
    struct fixture *f = *state;
    const char *pair[] = {"colour", "blue"};
    char *instance = NULL;
    ok(f, peri_store_run(f->store, set_fn, pair, &f->err));
    ok(f, peri_reader_meta(f->reader, "instance", &instance, &f->err));
    assert_meta(f, "clean", "0");
    fixture_close(f);
    fixture_open(f);
    assert_meta(f, "colour", "blue");
    assert_meta(f, "instance", instance);
    assert_meta(f, "nothing", NULL);
    free(instance);
}

static void test_second_opener_is_told_who_has_it(void **state)
{
    struct fixture *f = *state;
    struct peri_store_options o = {.path = f->path};
    struct peri_store *other = NULL;
    char pid[32];
    assert_int_equal(peri_store_open(&o, &other, &f->err), PERI_EBUSY);
    assert_null(other);
    snprintf(pid, sizeof(pid), "process %ld", (long)getpid());
    assert_non_null(strstr(f->err.message, pid));
    assert_non_null(strstr(f->err.message, f->dir));
}

struct step {
    const char *key;
    enum peri_status fail;
};

static enum peri_status step_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct step *s = arg;
    enum peri_status st = peri_tx_meta_set(tx, s->key, "x", err);
    return st ? st : s->fail ? peri_error_set(err, s->fail, NULL, "on purpose") : PERI_OK;
}

/* Holds the store's thread until the test has queued what it wants to see in one group. */
struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool entered, open;
};

static enum peri_status gate_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct gate *g = arg;
    pthread_mutex_lock(&g->mutex);
    g->entered = true;
    pthread_cond_broadcast(&g->cond);
    while (!g->open)
        pthread_cond_wait(&g->cond, &g->mutex);
    pthread_mutex_unlock(&g->mutex);
    return PERI_OK;
}

static void gate_close(struct peri_store *store, struct gate *g)
{
    *g = (struct gate){.mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    assert_int_equal(peri_store_submit(store, 0, gate_fn, NULL, g), PERI_OK);
    pthread_mutex_lock(&g->mutex);
    while (!g->entered)
        pthread_cond_wait(&g->cond, &g->mutex);
    pthread_mutex_unlock(&g->mutex);
}

static void gate_open(struct gate *g)
{
    pthread_mutex_lock(&g->mutex);
    g->open = true;
    pthread_cond_broadcast(&g->cond);
    pthread_mutex_unlock(&g->mutex);
}

struct outcome {
    int calls;
    enum peri_status st;
    char message[80];
};

struct job {
    struct step step;
    struct outcome out;
};

static enum peri_status job_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct job *j = arg;
    return step_fn(tx, &j->step, err);
}

static void job_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct job *j = arg;
    j->out.calls++;
    j->out.st = st;
    snprintf(j->out.message, sizeof(j->out.message), "%.79s", err ? err->message : "");
}

/* Completions of a group are told after those that a thread waits for: a further group comes after them all. */
static void settle(struct fixture *f)
{
    const char *pair[] = {"settled", "x"};
    ok(f, peri_store_run(f->store, set_fn, pair, &f->err));
}

static void test_failing_operation_takes_only_itself_back(void **state)
{
    struct fixture *f = *state;
    struct gate g;
    struct job jobs[] = {{{"a", PERI_OK}, {0}}, {{"b", PERI_EINVAL}, {0}}, {{"c", PERI_OK}, {0}}};
    const char *last[] = {"d", "x"};
    gate_close(f->store, &g);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(peri_store_submit(f->store, 10, job_fn, job_done, &jobs[i]), PERI_OK);
    assert_int_equal(peri_store_queued(f->store), 3);
    gate_open(&g);
    ok(f, peri_store_run(f->store, set_fn, last, &f->err));
    settle(f);
    assert_int_equal(peri_store_queued(f->store), 0);
    assert_int_equal(jobs[0].out.st, PERI_OK);
    assert_int_equal(jobs[1].out.st, PERI_EINVAL);
    assert_string_equal(jobs[1].out.message, "on purpose");
    assert_int_equal(jobs[2].out.st, PERI_OK);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(jobs[i].out.calls, 1);
    assert_meta(f, "a", "x");
    assert_meta(f, "b", NULL);
    assert_meta(f, "c", "x");
}

struct counted {
    struct job job;
    int runs;
};

static enum peri_status counted_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct counted *c = arg;
    c->runs++;
    return job_fn(tx, &c->job, err);
}

static void counted_done(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct counted *c = arg;
    job_done(&c->job, st, err);
}

/* Queues all of them as one group and waits until they are told. */
static void run_group(struct fixture *f, struct counted *all, size_t count)
{
    struct gate g;
    gate_close(f->store, &g);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(peri_store_submit_repeatable(f->store, 10, counted_fn, counted_done, &all[i]), PERI_OK);
    gate_open(&g);
    while (peri_store_queued(f->store) > 0) /* what follows is no part of it */
        sched_yield();
    settle(f);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(all[i].job.out.calls, 1);
}

static void test_what_can_be_run_again_is_only_when_something_fails(void **state)
{
    struct fixture *f = *state;
    struct counted good[] = {{{{"a", PERI_OK}, {0}}, 0}, {{{"b", PERI_OK}, {0}}, 0}};
    struct counted bad[] = {{{{"c", PERI_OK}, {0}}, 0}, {{{"d", PERI_ESTATE}, {0}}, 0}, {{{"e", PERI_OK}, {0}}, 0}};
    struct counted after[] = {{{{"f", PERI_OK}, {0}}, 0}, {{{"g", PERI_EINVAL}, {0}}, 0}};
    run_group(f, good, 2);
    run_group(f, bad, 3);
    run_group(f, after, 2);
    assert_int_equal(good[0].runs, 1);
    assert_int_equal(bad[0].runs, 2);
    assert_int_equal(bad[2].runs, 1);
    assert_int_equal(after[0].runs, 1); /* who has seen a failure is careful for a while */
    assert_int_equal(bad[0].job.out.st, PERI_OK);
    assert_int_equal(bad[1].job.out.st, PERI_ESTATE);
    assert_string_equal(bad[1].job.out.message, "on purpose");
    assert_int_equal(bad[2].job.out.st, PERI_OK);
    assert_int_equal(after[1].job.out.st, PERI_EINVAL);
    for (const char *key = "abcefdg"; *key; key++)
        assert_meta(f, (char[]){*key, '\0'}, *key == 'd' || *key == 'g' ? NULL : "x");
}

static void test_queue_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct peri_store_options o = fixture_options(f);
    struct gate g;
    struct job jobs[3] = {{{"a", PERI_OK}, {0}}, {{"b", PERI_OK}, {0}}, {{"c", PERI_OK}, {0}}};
    fixture_close(f);
    o.max_queue = 2;
    o.max_queue_bytes = 100;
    ok(f, peri_store_open(&o, &f->store, &f->err));
    gate_close(f->store, &g);
    /* Larger than the bound, but alone: it would never fit otherwise. */
    assert_int_equal(peri_store_submit(f->store, 90, job_fn, job_done, &jobs[0]), PERI_OK);
    assert_int_equal(peri_store_submit(f->store, 20, job_fn, job_done, &jobs[1]), PERI_EBUSY);
    assert_int_equal(peri_store_submit(f->store, 5, job_fn, job_done, &jobs[1]), PERI_OK);
    assert_int_equal(peri_store_submit(f->store, 1, job_fn, job_done, &jobs[2]), PERI_EBUSY);
    gate_open(&g);
    peri_store_close(f->store);
    f->store = NULL;
    assert_int_equal(jobs[0].out.calls, 1);
    assert_int_equal(jobs[1].out.calls, 1);
    assert_int_equal(jobs[2].out.calls, 0);
}

static void test_close_finishes_what_is_queued(void **state)
{
    struct fixture *f = *state;
    struct gate g;
    struct job jobs[50];
    char keys[50][16];
    gate_close(f->store, &g);
    for (int i = 0; i < 50; i++) {
        snprintf(keys[i], sizeof(keys[i]), "k%d", i);
        jobs[i] = (struct job){.step = {keys[i], PERI_OK}};
        assert_int_equal(peri_store_submit(f->store, 10, job_fn, job_done, &jobs[i]), PERI_OK);
    }
    gate_open(&g);
    fixture_close(f);
    fixture_open(f);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(jobs[i].out.calls, 1);
        assert_int_equal(jobs[i].out.st, PERI_OK);
        assert_meta(f, keys[i], "x");
    }
}

struct posts {
    int count;
    void (*fn[8])(void *arg);
    void *arg[8];
    pthread_mutex_t mutex;
};

static enum peri_status post(void *ctx, void (*fn)(void *arg), void *arg)
{
    struct posts *p = ctx;
    pthread_mutex_lock(&p->mutex);
    p->fn[p->count] = fn;
    p->arg[p->count++] = arg;
    pthread_mutex_unlock(&p->mutex);
    return PERI_OK;
}

static void test_completions_are_posted_once_for_a_group(void **state)
{
    struct fixture *f = *state;
    struct peri_store_options o = fixture_options(f);
    struct posts p = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    struct gate g;
    struct job jobs[3] = {{{"a", PERI_OK}, {0}}, {{"b", PERI_OK}, {0}}, {{"c", PERI_OK}, {0}}};
    fixture_close(f);
    o.post = post;
    o.post_ctx = &p;
    ok(f, peri_store_open(&o, &f->store, &f->err));
    gate_close(f->store, &g);
    for (int i = 0; i < 3; i++)
        assert_int_equal(peri_store_submit(f->store, 1, job_fn, job_done, &jobs[i]), PERI_OK);
    gate_open(&g);
    peri_store_close(f->store);
    f->store = NULL;
    /* One for the gate, one for the three together. */
    assert_int_equal(p.count, 2);
    assert_int_equal(jobs[0].out.calls, 0);
    for (int i = 0; i < p.count; i++)
        p.fn[i](p.arg[i]);
    for (int i = 0; i < 3; i++)
        assert_int_equal(jobs[i].out.calls, 1);
}

static void test_readers_see_only_what_is_committed(void **state)
{
    struct fixture *f = *state;
    struct gate g;
    struct job j = {{"later", PERI_OK}, {0}};
    const char *pair[] = {"sync", "x"};
    gate_close(f->store, &g);
    assert_int_equal(peri_store_submit(f->store, 1, job_fn, job_done, &j), PERI_OK);
    assert_meta(f, "later", NULL);
    gate_open(&g);
    ok(f, peri_store_run(f->store, set_fn, pair, &f->err));
    assert_meta(f, "later", "x");
    settle(f);
}

static void *hammer(void *arg)
{
    struct fixture *f = arg;
    for (int i = 0; i < 40; i++) {
        struct peri_event *e = make_event("t", NULL, "{}");
        struct peri_error err;
        assert_int_equal(peri_store_run(f->store, insert_fn, e, &err), PERI_OK);
        peri_event_unref(e);
    }
    return NULL;
}

static void test_many_threads_write_and_read_memory(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, f), 0);
    for (int i = 0; i < 50; i++) {
        struct peri_event_filter filter = {.limit = 1};
        struct peri_value *list = NULL;
        ok(f, peri_reader_events(f->reader, &filter, &list, &f->err));
        peri_value_unref(list);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    struct peri_event *e = NULL;
    ok(f, peri_reader_event(f->reader, 160, &e, &f->err));
    peri_event_unref(e);
    assert_int_equal(peri_reader_event(f->reader, 161, &e, &f->err), PERI_ENOTFOUND);
}

static void test_two_memory_stores_are_two(void **state)
{
    struct fixture *f = *state;
    struct peri_store_options o = {.path = ":memory:"};
    struct peri_store *other = NULL;
    struct peri_reader *reader = NULL;
    char *text;
    const char *pair[] = {"mine", "x"};
    ok(f, peri_store_open(&o, &other, &f->err));
    ok(f, peri_store_run(f->store, set_fn, pair, &f->err));
    ok(f, peri_store_reader(other, &reader, &f->err));
    assert_int_equal(peri_reader_meta(reader, "mine", &text, &f->err), PERI_ENOTFOUND);
    peri_reader_close(reader);
    peri_store_close(other);
}

static void test_reader_without_a_database(void **state)
{
    struct fixture f;
    struct peri_reader *reader = NULL;
    fixture_dir(&f);
    assert_int_equal(peri_reader_open(f.path, &reader, &f.err), PERI_ENOTFOUND);
    assert_non_null(strstr(f.err.message, f.path));
    fixture_remove(&f);
}

static void test_newer_schema_is_refused(void **state)
{
    struct fixture *f = *state;
    struct peri_db db;
    struct peri_store_options o = fixture_options(f);
    fixture_close(f);
    ok(f, peri_db_open(&db, f->path, PERI_DB_WRITE, &f->err));
    ok(f, peri_db_exec(&db, "PRAGMA user_version=99", &f->err));
    peri_db_finish(&db);
    assert_int_equal(peri_store_open(&o, &f->store, &f->err), PERI_ESTATE);
    assert_string_equal(f->err.code, "store.newer");
    assert_non_null(strstr(f->err.message, "schema 99"));
    assert_int_equal(peri_reader_open(f->path, &f->reader, &f->err), PERI_ESTATE);
}

/* Waits were stored on the clock of the wall once. What is known of a clock that was set since is taken off. */
/* A kill in the middle of the way to the newest schema: the next start goes on from the last whole step. */
static void test_migration_goes_on_after_a_kill(void **state)
{
    static const char *const points[] = {"migrate.copied@1", "migrate.step@3", "migrate.stepped@5", "migrate.step@1"};
    struct fixture *f = *state;
    struct peri_db db;
    char path[128];
    int64_t tables = 0, n = 0;
    ok(f, peri_db_open(&db, f->path, PERI_DB_READ, &f->err));
    ok(f, peri_db_int(&db, "SELECT count(*) FROM sqlite_schema", -1, &tables, &f->err));
    peri_db_finish(&db);
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        const char *first[] = {peri_schema_steps[0], NULL};
        int version = 0, ended = 0;
        snprintf(path, sizeof(path), "%s.kill%zu", f->path, i);
        ok(f, peri_db_open(&db, path, PERI_DB_WRITE, &f->err));
        ok(f, peri_schema_migrate(&db, first, 0, &f->err));
        peri_db_finish(&db);
        pid_t child = fork();
        if (child == 0) {
            setenv("PERIGEE_FAILPOINT", points[i], 1);
            if (peri_db_open(&db, path, PERI_DB_WRITE, &f->err) == PERI_OK)
                (void)!peri_schema_migrate(&db, peri_schema_steps, 1, &f->err);
            _exit(0);
        }
        assert_int_equal(waitpid(child, &ended, 0), child);
        assert_true(WIFSIGNALED(ended) && WTERMSIG(ended) == SIGKILL);
        ok(f, peri_db_open(&db, path, PERI_DB_WRITE, &f->err));
        ok(f, peri_schema_inspect(&db, peri_schema_newest(peri_schema_steps), &version, &f->err));
        assert_in_range(version, 1, peri_schema_newest(peri_schema_steps) - 1);
        ok(f, peri_schema_migrate(&db, peri_schema_steps, version, &f->err));
        ok(f, peri_db_int(&db, "SELECT count(*) FROM sqlite_schema", -1, &n, &f->err));
        assert_int_equal(n, tables);
        peri_db_finish(&db);
    }
}

static void test_migration_of_waits_takes_off_what_the_clock_was_set_by(void **state)
{
    struct fixture *f = *state;
    struct peri_db db;
    char path[128];
    const char *before[32] = {0};
    int64_t n = 0;
    for (size_t i = 0; i < 13; i++)
        before[i] = peri_schema_steps[i];
    for (int set = 0; set < 2; set++) {
        snprintf(path, sizeof(path), "%s.old%d", f->path, set);
        ok(f, peri_db_open(&db, path, PERI_DB_WRITE, &f->err));
        ok(f, peri_schema_migrate(&db, before, 0, &f->err));
        if (set)
            ok(f, peri_db_exec(&db, "INSERT INTO meta(k,v) VALUES('clock_offset','3000')", &f->err));
        ok(f, peri_db_exec(&db,
                  "INSERT INTO runs(id,rule,rhash,event,trig,state,pos,wake,base,vars,kprefix,intr,retry_of,created,"
                  "ended) VALUES(1,'r','h',1,'t',3,'{\"frames\":[{\"block\":\"actions\",\"i\":1},{\"block\":\"a\","
                  "\"i\":0,\"due\":9500,\"x\":0.10}],\"wake\":9000,\"rule_due\":9999}',9000,60,'{}','',0,0,1,0),"
                  "(2,'r','h',2,'t',10,'{}',0,0,'{}','',0,0,1,0);"
                  "INSERT INTO tracks(run,t,pos) VALUES(1,1,'{\"frames\":[],\"due\":8000}');"
                  "INSERT INTO circuits(destination,code,message,opened,until,pause) VALUES('d','c','m',5000,7000,9)",
                  &f->err));
        ok(f, peri_schema_migrate(&db, peri_schema_steps, 13, &f->err));
        const struct {
            const char *sql;
            int64_t was;
        } times[] = {{"SELECT wake FROM runs WHERE id=1", 9000}, {"SELECT pos->>'$.wake' FROM runs WHERE id=1", 9000},
            {"SELECT pos->>'$.rule_due' FROM runs WHERE id=1", 9999},
            {"SELECT pos->>'$.frames[1].due' FROM runs WHERE id=1", 9500}, {"SELECT pos->>'$.due' FROM tracks", 8000},
            {"SELECT until FROM circuits", 7000}, {"SELECT opened FROM circuits", 5000}};
        for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
            ok(f, peri_db_int(&db, times[i].sql, -1, &n, &f->err));
            assert_int_equal(n, times[i].was - (set ? 3000 : 0));
        }
        ok(f, peri_db_int(&db,
                  "SELECT count(*) FROM runs WHERE id=1 AND pos->>'$.frames[0].block'='actions' AND "
                  "json_type(pos,'$.frames[0].due') IS NULL AND json_type(pos,'$.due') IS NULL AND wall=0",
                  -1, &n, &f->err));
        assert_int_equal(n, 1);
        ok(f, peri_db_int(&db, "SELECT wake FROM runs WHERE id=2", -1, &n, &f->err));
        assert_int_equal(n, 0);
        peri_db_finish(&db);
    }
}

static void test_migration_copies_and_moves_forward(void **state)
{
    struct fixture *f = *state;
    struct peri_db db;
    int version = 0;
    int64_t n = 0;
    char copy[128];
    const char *steps[] = {peri_schema_steps[0], "ALTER TABLE events ADD COLUMN extra TEXT", NULL};
    const char *broken[] = {steps[0], steps[1], "CREATE TABLE half(x); CREATE NONSENSE", NULL};
    insert_event(f, "a", NULL, "{}");
    fixture_close(f);
    ok(f, peri_db_open(&db, f->path, PERI_DB_WRITE, &f->err));
    ok(f, peri_schema_migrate(&db, steps, 1, &f->err));
    ok(f, peri_db_int(&db, "SELECT count(*) FROM events WHERE extra IS NULL", -1, &n, &f->err));
    assert_int_equal(n, 1);
    ok(f, peri_schema_inspect(&db, 2, &version, &f->err));
    assert_int_equal(version, 2);
    /* A step that fails leaves everything as it was. */
    assert_int_not_equal(peri_schema_migrate(&db, broken, 2, &f->err), PERI_OK);
    assert_non_null(strstr(f->err.message, "migration to schema 3"));
    ok(f, peri_schema_inspect(&db, 3, &version, &f->err));
    assert_int_equal(version, 2);
    ok(f, peri_db_int(&db, "SELECT count(*) FROM sqlite_schema WHERE name='half'", -1, &n, &f->err));
    assert_int_equal(n, 0);
    peri_db_finish(&db);
    snprintf(copy, sizeof(copy), "%s.v1.bak", f->path);
    ok(f, peri_reader_open(copy, &f->reader, &f->err));
    struct peri_event *e = NULL;
    ok(f, peri_reader_event(f->reader, 1, &e, &f->err));
    peri_event_unref(e);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define M(name) cmocka_unit_test_setup_teardown(name, fixture_setup_memory, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_facts_survive_reopening),
        T(test_second_opener_is_told_who_has_it),
        M(test_failing_operation_takes_only_itself_back),
        M(test_what_can_be_run_again_is_only_when_something_fails),
        T(test_queue_is_bounded),
        T(test_close_finishes_what_is_queued),
        T(test_completions_are_posted_once_for_a_group),
        T(test_readers_see_only_what_is_committed),
        M(test_many_threads_write_and_read_memory),
        M(test_two_memory_stores_are_two),
        cmocka_unit_test(test_reader_without_a_database),
        T(test_newer_schema_is_refused),
        T(test_migration_copies_and_moves_forward),
        T(test_migration_goes_on_after_a_kill),
        T(test_migration_of_waits_takes_off_what_the_clock_was_set_by),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
