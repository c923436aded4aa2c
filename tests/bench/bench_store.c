/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/str.h"
#include "data/json.h"
#include "io/store_data.h"

/* Durable events a second through the store, with batches of 1 and of 100, one batch at a time and many at once; what
 * the usual question of a condition costs; and what the disk under it does by itself. bench_store [--json] [FOLDER]:
 * where the database is made, /tmp by default. */

static bool json;
static int printed;

/* One line of the table, or one member of the object. */
static void say(const char *key, const char *text, double value, const char *unit)
{
    if (json)
        printf("%s\"%s\":%.2f", printed++ ? "," : "{", key, value);
    else
        printf("%-42s %10.1f %s\n", text, value, unit);
}

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void die(const char *what, const struct peri_error *err)
{
    fprintf(stderr, "bench_store: %s: %s\n", what, err->message);
    exit(1);
}

static struct peri_batch *make_batch(int n, unsigned *serial)
{
    struct peri_batch *batch = peri_batch_create();
    for (int i = 0; batch && i < n; i++) {
        struct peri_event *e = peri_event_create();
        e->source = peri_strdup("bench");
        e->type = peri_strdup("comms.CallMissed");
        e->external_id = peri_asprintf("call-%u", (*serial)++);
        e->data =
            peri_strdup("{\"fromContactId\":\"contact-1234567890\",\"direction\":\"inbound\",\"durationSeconds\":0,"
                        "\"startedAt\":\"2026-01-01T00:00:00.000Z\",\"to\":\"+4930123456\",\"from\":\"+4930654321\"}");
        e->data_len = strlen(e->data);
        if (peri_batch_event(batch, e))
            abort();
    }
    return batch;
}

struct flight {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    int open;
};

struct ticket {
    struct flight *flight;
    struct peri_batch *batch;
};

static enum peri_status batch_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    return peri_tx_batch(tx, ((struct ticket *)arg)->batch, err);
}

static void landed(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct ticket *t = arg;
    if (st)
        die("commit", err);
    pthread_mutex_lock(&t->flight->mutex);
    t->flight->open--;
    pthread_cond_signal(&t->flight->cond);
    pthread_mutex_unlock(&t->flight->mutex);
    peri_batch_destroy(t->batch);
    free(t);
}

/* Keeps `wide` batches under way for about a second. */
static void events(struct peri_store *store, int size, int wide)
{
    char key[40], text[60];
    struct flight f = {.mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    static unsigned serial;
    long done = 0;
    double start = now();
    while (now() - start < 1) {
        struct ticket *t = malloc(sizeof(*t));
        *t = (struct ticket){&f, make_batch(size, &serial)};
        pthread_mutex_lock(&f.mutex);
        while (f.open >= wide)
            pthread_cond_wait(&f.cond, &f.mutex);
        f.open++;
        pthread_mutex_unlock(&f.mutex);
        if (peri_store_submit(store, peri_batch_bytes(t->batch), batch_fn, landed, t))
            abort();
        done += size;
    }
    pthread_mutex_lock(&f.mutex);
    while (f.open > 0)
        pthread_cond_wait(&f.cond, &f.mutex);
    pthread_mutex_unlock(&f.mutex);
    snprintf(key, sizeof(key), "batch_%d_wide_%d", size, wide);
    snprintf(text, sizeof(text), "events, batches of %d, %d under way", size, wide);
    say(key, text, (double)done / (now() - start), "/s");
}

static enum peri_status calls_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    int *next = arg;
    enum peri_status st = PERI_OK;
    for (int i = 0; !st && i < 10000; i++, (*next)++) {
        char text[300];
        struct peri_value *patch = NULL;
        snprintf(text, sizeof(text),
            "{\"id\":\"call-%d\",\"contactId\":\"contact-%d\",\"direction\":\"inbound\",\"missed\":%s,"
            "\"status\":\"no-answer\",\"startedAt\":\"2026-01-%02dT%02d:00:00Z\"}",
            *next, *next % 500, *next % 3 ? "true" : "false", *next % 28 + 1, *next % 24);
        st = peri_json_parse(text, strlen(text), &patch, err);
        if (!st)
            st = peri_tx_entity_put(tx, "call", patch, NULL, NULL, err);
        peri_value_unref(patch);
    }
    return st;
}

static void question(struct peri_store *store)
{
    struct peri_error err;
    struct peri_reader *reader = NULL;
    struct peri_value *where = NULL;
    static const char text[] = "{\"contactId\":\"contact-77\",\"direction\":\"inbound\",\"missed\":true,"
                               "\"startedAt\":{\"gte\":\"2026-01-10T00:00:00Z\"}}";
    size_t count = 0;
    int next = 0;
    double start = now();
    for (int i = 0; i < 10; i++)
        if (peri_store_run(store, calls_fn, &next, &err))
            die("entities", &err);
    say("entity_put", "entities put", next / (now() - start), "/s");
    if (peri_store_reader(store, &reader, &err) || peri_json_parse(text, sizeof(text) - 1, &where, &err))
        die("reader", &err);
    struct peri_query q = {.type = "call", .where = where, .count_only = true, .as_of = UINT64_C(1) << 40};
    start = now();
    for (int i = 0; i < 10000; i++)
        if (peri_reader_query(reader, &q, NULL, &count, &err))
            die("query", &err);
    say("missed_calls_us", "missed calls of one contact among 100,000", (now() - start) / 10000 * 1e6, "us");
    peri_value_unref(where);
    peri_reader_close(reader);
}

/* 4 KiB written and forced to the disk, again and again: no commit can be faster than this. */
static void disk(const char *path)
{
    static const char page[4096];
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    double start = now();
    long n = 0;
    if (fd < 0)
        return;
    for (; now() - start < 0.5; n++)
        if (pwrite(fd, page, sizeof(page), (n % 256) * (off_t)sizeof(page)) < 0 || fdatasync(fd) < 0)
            break;
    say("fdatasync", "4 KiB written and synced", (double)n / (now() - start), "/s");
    close(fd);
    unlink(path);
}

int main(int argc, char **argv)
{
    char dir[400], path[420], file[440];
    struct peri_error err;
    struct peri_store *store = NULL;
    json = argc > 1 && strcmp(argv[1], "--json") == 0;
    const char *folder = argc > 1 + json ? argv[1 + json] : "/tmp";
    snprintf(dir, sizeof(dir), "%s/perigee-bench-XXXXXX", folder);
    if (!mkdtemp(dir))
        return perror(dir), 1;
    snprintf(path, sizeof(path), "%s/state.db", dir);
    snprintf(file, sizeof(file), "%s/disk", dir);
    disk(file);
    struct peri_store_options options = {.path = path};
    if (peri_store_open(&options, &store, &err))
        die("open", &err);
    events(store, 1, 1);
    events(store, 1, 16);
    events(store, 1, 256);
    events(store, 100, 1);
    events(store, 100, 16);
    question(store);
    peri_store_close(store);
    static const char *const names[] = {"state.db", "lock"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(file, sizeof(file), "%s/%s", dir, names[i]);
        unlink(file);
    }
    rmdir(dir);
    if (json)
        puts("}");
    return 0;
}
