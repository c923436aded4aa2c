/* SPDX-License-Identifier: Apache-2.0 */
#include "run/pipekit.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

/* A child serves, the parent kills it with SIGKILL after some number of signs of life, again and again. What was
 * acknowledged must be there, what must not be repeated must not have been. */

#define ROUNDS 12
#define BATCH 10

#define RULES                                                                                                          \
    "rules:\n"                                                                                                         \
    "  - {name: Once, trigger: {event: a.B}, actions: [{set: {n: \"{{ event.n }}\"}}, {operator: x.ok}, {delay: "      \
    "1ms}, {operator: x.ok}]}\n"                                                                                       \
    "  - {name: Chain, trigger: {event: a.B}, actions: [{emit: {event: b.C, data: {n: \"{{ event.n }}\"}}}]}\n"        \
    "  - {name: Heard, trigger: {event: b.C}, actions: [{operator: x.repeat}]}\n"                                      \
    "  - {name: Late, trigger: {event: a.B}, key: \"{{ event.n % 3 }}\", mode: queued, conditions: [{operator: "       \
    "c.late}],"                                                                                                        \
    " actions: [{set: {n: 1}}]}\n"

struct witness {
    int calls, acks; /* files: one line a call of a provider, one line an acknowledged event */
    int life;        /* pipe: one byte for each of them */
    struct bed *bed;
    struct provider_answer *late[64]; /* questions of conditions that nobody has answered so far */
    size_t late_count;
    unsigned random;
};

static void write_line(struct witness *w, int fd, const char *text)
{
    char line[160];
    int len = snprintf(line, sizeof(line), "%s\n", text);
    assert_int_equal(write(fd, line, (size_t)len), len);
    if (w->life >= 0)
        (void)!write(w->life, ".", 1);
}

struct provider_answer {
    peri_call_done done;
    void *arg;
};

static void provider_answers(void *arg)
{
    struct provider_answer *a = arg;
    struct peri_call_result result = {.status = PERI_OK, .holds = true};
    a->done(a->arg, &result);
    free(a);
}

/* Conditions wait until others have come, and are not answered in order. */
static void answer_late(struct witness *w, size_t keep)
{
    while (w->late_count > keep) {
        w->random = w->random * 1103515245 + 12345;
        size_t i = (w->random >> 16) % w->late_count;
        struct provider_answer *a = w->late[i];
        w->late[i] = w->late[--w->late_count];
        assert_int_equal(peri_loop_post(w->bed->loop, provider_answers, a), PERI_OK);
    }
}

static bool provider_lookup(void *ctx, const char *id, enum peri_delivery *ret)
{
    return kit_lookup(ctx, id, ret);
}

static enum peri_status provider_call(
    void *ctx, const struct peri_call *call, peri_call_done done, void *arg, struct peri_error *err)
{
    struct witness *w = ctx;
    char line[128];
    struct provider_answer *a = malloc(sizeof(*a));
    if (strcmp(call->operator_id, "c.late") == 0) {
        *a = (struct provider_answer){done, arg};
        w->late[w->late_count++] = a;
        answer_late(w, 20);
        return PERI_OK;
    }
    snprintf(line, sizeof(line), "%s %s", call->operator_id, call->idempotency_key);
    write_line(w, w->calls, line);
    *a = (struct provider_answer){done, arg};
    return peri_loop_post(w->bed->loop, provider_answers, a);
}

struct ack {
    struct witness *w;
    struct peri_batch *batch;
    bool done;
};

static void acknowledged(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct ack *ack = arg;
    char line[32];
    ack->done = true;
    for (size_t i = 0; st == PERI_OK && i < peri_batch_events(ack->batch); i++) {
        snprintf(line, sizeof(line), "%llu", (unsigned long long)peri_batch_event_at(ack->batch, i)->seq);
        write_line(ack->w, ack->w->acks, line);
    }
}

static void start_bed(struct bed *bed, struct witness *w)
{
    struct peri_run_ops ops = {.lookup = provider_lookup, .call = provider_call, .ctx = w};
    bed->clock = peri_clock_system();
    bed->ops = &ops;
    kit_start(bed, RULES);
    bed->ops = NULL;
}

static void child(struct bed *bed, struct witness *w)
{
    int n = 0;
    w->bed = bed;
    start_bed(bed, w);
    for (;;) {
        struct ack ack = {.w = w, .batch = peri_batch_create()};
        struct peri_error err = {0};
        for (int i = 0; i < BATCH; i++) {
            char json[32];
            snprintf(json, sizeof(json), "{\"n\":%d}", n++);
            assert_int_equal(peri_batch_event(ack.batch, kit_event("a.B", json, NULL)), PERI_OK);
        }
        if (peri_pipeline_submit(bed->pipe, ack.batch, acknowledged, &ack, &err) != PERI_OK)
            _exit(1);
        for (int i = 0; i < 10 || !ack.done; i++) {
            if (bed->pipe->caution.left > 0) /* one at a time: no others will come */
                answer_late(w, 0);
            peri_loop_once(bed->loop, 1);
        }
    }
}

static void round_of(struct bed *bed, struct witness *w, int signs)
{
    int fds[2];
    char c;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        w->life = fds[1];
        child(bed, w);
    }
    close(fds[1]);
    while (signs-- > 0 && read(fds[0], &c, 1) == 1)
        ;
    kill(pid, SIGKILL);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status)); /* it did not end by itself */
    close(fds[0]);
}

static size_t count_lines(const char *path, const char *line)
{
    char text[160];
    size_t n = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(text, sizeof(text), file)) {
        text[strcspn(text, "\n")] = '\0';
        n += !line || strcmp(text, line) == 0;
    }
    fclose(file);
    return n;
}

static void check_acknowledged(struct bed *bed, const char *path)
{
    char text[64];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(text, sizeof(text), file)) {
        uint64_t seq = strtoull(text, NULL, 10);
        struct peri_value *event = NULL;
        assert_int_equal(peri_reader_event_value(bed->reader, seq, &event, NULL), PERI_OK);
        assert_string_equal(peri_map_text(event, "state"), "matched");
        peri_value_unref(event);
        static const char *const rules[] = {"once", "chain", "late"};
        struct peri_value *verdicts = kit_verdicts(bed, seq);
        assert_int_equal(peri_value_count(verdicts), 3);
        peri_value_unref(verdicts);
        for (size_t i = 0; i < 3; i++) {
            struct peri_run_filter filter = {.rule = rules[i], .event = seq, .limit = 10};
            struct peri_value *runs = NULL;
            assert_int_equal(peri_reader_runs(bed->reader, &filter, &runs, NULL), PERI_OK);
            assert_int_equal(peri_value_count(runs), 1);
            peri_value_unref(runs);
        }
    }
    fclose(file);
}

/* Runs of a lane were made in the order of their events. */
static void check_order(struct bed *bed)
{
    uint64_t next[3] = {UINT64_MAX, UINT64_MAX, UINT64_MAX}, before = 0;
    for (size_t count = 1000; count == 1000;) {
        struct peri_run_filter filter = {.rule = "late", .before = before, .limit = 1000};
        struct peri_value *list = NULL, *event = NULL;
        assert_int_equal(peri_reader_runs(bed->reader, &filter, &list, NULL), PERI_OK);
        count = peri_value_count(list);
        for (size_t i = 0; i < count; i++) {
            uint64_t seq = 0;
            assert_true(peri_run_id_parse(peri_map_text(peri_list_at(list, i), "id"), &before));
            assert_true(peri_event_id_parse(peri_map_text(peri_list_at(list, i), "event"), &seq));
            assert_int_equal(peri_reader_event_value(bed->reader, seq, &event, NULL), PERI_OK);
            size_t lane = (size_t)peri_map_int(peri_map_at(event, "data"), "n", 0) % 3;
            assert_true(seq < next[lane]);
            next[lane] = seq;
            peri_value_unref(event);
        }
        peri_value_unref(list);
    }
}

/* Every step of every run against what the provider saw. */
static void check_runs(struct bed *bed, const char *calls, size_t *ret_unknown)
{
    uint64_t before = 0;
    for (;;) {
        struct peri_run_filter filter = {.before = before, .limit = 1000};
        struct peri_value *list = NULL;
        assert_int_equal(peri_reader_runs(bed->reader, &filter, &list, NULL), PERI_OK);
        size_t count = peri_value_count(list);
        for (size_t i = 0; i < count; i++) {
            assert_true(peri_run_id_parse(peri_map_text(peri_list_at(list, i), "id"), &before));
            const char *state = peri_map_text(peri_list_at(list, i), "state");
            struct peri_value *run = kit_run(bed, before);
            const struct peri_value *steps = peri_map_at(run, "steps");
            const char *code = peri_map_text(peri_map_at(run, "error"), "code");
            bool given_up = strcmp(state, "failed") == 0 && peri_streq(code, "interrupted"); /* at its fifth kill */
            if (strcmp(state, "succeeded") != 0 && strcmp(state, "unknown") != 0 && !given_up)
                fail_msg("run-%llu is %s", (unsigned long long)before, state);
            *ret_unknown += strcmp(state, "unknown") == 0;
            for (size_t s = 0; s < peri_value_count(steps); s++) {
                const struct peri_value *step = peri_list_at(steps, s);
                const char *op = peri_map_text(step, "operator"), *key = peri_map_text(step, "idempotency_key");
                char line[128];
                if (!key)
                    continue;
                snprintf(line, sizeof(line), "%s %s", op, key);
                size_t seen = count_lines(calls, line);
                if (strcmp(op, "x.ok") == 0)
                    assert_true(seen <= 1);
                if (strcmp(peri_map_text(step, "state"), "done") == 0)
                    assert_true(seen >= 1);
            }
            peri_value_unref(run);
        }
        peri_value_unref(list);
        if (count < 1000)
            return;
    }
}

static void test_sigkill_at_any_instant(void **state)
{
    struct bed bed;
    struct witness w = {.life = -1, .bed = &bed};
    char calls[96], acks[96], command[128];
    memset(&bed, 0, sizeof(bed));
    snprintf(bed.dir, sizeof(bed.dir), "/tmp/perigee-run-XXXXXX");
    assert_non_null(mkdtemp(bed.dir));
    snprintf(bed.db, sizeof(bed.db), "%s/perigee.db", bed.dir);
    snprintf(calls, sizeof(calls), "%s/calls", bed.dir);
    snprintf(acks, sizeof(acks), "%s/acks", bed.dir);
    w.calls = open(calls, O_CREAT | O_WRONLY | O_APPEND, 0600);
    w.acks = open(acks, O_CREAT | O_WRONLY | O_APPEND, 0600);
    assert_true(w.calls >= 0 && w.acks >= 0);
    for (int i = 0; i < ROUNDS; i++)
        round_of(&bed, &w, 5 + (i * 37) % 90);

    start_bed(&bed, &w);
    for (int i = 0; i < 5000 && !(kit_quiet(&bed) && kit_run_count(&bed, "sleeping") == 0); i++) {
        answer_late(&w, 0);
        peri_loop_once(bed.loop, 2);
    }
    KIT_QUIET(&bed);
    size_t unknown = 0;
    check_acknowledged(&bed, acks);
    check_order(&bed);
    check_runs(&bed, calls, &unknown);
    assert_true(count_lines(acks, NULL) > 0);
    assert_int_equal(kit_status(&bed, "live_runs"), (int64_t)unknown);
    kit_stop(&bed);
    close(w.calls);
    close(w.acks);
    snprintf(command, sizeof(command), "rm -rf '%s'", bed.dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sigkill_at_any_instant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
