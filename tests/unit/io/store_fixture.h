/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_TEST_STORE_FIXTURE_H
#define PERI_TEST_STORE_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/str.h"
#include "data/json.h"
#include "io/store.h"
#include "io/store_data.h"
#include "io/store_events.h"
#include "io/store_runs.h"

#define T0 INT64_C(1767225600000) /* 2026-01-01T00:00:00Z */

/* A store in a folder of its own, with a clock that stands. */
struct fixture {
    char dir[64], path[96];
    struct peri_clock_fake fake;
    struct peri_store *store;
    struct peri_reader *reader;
    struct peri_error err;
};

#define ok(f, call)                                                                                                    \
    do {                                                                                                               \
        enum peri_status ok_st = (call);                                                                               \
        if (ok_st != PERI_OK)                                                                                          \
            fail_msg("%s: %s: %s", #call, peri_status_name(ok_st), (f)->err.message);                                  \
    } while (0)

static inline struct peri_store_options fixture_options(struct fixture *f)
{
    struct peri_clock clock = peri_clock_fake_init(&f->fake, T0);
    return (struct peri_store_options){.path = f->path, .clock = clock};
}

static inline void fixture_open(struct fixture *f)
{
    struct peri_store_options o = fixture_options(f);
    ok(f, peri_store_open(&o, &f->store, &f->err));
    ok(f, peri_store_reader(f->store, &f->reader, &f->err));
}

static inline void fixture_close(struct fixture *f)
{
    peri_reader_close(f->reader);
    peri_store_close(f->store);
    f->reader = NULL;
    f->store = NULL;
}

static inline void fixture_dir(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "/tmp/perigee-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/state.db", f->dir);
}

static inline int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    fixture_dir(f);
    fixture_open(f);
    *state = f;
    return 0;
}

/* In memory: no disk, for tests that do not ask what survives. */
static inline int fixture_setup_memory(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    snprintf(f->path, sizeof(f->path), ":memory:");
    fixture_open(f);
    *state = f;
    return 0;
}

static inline void fixture_remove(struct fixture *f)
{
    DIR *d = f->dir[0] ? opendir(f->dir) : NULL;
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[400];
        snprintf(path, sizeof(path), "%s/%s", f->dir, e->d_name);
        unlink(path);
    }
    if (d)
        closedir(d);
    if (f->dir[0])
        rmdir(f->dir);
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    fixture_remove(f);
    free(f);
    return 0;
}

static inline struct peri_value *json(const char *text)
{
    struct peri_value *v = NULL;
    struct peri_error err;
    if (peri_json_parse(text, strlen(text), &v, &err))
        fail_msg("%s: %s", text, err.message);
    return v;
}

/* Asserts that v, written with sorted keys, is text; releases v. */
static inline void assert_json(struct peri_value *v, const char *text)
{
    char *got = peri_json_text(v, PERI_JSON_SORTED);
    struct peri_value *parsed = json(text);
    char *wanted = peri_json_text(parsed, PERI_JSON_SORTED);
    assert_string_equal(got, wanted);
    free(got);
    free(wanted);
    peri_value_unref(parsed);
    peri_value_unref(v);
}

static inline struct peri_event *make_event(const char *type, const char *external_id, const char *data)
{
    struct peri_event *e = peri_event_create();
    e->source = peri_strdup("test");
    e->type = peri_strdup(type);
    e->external_id = peri_strdup(external_id);
    e->time_ms = T0 - 1000;
    e->received_ms = T0;
    e->data = peri_strdup(data);
    e->data_len = strlen(data);
    return e;
}

static inline enum peri_status insert_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    return peri_tx_event_insert(tx, arg, err);
}

static inline uint64_t insert_event(struct fixture *f, const char *type, const char *external_id, const char *data)
{
    struct peri_event *e = make_event(type, external_id, data);
    ok(f, peri_store_run(f->store, insert_fn, e, &f->err));
    uint64_t seq = e->seq;
    peri_event_unref(e);
    return seq;
}

static inline enum peri_status batch_fn(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    return peri_tx_batch(tx, arg, err);
}

/* Stores an event: was it recognised as one that is there? */
static inline bool is_known(struct fixture *f, const char *source, const char *id)
{
    struct peri_event *e = make_event("a", id, "{}");
    free(e->source);
    e->source = peri_strdup(source);
    ok(f, peri_store_run(f->store, insert_fn, e, &f->err));
    bool known = e->duplicate;
    peri_event_unref(e);
    return known;
}

#endif
