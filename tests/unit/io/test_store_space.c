/* SPDX-License-Identifier: Apache-2.0 */
#include "io/store_fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "io/store_db.h"

#define RESERVE (256 << 10)
#define LIMIT ((rlim_t)1 << 20) /* no file may be larger: stands for a full disk */

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    fixture_dir(f);
    *state = f;
    return 0;
}

struct told {
    _Atomic int times;
};

static void changed(void *ctx)
{
    ((struct told *)ctx)->times++;
}

static struct peri_store_options space_options(struct fixture *f, struct told *told)
{
    struct peri_store_options o = fixture_options(f);
    o.reserve = RESERVE;
    o.changed = changed;
    o.changed_ctx = told;
    return o;
}

static int64_t reserve_size(struct fixture *f)
{
    char path[128];
    struct stat sb;
    snprintf(path, sizeof(path), "%s/reserve", f->dir);
    return stat(path, &sb) == 0 ? (int64_t)sb.st_blocks * 512 : -1;
}

static enum peri_status fill_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    enum peri_status st = PERI_OK;
    for (int i = 0; !st && i < 100; i++) {
        struct peri_event *e =
            make_event("a", NULL, "{\"padding\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}");
        st = peri_tx_event_insert(tx, e, err);
        peri_event_unref(e);
    }
    return st;
}

static void test_room_is_held_back_and_kept(void **state)
{
    struct fixture *f = *state;
    struct told told = {0};
    struct peri_store_options o = space_options(f, &told);
    ok(f, peri_store_open(&o, &f->store, &f->err));
    assert_true(reserve_size(f) >= RESERVE); /* blocks, not only a length */
    assert_int_equal(peri_store_state(f->store, NULL), PERI_STORE_GOOD);
    fixture_close(f);
    assert_true(reserve_size(f) >= RESERVE);
    ok(f, peri_store_open(&o, &f->store, &f->err));
    fixture_close(f);
    assert_int_equal(told.times, 0);
}

static void test_commands_hold_nothing_back(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    assert_int_equal(reserve_size(f), -1);
}

#define check(n, cond)                                                                                                 \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "child: %s: %s\n", #cond, f->err.message);                                                 \
            _exit(n);                                                                                                  \
        }                                                                                                              \
    } while (0)

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

static void set_limit(struct fixture *f, rlim_t bytes)
{
    struct rlimit limit = {bytes, (rlim_t)64 << 20};
    check(90, setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static int64_t count_events(struct fixture *f)
{
    int64_t n = -1;
    check(91, peri_db_int(&f->reader->db, "SELECT count(*) FROM events", -1, &n, &f->err) == PERI_OK);
    return n;
}

static void full_body(struct fixture *f)
{
    struct told told = {0};
    struct peri_store_options o = space_options(f, &told);
    char reason[PERI_ERROR_MESSAGE_MAX];
    enum peri_status st = PERI_OK;
    int good = 0;
    set_limit(f, LIMIT);
    check(1, peri_store_open(&o, &f->store, &f->err) == PERI_OK);
    check(2, peri_store_reader(f->store, &f->reader, &f->err) == PERI_OK);
    check(3, reserve_size(f) > 0);
    while (good < 400 && !(st = peri_store_run(f->store, fill_fn, NULL, &f->err)))
        good++;
    check(4, st == PERI_EFULL && strstr(f->err.message, "no space left"));
    check(5, peri_store_state(f->store, reason) == PERI_STORE_FULL && strstr(reason, "no space left"));
    check(6, told.times == 1 && reserve_size(f) == -1);
    /* The emptied WAL has room for a while. When that is used up too, looking again changes nothing. */
    for (int round = 0; round < 10; round++) {
        while (good < 400 && !(st = peri_store_run(f->store, fill_fn, NULL, &f->err)))
            good++;
        check(7, st == PERI_EFULL);
        peri_store_upkeep(f->store);
    }
    int times = told.times;
    for (int round = 0; round < 3; round++)
        peri_store_upkeep(f->store);
    check(8, peri_store_state(f->store, NULL) == PERI_STORE_FULL && told.times == times && reserve_size(f) == -1);
    check(9, count_events(f) == good * 100);
    set_limit(f, (rlim_t)64 << 20);
    peri_store_upkeep(f->store);
    check(10, peri_store_state(f->store, reason) == PERI_STORE_GOOD && reason[0] == '\0');
    check(11, told.times == times + 1 && reserve_size(f) > 0);
    check(12, peri_store_run(f->store, fill_fn, NULL, &f->err) == PERI_OK);
    check(13, count_events(f) == (good + 1) * 100);
    fixture_close(f);
}

static void test_full_disk_is_noticed_and_left_behind(void **state)
{
    assert_int_equal(in_child(full_body, *state), 0);
}

static void start_body(struct fixture *f)
{
    struct told told = {0};
    struct peri_store_options o = space_options(f, &told);
    check(1, peri_store_open(&o, &f->store, &f->err) == PERI_OK);
    check(2, peri_store_run(f->store, fill_fn, NULL, &f->err) == PERI_OK);
    fixture_close(f);
    set_limit(f, 4096); /* not even the first row of a start can be written */
    check(3, peri_store_open(&o, &f->store, &f->err) == PERI_EFULL);
    set_limit(f, (rlim_t)64 << 20);
    check(4, peri_store_open(&o, &f->store, &f->err) == PERI_OK);
    check(5, peri_store_reader(f->store, &f->reader, &f->err) == PERI_OK && count_events(f) == 100);
    fixture_close(f);
}

static void test_start_on_a_full_disk_harms_nothing(void **state)
{
    assert_int_equal(in_child(start_body, *state), 0);
}

#define D(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
    signal(SIGXFSZ, SIG_IGN);
    const struct CMUnitTest tests[] = {
        D(test_room_is_held_back_and_kept),
        D(test_commands_hold_nothing_back),
        D(test_full_disk_is_noticed_and_left_behind),
        D(test_start_on_a_full_disk_harms_nothing),
    };
    return cmocka_run_group_tests_name("store_space", tests, NULL, NULL);
}
