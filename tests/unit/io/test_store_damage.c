/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "io/store_db.h"

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    fixture_dir(f);
    *state = f;
    return 0;
}

static void write_file(const char *path, const void *data, size_t len)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static char *read_file(const char *path, size_t *ret_len)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long n = ftell(file);
    rewind(file);
    char *data = malloc((size_t)n + 1);
    assert_int_equal(fread(data, 1, (size_t)n, file), n);
    fclose(file);
    *ret_len = (size_t)n;
    return data;
}

static enum peri_status open_status(struct fixture *f)
{
    struct peri_store_options o = fixture_options(f);
    enum peri_status st = peri_store_open(&o, &f->store, &f->err);
    if (st) {
        assert_null(f->store);
        assert_non_null(strstr(f->err.message, f->dir));
    }
    return st;
}

static void test_file_that_is_no_database_is_left_alone(void **state)
{
    struct fixture *f = *state;
    static const char text[] = "This is my diary, not a database.\n";
    char big[8192];
    size_t len;
    memset(big, 'x', sizeof(big));
    write_file(f->path, text, strlen(text));
    assert_int_equal(open_status(f), PERI_ECORRUPT);
    assert_non_null(strstr(f->err.message, "is not a perigee database"));
    char *after = read_file(f->path, &len);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(after, text, len);
    free(after);
    write_file(f->path, big, sizeof(big));
    assert_int_equal(open_status(f), PERI_ECORRUPT);
    after = read_file(f->path, &len);
    assert_int_equal(len, sizeof(big));
    assert_memory_equal(after, big, len);
    free(after);
    assert_int_equal(peri_reader_open(f->path, &f->reader, &f->err), PERI_ECORRUPT);
}

static void test_database_of_another_program_is_left_alone(void **state)
{
    struct fixture *f = *state;
    struct peri_db db;
    int64_t n = 0;
    ok(f, peri_db_open(&db, f->path, PERI_DB_WRITE, &f->err));
    ok(f, peri_db_exec(&db, "CREATE TABLE theirs(x); INSERT INTO theirs VALUES(1)", &f->err));
    peri_db_finish(&db);
    assert_int_equal(open_status(f), PERI_ECORRUPT);
    assert_non_null(strstr(f->err.message, "another program"));
    ok(f, peri_db_open(&db, f->path, PERI_DB_WRITE, &f->err));
    ok(f, peri_db_int(&db, "SELECT count(*) FROM sqlite_schema", -1, &n, &f->err));
    assert_int_equal(n, 1);
    peri_db_finish(&db);
}

static void test_empty_file_is_a_new_database(void **state)
{
    struct fixture *f = *state;
    write_file(f->path, "", 0);
    assert_int_equal(open_status(f), PERI_OK);
    assert_int_equal(insert_event(f, "a", NULL, "{}"), 1);
}

static void test_unusable_paths_say_why(void **state)
{
    struct fixture *f = *state;
    struct peri_store_options o = fixture_options(f);
    char path[200];
    o.path = path;
    snprintf(path, sizeof(path), "%s/missing/state.db", f->dir);
    assert_int_equal(peri_store_open(&o, &f->store, &f->err), PERI_EIO);
    assert_non_null(strstr(f->err.message, "missing"));
    assert_non_null(strstr(f->err.message, strerror(ENOENT)));
    snprintf(path, sizeof(path), "%s/folder", f->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(peri_store_open(&o, &f->store, &f->err), PERI_EIO);
    assert_non_null(strstr(f->err.message, strerror(EISDIR)));
    assert_int_equal(rmdir(path), 0);
}

/* Runs body in a child; its exit code is the result. */
static int in_child(void (*body)(struct fixture *f), struct fixture *f)
{
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        body(f);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#define check(n, cond)                                                                                                 \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "child: %s: %s\n", #cond, f->err.message);                                                 \
            _exit(n);                                                                                                  \
        }                                                                                                              \
    } while (0)

static void read_only_body(struct fixture *f)
{
    struct peri_store_options o = fixture_options(f);
    /* The superuser may write everywhere. */
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
        _exit(0);
    check(2, peri_store_open(&o, &f->store, &f->err) == PERI_EIO);
    check(3, strstr(f->err.message, f->dir) && strstr(f->err.message, strerror(EACCES)));
}

static void test_read_only_folder(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(chmod(f->dir, 0555), 0);
    assert_int_equal(in_child(read_only_body, f), 0);
    assert_int_equal(chmod(f->dir, 0755), 0);
}

static void test_read_only_database(void **state)
{
    struct fixture *f = *state;
    char lock[128];
    fixture_open(f);
    fixture_close(f);
    snprintf(lock, sizeof(lock), "%s/lock", f->dir);
    assert_int_equal(chmod(lock, 0666), 0);
    assert_int_equal(chmod(f->path, 0444), 0);
    assert_int_equal(chmod(f->dir, 0777), 0);
    assert_int_equal(in_child(read_only_body, f), 0);
}

static enum peri_status fill_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    for (int i = 0; !st && i < 200; i++) {
        struct peri_event *e =
            make_event("a", NULL, "{\"padding\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}");
        st = peri_tx_event_insert(tx, e, err);
        peri_event_unref(e);
    }
    return st;
}

static void test_truncated_file(void **state)
{
    struct fixture *f = *state;
    struct stat sb;
    fixture_open(f);
    ok(f, peri_store_run(f->store, fill_fn, NULL, &f->err));
    fixture_close(f);
    assert_int_equal(stat(f->path, &sb), 0);
    assert_int_equal(truncate(f->path, sb.st_size / 2), 0);
    assert_int_equal(open_status(f), PERI_ECORRUPT);
    assert_int_equal(stat(f->path, &sb), 0);
}

static void damage_page(struct fixture *f, const char *table)
{
    struct peri_db db;
    int64_t root = 0, size = 0;
    char sql[128], junk[512];
    snprintf(sql, sizeof(sql), "SELECT rootpage FROM sqlite_schema WHERE name='%s'", table);
    ok(f, peri_db_open(&db, f->path, PERI_DB_WRITE, &f->err));
    ok(f, peri_db_exec(&db, "UPDATE meta SET v='0' WHERE k='clean'", &f->err));
    ok(f, peri_db_int(&db, sql, 0, &root, &f->err));
    ok(f, peri_db_int(&db, "PRAGMA page_size", 0, &size, &f->err));
    peri_db_finish(&db);
    int fd = open(f->path, O_WRONLY);
    assert_true(fd >= 0);
    memset(junk, 0x5A, sizeof(junk));
    assert_int_equal(pwrite(fd, junk, sizeof(junk), (root - 1) * size), sizeof(junk));
    close(fd);
}

static void test_damaged_page_is_found_after_an_unclean_stop(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    ok(f, peri_store_run(f->store, fill_fn, NULL, &f->err));
    fixture_close(f);
    damage_page(f, "events");
    assert_int_equal(open_status(f), PERI_ECORRUPT);
}

static void test_damage_found_at_work_stops_writing(void **state)
{
    struct fixture *f = *state;
    struct peri_db db;
    int64_t root = 0, size = 0;
    fixture_open(f);
    ok(f, peri_store_run(f->store, fill_fn, NULL, &f->err));
    fixture_close(f);
    ok(f, peri_db_open(&db, f->path, PERI_DB_WRITE, &f->err));
    ok(f, peri_db_int(&db, "SELECT rootpage FROM sqlite_schema WHERE name='dedupe'", 0, &root, &f->err));
    ok(f, peri_db_int(&db, "PRAGMA page_size", 0, &size, &f->err));
    peri_db_finish(&db);
    int fd = open(f->path, O_WRONLY);
    char junk[64];
    memset(junk, 0x5A, sizeof(junk));
    assert_int_equal(pwrite(fd, junk, sizeof(junk), (root - 1) * size), sizeof(junk));
    close(fd);
    assert_int_equal(open_status(f), PERI_OK); /* the last stop was clean: not looked at */
    struct peri_event *e = make_event("a", "x", "{}"), *plain = make_event("a", NULL, "{}");
    assert_int_equal(peri_store_run(f->store, insert_fn, e, &f->err), PERI_ECORRUPT);
    /* This one would go to a table that is whole; but nobody knows what else is broken. */
    assert_int_equal(peri_store_run(f->store, insert_fn, plain, &f->err), PERI_ECORRUPT);
    assert_non_null(strstr(f->err.message, "nothing more is written"));
    peri_event_unref(e);
    peri_event_unref(plain);
}

static void gone(struct fixture *f, const char *tail)
{
    char path[128], away[160];
    snprintf(path, sizeof(path), "%s%s", f->path, tail);
    snprintf(away, sizeof(away), "%s.away", path);
    assert_int_equal(rename(path, away), 0);
    assert_int_equal(peri_store_run(f->store, fill_fn, NULL, &f->err), PERI_EIO);
    assert_string_equal(f->err.code, "database_gone");
    write_file(path, "", 0);
    assert_int_equal(peri_store_run(f->store, fill_fn, NULL, &f->err), PERI_EIO);
    assert_int_equal(rename(away, path), 0);
    ok(f, peri_store_run(f->store, fill_fn, NULL, &f->err));
}

static void test_nothing_is_acknowledged_into_a_file_without_a_name(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    ok(f, peri_store_run(f->store, fill_fn, NULL, &f->err));
    gone(f, "");
    gone(f, "-wal");
    fixture_close(f);
}

static void flip(const char *path, const char *needle)
{
    size_t len;
    char *data = read_file(path, &len);
    char *at = memmem(data, len, needle, strlen(needle));
    assert_non_null(at);
    while (at) { /* wherever a copy stands */
        at[1] ^= 1;
        at = memmem(data, len, needle, strlen(needle));
    }
    write_file(path, data, len);
    free(data);
}

static void test_wrong_checksum_stops_writing(void **state)
{
    struct fixture *f = *state;
    char reason[PERI_ERROR_MESSAGE_MAX];
    struct peri_event *event = NULL;
    fixture_open(f);
    insert_event(f, "a", NULL, "{\"text\":\"needle\"}");
    insert_event(f, "a", NULL, "{}");
    fixture_close(f);
    flip(f->path, "needle");
    fixture_open(f); /* nothing is wrong with the structure */
    assert_int_equal(peri_reader_event(f->reader, 2, &event, &f->err), PERI_OK);
    peri_event_unref(event);
    assert_int_equal(peri_store_state(f->store, NULL), PERI_STORE_GOOD);
    assert_int_equal(peri_reader_event(f->reader, 1, &event, &f->err), PERI_ECORRUPT);
    assert_int_equal(peri_store_state(f->store, reason), PERI_STORE_DAMAGED);
    assert_non_null(strstr(reason, "ev-1"));
    struct peri_event *e = make_event("a", NULL, "{}");
    assert_int_equal(peri_store_run(f->store, insert_fn, e, &f->err), PERI_ECORRUPT);
    peri_event_unref(e);
    assert_int_equal(peri_reader_event(f->reader, 2, &event, &f->err), PERI_OK); /* reading goes on */
    peri_event_unref(event);
}

static void test_large_database_is_checked_while_it_serves(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    ok(f, peri_store_run(f->store, fill_fn, NULL, &f->err));
    fixture_close(f);
    damage_page(f, "kv"); /* a start does not look there */
    struct peri_store_options o = fixture_options(f);
    o.check_max = 1;
    ok(f, peri_store_open(&o, &f->store, &f->err));
    for (int i = 0; i < 1000 && peri_store_state(f->store, NULL) == PERI_STORE_GOOD; i++)
        usleep(10000);
    assert_int_equal(peri_store_state(f->store, NULL), PERI_STORE_DAMAGED);
    assert_int_equal(peri_store_run(f->store, fill_fn, NULL, &f->err), PERI_ECORRUPT);
}

/* The process ends without a word; what the WAL holds was acknowledged. */
static void vanish_body(struct fixture *f)
{
    struct peri_store_options o = fixture_options(f);
    o.high = true;
    check(2, peri_store_open(&o, &f->store, &f->err) == PERI_OK);
    check(3, peri_store_run(f->store, fill_fn, NULL, &f->err) == PERI_OK);
    check(4, peri_store_run(f->store, fill_fn, NULL, &f->err) == PERI_OK);
    peri_store_upkeep(f->store);
}

static void test_lost_tail_of_the_wal_is_told_and_jumped_over(void **state)
{
    struct fixture *f = *state;
    char wal[128];
    struct stat sb;
    assert_int_equal(in_child(vanish_body, f), 0);
    snprintf(wal, sizeof(wal), "%s-wal", f->path);
    assert_int_equal(stat(wal, &sb), 0);
    int fd = open(wal, O_WRONLY);
    assert_int_equal(pwrite(fd, "damaged", 7, sb.st_size - 6000), 7);
    close(fd);
    struct peri_store_options o = fixture_options(f);
    o.high = true;
    ok(f, peri_store_open(&o, &f->store, &f->err));
    const struct peri_store_found *found = peri_store_found(f->store);
    assert_true(found->behind);
    assert_false(found->clean);
    assert_int_equal(found->high_seq, 400);
    assert_true(found->stored_seq < 400);
    assert_int_equal(found->alive_ms, T0);
    assert_int_equal(insert_event(f, "a", NULL, "{}"), 401); /* no number is given twice */
    fixture_close(f);
    ok(f, peri_store_open(&o, &f->store, &f->err)); /* told once */
    assert_false(peri_store_found(f->store)->behind);
    assert_true(peri_store_found(f->store)->clean);
    int64_t n = 0;
    ok(f, peri_db_int(peri_store_db(f->store), "SELECT count(*) FROM audit WHERE action='journal.behind'", 0, &n, &f->err));
    assert_int_equal(n, 1);
}

static void test_unreadable_mark_is_no_reason_to_stay_down(void **state)
{
    struct fixture *f = *state;
    char high[128];
    snprintf(high, sizeof(high), "%s/high", f->dir);
    write_file(high, "nonsense", 8);
    struct peri_store_options o = fixture_options(f);
    o.high = true;
    ok(f, peri_store_open(&o, &f->store, &f->err));
    assert_false(peri_store_found(f->store)->behind);
    assert_int_equal(insert_event(f, "a", NULL, "{}"), 1);
    fixture_close(f);
    ok(f, peri_store_open(&o, &f->store, &f->err));
    assert_int_equal(peri_store_found(f->store)->high_seq, 1);
}

/* A full disk: files may not grow beyond a bound. Then there is room again. */
static void full_body(struct fixture *f)
{
    struct rlimit limit = {1 << 20, 64 << 20};
    enum peri_status st = PERI_OK;
    int good = 0;
    signal(SIGXFSZ, SIG_IGN);
    struct peri_store_options o = fixture_options(f);
    check(2, peri_store_open(&o, &f->store, &f->err) == PERI_OK);
    check(3, setrlimit(RLIMIT_FSIZE, &limit) == 0);
    while (good < 200 && !(st = peri_store_run(f->store, fill_fn, NULL, &f->err)))
        good++;
    check(4, good > 0 && st == PERI_EFULL);
    check(5, strstr(f->err.message, "no space left") != NULL);
    /* Reading goes on, and everything acknowledged is there. */
    check(6, peri_store_reader(f->store, &f->reader, &f->err) == PERI_OK);
    int64_t n = 0;
    check(7, peri_db_int(&f->reader->db, "SELECT count(*) FROM events", -1, &n, &f->err) == PERI_OK && n == good * 200);
    check(8, peri_store_run(f->store, fill_fn, NULL, &f->err) == PERI_EFULL);
    limit.rlim_cur = 64 << 20;
    check(9, setrlimit(RLIMIT_FSIZE, &limit) == 0);
    check(10, peri_store_run(f->store, fill_fn, NULL, &f->err) == PERI_OK);
    check(11, peri_db_int(&f->reader->db, "SELECT count(*) FROM events", -1, &n, &f->err) == PERI_OK &&
                  n == (good + 1) * 200);
    check(12, peri_db_int(&f->reader->db, "SELECT max(seq) FROM events", -1, &n, &f->err) == PERI_OK &&
                  n == (good + 1) * 200);
    fixture_close(f);
    check(13, peri_store_open(&o, &f->store, &f->err) == PERI_OK);
    fixture_close(f);
}

static void test_full_disk(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(in_child(full_body, f), 0);
}

static void full_pages_body(struct fixture *f)
{
    enum peri_status st = PERI_OK;
    struct peri_store_options o = fixture_options(f);
    int good = 0;
    check(2, peri_store_open(&o, &f->store, &f->err) == PERI_OK);
    struct peri_db *db = peri_store_db(f->store);
    int64_t pages = 0;
    check(3, peri_db_int(db, "PRAGMA max_page_count=120", 0, &pages, &f->err) == PERI_OK);
    while (good < 200 && !(st = peri_store_run(f->store, fill_fn, NULL, &f->err)))
        good++;
    check(4, good > 0 && st == PERI_EFULL);
    check(5, peri_db_int(db, "PRAGMA max_page_count=100000", 0, &pages, &f->err) == PERI_OK);
    check(6, peri_store_run(f->store, fill_fn, NULL, &f->err) == PERI_OK);
    fixture_close(f);
}

static void test_full_database(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(in_child(full_pages_body, f), 0);
}

/* The child acknowledges each event on a pipe after its commit, until it is killed. */
static void writer_body(struct fixture *f, int fd)
{
    struct peri_store_options o = fixture_options(f);
    check(2, peri_store_open(&o, &f->store, &f->err) == PERI_OK);
    for (;;) {
        struct peri_batch *b = peri_batch_create();
        for (int i = 0; i < 7; i++)
            check(3, peri_batch_event(b, make_event("a", NULL, "{\"n\":1}")) == PERI_OK);
        check(4, peri_store_run(f->store, batch_fn, b, &f->err) == PERI_OK);
        uint64_t last = peri_batch_event_at(b, 6)->seq;
        if (write(fd, &last, sizeof(last)) != sizeof(last))
            _exit(5);
        peri_batch_destroy(b);
    }
}

static enum peri_status count_fn(void *arg, struct peri_event *event)
{
    uint64_t *next = arg;
    assert_false(event->damaged);
    assert_int_equal(event->seq, *next);
    (*next)++;
    return PERI_OK;
}

static void test_killed_process_loses_nothing_acknowledged(void **state)
{
    struct fixture *f = *state;
    uint64_t acknowledged = 0;
    for (int round = 0; round < 4; round++) {
        int fds[2], status;
        uint64_t seq;
        assert_int_equal(pipe(fds), 0);
        fflush(NULL);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            close(fds[0]);
            writer_body(f, fds[1]);
        }
        close(fds[1]);
        for (int i = 0; i < 15 + 10 * round && read(fds[0], &seq, sizeof(seq)) == sizeof(seq); i++)
            acknowledged = seq;
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        while (read(fds[0], &seq, sizeof(seq)) == sizeof(seq))
            acknowledged = seq;
        close(fds[0]);
        fixture_open(f);
        uint64_t next = 1;
        ok(f, peri_reader_unmatched(f->reader, 0, 1000000, count_fn, &next, &f->err));
        /* All of them, once, in order; whole batches only. */
        assert_true(next - 1 >= acknowledged);
        assert_int_equal((next - 1) % 7, 0);
        fixture_close(f);
    }
    assert_true(acknowledged > 0);
}

#define D(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
    signal(SIGXFSZ, SIG_IGN);
    const struct CMUnitTest tests[] = {
        D(test_file_that_is_no_database_is_left_alone),
        D(test_database_of_another_program_is_left_alone),
        D(test_empty_file_is_a_new_database),
        D(test_unusable_paths_say_why),
        D(test_read_only_folder),
        D(test_read_only_database),
        D(test_truncated_file),
        D(test_damaged_page_is_found_after_an_unclean_stop),
        D(test_damage_found_at_work_stops_writing),
        D(test_nothing_is_acknowledged_into_a_file_without_a_name),
        D(test_wrong_checksum_stops_writing),
        D(test_large_database_is_checked_while_it_serves),
        D(test_lost_tail_of_the_wal_is_told_and_jumped_over),
        D(test_unreadable_mark_is_no_reason_to_stay_down),
        D(test_full_disk),
        D(test_full_database),
        D(test_killed_process_loses_nothing_acknowledged),
    };
    return cmocka_run_group_tests_name("store_damage", tests, NULL, NULL);
}
