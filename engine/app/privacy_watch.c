/* SPDX-License-Identifier: Apache-2.0 */
#include "app/privacy_watch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "app/privacy.h"
#include "base/id.h"
#include "data/json.h"

#define REMEMBERED 8192 /* forms of values */

struct peri_privacy_watch {
    struct peri_service *service;
    pthread_mutex_t lock; /* of marks */
    struct peri_privacy *marks;
    struct peri_value *stored; /* what the marks were made of */
    char key[65];
    struct peri_personal *recent;
};

/* --- marks --- */

static enum peri_status take_marks(struct peri_privacy_watch *w, struct peri_value *marks, struct peri_error *err)
{
    struct peri_privacy *now = NULL;
    enum peri_status st = peri_privacy_create(marks, w->key, &now, err);
    if (st)
        return st;
    pthread_mutex_lock(&w->lock);
    struct peri_privacy *former = w->marks;
    w->marks = now;
    pthread_mutex_unlock(&w->lock);
    peri_privacy_destroy(former);
    peri_value_unref(w->stored);
    w->stored = peri_value_ref(marks);
    return PERI_OK;
}

static enum peri_status read_stored(struct peri_privacy_watch *w, struct peri_reader *reader, struct peri_error *err)
{
    char *text = NULL, *key = NULL;
    unsigned char random[PERI_PERSONAL_KEY];
    struct peri_value *marks = NULL;
    enum peri_status st = peri_reader_meta(reader, PERI_PRIVACY_KEY_META, &key, err);
    if (st == PERI_OK && strlen(key) == 64)
        memcpy(w->key, key, 65);
    else if (st == PERI_OK || st == PERI_ENOTFOUND)
        st = peri_random(random, sizeof(random));
    if (!st && !w->key[0])
        peri_sha256_hex(random, sizeof(random), w->key);
    if (!st)
        st = peri_reader_meta(reader, PERI_PRIVACY_META, &text, err);
    if (!st)
        st = peri_json_parse(text, strlen(text), &marks, err);
    if (!st || st == PERI_ENOTFOUND)
        st = take_marks(w, marks, err);
    w->recent = peri_privacy_set(w->marks, REMEMBERED);
    if (w->recent)
        peri_personal_be_careful(w->recent);
    peri_value_unref(marks);
    free(text);
    free(key);
    return w->recent ? st : peri_error_nomem(err);
}

enum peri_status peri_privacy_watch_open(
    struct peri_service *service, struct peri_privacy_watch **ret, struct peri_error *err)
{
    struct peri_reader *reader = NULL;
    struct peri_privacy_watch *w = calloc(1, sizeof(*w));
    if (!w)
        return peri_error_nomem(err);
    pthread_mutex_init(&w->lock, NULL);
    w->service = service;
    *ret = w;
    enum peri_status st = peri_store_reader(service->store, &reader, err);
    if (!st)
        st = read_stored(w, reader, err);
    peri_reader_close(reader);
    return st;
}

void peri_privacy_watch_close(struct peri_privacy_watch *w)
{
    if (!w)
        return;
    peri_privacy_destroy(w->marks);
    peri_personal_destroy(w->recent);
    peri_value_unref(w->stored);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

struct marks_write {
    struct peri_service *service;
    struct peri_value *marks;
    char key[65];
};

static enum peri_status write_marks(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    const struct marks_write *m = arg;
    return peri_privacy_store(tx, m->marks, m->key, err);
}

static void marks_written(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct marks_write *m = arg;
    if (st)
        peri_err(m->service->log, "privacy", "what is personal data could not be stored: %s", err->message);
    peri_value_unref(m->marks);
    free(m);
}

void peri_privacy_watch_update(struct peri_privacy_watch *w)
{
    struct peri_service *s = w->service;
    struct peri_value *marks = NULL;
    struct peri_error err = {0};
    enum peri_status st = peri_privacy_marks_of(s->config, s->host, &marks, &err);
    if (st == PERI_OK && w->stored && peri_value_equal(w->stored, marks)) {
        peri_value_unref(marks);
        return;
    }
    struct marks_write *m = st ? NULL : calloc(1, sizeof(*m));
    if (m) {
        *m = (struct marks_write){.service = s, .marks = peri_value_ref(marks)};
        memcpy(m->key, w->key, sizeof(m->key));
        st = take_marks(w, marks, &err);
        if (!st)
            st = peri_store_submit(s->store, 1024, write_marks, marks_written, m);
        if (st) {
            peri_value_unref(m->marks);
            free(m);
        }
    }
    if (st || !m)
        peri_err(s->log, "privacy", "what is personal data could not be stored");
    peri_value_unref(marks);
}

/* --- what goes by --- */

void peri_privacy_watch_event(void *watch, const struct peri_event *event)
{
    struct peri_privacy_watch *w = watch;
    pthread_mutex_lock(&w->lock);
    peri_privacy_journaled(w->marks, event, w->recent);
    pthread_mutex_unlock(&w->lock);
}

void peri_privacy_watch_entity(void *watch, const char *type, const struct peri_value *entity)
{
    struct peri_privacy_watch *w = watch;
    pthread_mutex_lock(&w->lock);
    peri_privacy_entity(w->marks, type, entity, w->recent);
    pthread_mutex_unlock(&w->lock);
}

bool peri_privacy_watch_hide(struct peri_privacy_watch *w, const char *text, char **ret)
{
    size_t len;
    return w && w->recent && peri_personal_hide(w->recent, text, strlen(text), ret, &len);
}
