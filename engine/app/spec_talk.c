/* SPDX-License-Identifier: Apache-2.0 */
#include "app/spec_talk.h"

#include <stdlib.h>
#include <string.h>

#include "app/call_view.h"
#include "app/spec_bed.h"
#include "app/spec_package.h"
#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"

#define BEDS_MAX 200   /* open at the same time */
#define FOLDERS_MAX 16 /* of one world */

struct talk {
    FILE *in, *out;
    const char *dir;
    char *line; /* the newest that was read */
    size_t size;
    bool gone; /* nobody listens */
    struct peri_spec_bed **beds;
    size_t count, cap;
    int last;
};

/* ---- lines ---- */

static struct peri_value *receive(struct talk *t)
{
    struct peri_value *v = NULL;
    ssize_t n = t->gone ? -1 : getline(&t->line, &t->size, t->in);
    if (n < 0 || peri_json_parse(t->line, (size_t)n, &v, NULL) || !peri_value_is(v, PERI_MAP)) {
        peri_value_unref(v);
        t->gone = true;
        return NULL;
    }
    return v;
}

static void say(struct talk *t, const struct peri_value *v)
{
    char *text = v ? peri_json_text(v, PERI_JSON_COMPACT) : NULL;
    if (fputs(text ? text : "{\"error\":{\"code\":\"spec\",\"message\":\"out of memory\"}}", t->out) < 0 ||
        fputc('\n', t->out) == EOF || fflush(t->out) != 0)
        t->gone = true;
    free(text);
}

static struct peri_value *ask(void *ctx, int bed, const struct peri_value *request)
{
    struct talk *t = ctx;
    struct peri_value *v = peri_value_map();
    if (v && !peri_map_put_int(v, "host", bed) && !peri_map_put_ref(v, "ask", request))
        say(t, v);
    else
        t->gone = true;
    peri_value_unref(v);
    return receive(t);
}

/* ---- worlds ---- */

static struct peri_spec_bed *find(const struct talk *t, const struct peri_value *request)
{
    int64_t number = peri_map_int(request, "host", 0);
    for (size_t i = 0; i < t->count; i++)
        if (t->beds[i]->number == number)
            return t->beds[i];
    return NULL;
}

static void close_bed(struct talk *t, struct peri_spec_bed *bed)
{
    peri_spec_bed_close(bed);
    for (size_t i = 0; i < t->count; i++)
        if (t->beds[i] == bed) {
            t->beds[i] = t->beds[--t->count];
            break;
        }
    free(bed);
}

static enum peri_status plugins(struct peri_spec_bed *bed, struct peri_value *into)
{
    struct peri_value *rows = NULL;
    enum peri_status st = peri_host_plugins(bed->host, &rows);
    return st ? st : peri_map_put(into, "plugins", rows);
}

static enum peri_status findings(const struct peri_spec_bed *bed, struct peri_value *into)
{
    struct peri_value *list = peri_value_list();
    enum peri_status st = list ? PERI_OK : PERI_ENOMEM;
    for (size_t i = 0; st == PERI_OK && i < bed->diag.count; i++) {
        char *text = peri_asprintf("%s:%d: %s [%s]", bed->diag.items[i].file, bed->diag.items[i].line,
            bed->diag.items[i].message, bed->diag.items[i].code);
        st = text ? peri_list_push(list, peri_value_str(text)) : PERI_ENOMEM;
        free(text);
    }
    if (st == PERI_OK)
        st = peri_map_put_ref(into, "findings", list);
    peri_value_unref(list);
    return st;
}

static enum peri_status open_bed(
    struct talk *t, const struct peri_value *request, struct peri_value *into, struct peri_error *err)
{
    char *folders[FOLDERS_MAX + 1] = {0};
    const struct peri_value *packages = peri_map_at(request, "packages");
    size_t n = peri_value_count(packages);
    if (t->count >= BEDS_MAX || n > FOLDERS_MAX)
        return peri_error_set(
            err, PERI_ELIMIT, "spec", "more than %d hosts, or %d plugins in one", BEDS_MAX, FOLDERS_MAX);
    struct peri_spec_bed *bed = calloc(1, sizeof(*bed));
    if (!bed || !peri_vec_grow(&t->beds, &t->cap, t->count + 1, sizeof(struct peri_spec_bed *))) {
        free(bed);
        return peri_error_nomem(err);
    }
    bed->number = ++t->last;
    bed->ask = ask;
    bed->ask_ctx = t;
    enum peri_status st = PERI_OK;
    for (size_t i = 0; st == PERI_OK && i < n; i++)
        st = peri_spec_package(peri_list_at(packages, i), t->dir, bed->number * FOLDERS_MAX + (int)i, &folders[i], err);
    if (st == PERI_OK && peri_map_at(request, "isolate"))
        st = peri_spec_policy(peri_map_at(request, "isolate"), t->dir, bed->number, &bed->policy, err);
    if (st) {
        free(bed->policy);
        free(bed);
    } else {
        t->beds[t->count++] = bed;
        st = peri_spec_bed_open(bed, request, (const char *const *)folders, err);
        if (st == PERI_OK && (plugins(bed, into) || findings(bed, into) || peri_map_put_int(into, "host", bed->number)))
            st = peri_error_nomem(err);
        if (st)
            close_bed(t, bed);
    }
    for (size_t i = 0; i < n; i++)
        free(folders[i]);
    return st;
}

/* ---- requests ---- */

static enum peri_status give_call(
    struct peri_spec_bed *bed, struct peri_spec_call *call, struct peri_value *into, struct peri_error *err)
{
    enum peri_status st = peri_map_put_int(into, "call", (int64_t)call->number);
    if (st == PERI_OK && call->done) {
        st = call->answer ? peri_map_put_ref(into, "answer", call->answer) : PERI_ENOMEM;
        peri_spec_bed_drop(bed, call);
    }
    return st ? peri_error_nomem(err) : PERI_OK;
}

static enum peri_status do_call(
    struct peri_spec_bed *bed, const struct peri_value *request, struct peri_value *into, struct peri_error *err)
{
    struct peri_spec_call *call = NULL;
    enum peri_status st = peri_spec_bed_call(bed, peri_map_at(request, "what"), &call, err);
    if (st)
        return st;
    st = peri_map_bool(request, "start", false) ? peri_spec_bed_settle(bed, err)
                                                : peri_spec_bed_wait(bed, &call->done, err);
    if (st == PERI_OK)
        st = peri_spec_bed_settle(bed, err);
    return st ? st : give_call(bed, call, into, err);
}

static enum peri_status do_result(
    struct peri_spec_bed *bed, const struct peri_value *request, struct peri_value *into, struct peri_error *err)
{
    struct peri_spec_call *call = peri_spec_bed_find(bed, (uint64_t)peri_map_int(request, "call", 0));
    return call ? give_call(bed, call, into, err)
                : peri_error_set(err, PERI_ENOTFOUND, "spec", "there is no such call");
}

static enum peri_status do_advance(
    struct peri_spec_bed *bed, const struct peri_value *request, struct peri_value *into, struct peri_error *err)
{
    return peri_spec_bed_advance(bed, peri_map_int(request, "ms", 0), err);
}

static enum peri_status do_emit(
    struct peri_spec_bed *bed, const struct peri_value *request, struct peri_value *into, struct peri_error *err)
{
    return peri_spec_bed_emit(bed, peri_map_at(request, "event"), err);
}

static enum peri_status do_data(
    struct peri_spec_bed *bed, const struct peri_value *request, struct peri_value *into, struct peri_error *err)
{
    struct peri_value *found = NULL;
    enum peri_status st = peri_spec_bed_data(bed, peri_map_at(request, "what"), &found, err);
    if (st == PERI_OK && found && peri_map_put_ref(into, "found", found))
        st = peri_error_nomem(err);
    peri_value_unref(found);
    return st;
}

static enum peri_status do_enable(
    struct peri_spec_bed *bed, const struct peri_value *request, struct peri_value *into, struct peri_error *err)
{
    enum peri_status st = peri_host_set_enabled(
        bed->host, peri_map_text(request, "plugin"), peri_map_bool(request, "enabled", true), err);
    return st ? st : peri_spec_bed_settle(bed, err);
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

static enum peri_status do_reload(
    struct peri_spec_bed *bed, const struct peri_value *request, struct peri_value *into, struct peri_error *err)
{
    bool done = false;
    enum peri_status st = peri_host_reload(bed->host, peri_map_text(request, "plugin"), set_flag, &done, err);
    return st ? st : peri_spec_bed_wait(bed, &done, err);
}

static enum peri_status do_plugins(
    struct peri_spec_bed *bed, const struct peri_value *request, struct peri_value *into, struct peri_error *err)
{
    return plugins(bed, into) ? peri_error_nomem(err) : PERI_OK;
}

static const struct {
    const char *name;
    enum peri_status (*fn)(
        struct peri_spec_bed *bed, const struct peri_value *request, struct peri_value *into, struct peri_error *err);
} requests[] = {
    {"call", do_call},
    {"result", do_result},
    {"advance", do_advance},
    {"emit", do_emit},
    {"data", do_data},
    {"enable", do_enable},
    {"reload", do_reload},
    {"plugins", do_plugins},
    {NULL, NULL},
};

static enum peri_status obey(
    struct talk *t, const struct peri_value *request, struct peri_value *into, struct peri_error *err)
{
    const char *what = peri_map_text(request, "do");
    if (peri_streq(what, "open"))
        return open_bed(t, request, into, err);
    struct peri_spec_bed *bed = find(t, request);
    if (!bed)
        return peri_error_set(err, PERI_ENOTFOUND, "spec", "the host is closed");
    if (peri_streq(what, "close")) {
        close_bed(t, bed);
        return PERI_OK;
    }
    for (size_t i = 0; requests[i].name; i++)
        if (peri_streq(requests[i].name, what))
            return requests[i].fn(bed, request, into, err);
    return peri_error_set(err, PERI_EINVAL, "spec", "\"%s\" is no request", what ? what : "");
}

static void serve(struct talk *t, const struct peri_value *request)
{
    struct peri_error err = {0};
    struct peri_value *into = peri_value_map();
    enum peri_status st = into ? obey(t, request, into, &err) : peri_error_nomem(&err);
    struct peri_spec_bed *bed = find(t, peri_map_at(into, "host") ? into : request);
    if (into && bed && peri_map_put(into, "news", peri_spec_bed_news(bed)))
        st = peri_error_nomem(&err);
    if (into && st)
        (void)!peri_map_put(into, "error", peri_error_value(&err));
    say(t, into);
    peri_value_unref(into);
}

void peri_spec_talk(FILE *in, FILE *out, const char *dir)
{
    struct talk t = {.in = in, .out = out, .dir = dir};
    struct peri_value *request;
    while ((request = receive(&t))) {
        serve(&t, request);
        peri_value_unref(request);
    }
    while (t.count)
        close_bed(&t, t.beds[0]);
    free(t.beds);
    free(t.line);
}
