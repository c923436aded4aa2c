/* SPDX-License-Identifier: Apache-2.0 */
/* Lines "name: value" are headers, "?name=value" a query, what follows an empty line is the body. What is accepted
 * holds JSON data and the attributes that every event has, and a naive reader accepts and refuses the same. */
#include <stdint.h>

#include "../unit/run/cloudevents_naive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_LINES 32

struct request {
    char *names[MAX_LINES], *values[MAX_LINES];
    size_t count;
};

static const char *find(const struct request *r, const char *prefix, const char *name)
{
    for (size_t i = 0; i < r->count; i++)
        if (strncmp(r->names[i], prefix, strlen(prefix)) == 0 && strcasecmp(r->names[i] + strlen(prefix), name) == 0)
            return r->values[i];
    return NULL;
}

static const char *header(const void *req, const char *name)
{
    return find(req, "", name);
}

static const char *query(const void *req, const char *name)
{
    return find(req, "?", name);
}

static void each_header(const void *req, void (*fn)(void *arg, const char *name, const char *value), void *arg)
{
    const struct request *r = req;
    for (size_t i = 0; i < r->count; i++)
        if (r->names[i][0] != '?')
            fn(arg, r->names[i], r->values[i]);
}

static void check_event(const struct peri_event *e)
{
    struct peri_value *v = NULL;
    struct peri_error err;
    if (!e->type || !e->source || !e->data || strlen(e->data) != e->data_len)
        abort();
    if (peri_json_parse(e->data, e->data_len, &v, &err) != PERI_OK)
        abort();
    peri_value_unref(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *s = text;
    struct request r = {.count = 0};
    struct peri_error err;
    bool many;
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    while (r.count < MAX_LINES) {
        char *end = strchr(s, '\n'), *colon = strpbrk(s, ":=");
        if (!end || end == s || !colon || colon > end)
            break;
        *end = *colon = '\0';
        r.names[r.count] = s;
        r.values[r.count++] = colon + 1;
        s = end + 1;
    }
    s += *s == '\n';
    struct peri_cloudevents_input in = {s, size - (size_t)(s - text), header, query, each_header, &r, NULL};
    struct peri_batch *batch = peri_batch_create(), *naive = peri_batch_create();
    if (batch && naive) {
        struct peri_error naive_err;
        bool naive_many;
        enum peri_status st = peri_cloudevents_read_input(&in, 64 << 10, batch, &many, &err);
        enum peri_status wanted = naive_read(&in, 64 << 10, naive, &naive_many, &naive_err);
        if (st != wanted || many != naive_many || peri_batch_events(batch) != peri_batch_events(naive) ||
            (st != PERI_OK && strcmp(err.message, naive_err.message) != 0))
            abort();
        for (size_t i = 0; st == PERI_OK && i < peri_batch_events(batch); i++)
            check_event(peri_batch_event_at(batch, i));
    }
    peri_batch_destroy(batch);
    peri_batch_destroy(naive);
    free(text);
    return 0;
}
