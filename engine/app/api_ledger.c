/* SPDX-License-Identifier: Apache-2.0 */
/* What went wrong: dead letters and errors. Looking through them, settling them, sending letters on their way again. */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "app/api.h"
#include "base/str.h"
#include "base/timefmt.h"
#include "io/store_ledger.h"

#define REDRIVE_MAX 100 /* in one request: each is a transaction */

enum { KIND, OPERATOR, RULE, CODE, STATE, TEXTS };
static const char *const names[TEXTS] = {"kind", "operator", "rule", "code", "state"};

struct ledger_query {
    bool errors, days;
    char *text[TEXTS];
    struct peri_ledger_filter filter;
    uint64_t id;
};

static void query_free(void *arg)
{
    struct ledger_query *q = arg;
    for (size_t i = 0; i < TEXTS; i++)
        free(q->text[i]);
    free(q);
}

/* member(ctx, name): a query parameter or a member of the body. */
typedef const char *(*member_fn)(const struct peri_api_op *op, const char *name);

static const char *of_query(const struct peri_api_op *op, const char *name)
{
    return peri_http_query(op->req, name);
}

static const char *of_body(const struct peri_api_op *op, const char *name)
{
    return peri_map_text(op->body, name);
}

static bool read_time(struct peri_api_op *op, member_fn member, const char *name, int64_t *ret)
{
    const char *text = member(op, name);
    if (!text || peri_time_parse(text, strlen(text), ret))
        return true;
    peri_api_problem(op, 400, "\"%s\" must be an RFC 3339 time, not \"%.60s\"", name, text);
    return false;
}

/* NULL when it has been answered. */
static struct ledger_query *read_query(struct peri_api_op *op, bool errors, member_fn member)
{
    struct ledger_query *q = calloc(1, sizeof(*q));
    if (!q) {
        peri_api_problem(op, 500, "out of memory");
        return NULL;
    }
    q->errors = errors;
    for (size_t i = 0; i < TEXTS; i++)
        q->text[i] = peri_strdup(member(op, names[i]));
    q->filter = (struct peri_ledger_filter){.kind = q->text[KIND],
        .op = q->text[OPERATOR],
        .rule = q->text[RULE],
        .code = q->text[CODE],
        .state = q->text[STATE],
        .limit = peri_api_limit(op)};
    if (read_time(op, member, "since", &q->filter.since_ms) && read_time(op, member, "until", &q->filter.until_ms))
        return q;
    query_free(q);
    return NULL;
}

static bool read_id(struct peri_api_op *op, bool errors, const char *text, uint64_t *ret)
{
    if (errors ? peri_failure_id_parse(text, ret) : peri_dead_id_parse(text, ret))
        return true;
    peri_api_problem(op, 404, "\"%.100s\" is no id of %s-7", text,
        errors ? "an error: they look like er" : "a dead letter: they look like dl");
    return false;
}

/* --- looking --- */

static enum peri_status find_all(struct peri_reader *reader, void *arg, struct peri_value **ret, struct peri_error *err)
{
    const struct ledger_query *q = arg;
    return q->errors ? peri_reader_failures(reader, &q->filter, ret, err)
                     : peri_reader_dead(reader, &q->filter, ret, err);
}

static enum peri_status find_one(struct peri_reader *reader, void *arg, struct peri_value **ret, struct peri_error *err)
{
    const struct ledger_query *q = arg;
    return q->errors ? peri_reader_failure(reader, q->id, ret, err) : peri_reader_dead_one(reader, q->id, ret, err);
}

static void list(struct peri_api_op *op, bool errors)
{
    const char *after = peri_http_query(op->req, "after");
    uint64_t before = 0;
    if (after && !read_id(op, errors, after, &before))
        return;
    struct ledger_query *q = read_query(op, errors, of_query);
    if (!q)
        return;
    q->filter.before = before;
    peri_api_ask_hidden(op, 0, find_all, q, query_free);
}

static void show(struct peri_api_op *op, bool errors)
{
    uint64_t id;
    struct ledger_query *q = read_id(op, errors, op->params[0], &id) ? read_query(op, errors, of_query) : NULL;
    if (!q)
        return;
    q->id = id;
    peri_api_ask_hidden(op, 0, find_one, q, query_free);
}

static void list_dead(struct peri_api_op *op)
{
    list(op, false);
}

static void show_dead(struct peri_api_op *op)
{
    show(op, false);
}

static void list_errors(struct peri_api_op *op)
{
    list(op, true);
}

static void show_error(struct peri_api_op *op)
{
    show(op, true);
}

static enum peri_status find_stats(
    struct peri_reader *reader, void *arg, struct peri_value **ret, struct peri_error *err)
{
    return peri_reader_failure_stats(reader, ((struct ledger_query *)arg)->filter.since_ms, ret, err);
}

static enum peri_status find_trends(
    struct peri_reader *reader, void *arg, struct peri_value **ret, struct peri_error *err)
{
    const struct ledger_query *q = arg;
    return peri_reader_failure_trends(reader, q->filter.since_ms, q->days, q->filter.op, ret, err);
}

static void stats(struct peri_api_op *op)
{
    struct ledger_query *q = read_query(op, true, of_query);
    if (q)
        peri_api_ask_hidden(op, 0, find_stats, q, query_free);
}

static void trends(struct peri_api_op *op)
{
    const char *by = peri_http_query(op->req, "by");
    if (by && !peri_streq(by, "hour") && !peri_streq(by, "day")) {
        peri_api_problem(op, 400, "\"by\" must be hour or day");
        return;
    }
    struct ledger_query *q = read_query(op, true, of_query);
    if (!q)
        return;
    q->days = peri_streq(by, "day");
    peri_api_ask(op, find_trends, q, query_free);
}

/* --- settling --- */

struct settling {
    struct ledger_query *q;
    char *note;
    uint64_t count;
};

static void settling_free(void *arg)
{
    struct settling *s = arg;
    if (s->q)
        query_free(s->q);
    free(s->note);
    free(s);
}

static enum peri_status settle_tx(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    struct settling *s = ((struct peri_api_op *)arg)->extra;
    const struct ledger_query *q = s->q;
    s->count = 1;
    if (q->id && q->errors)
        return peri_tx_failure_resolve(tx, q->id, s->note, err);
    if (q->id)
        return peri_tx_dead_resolve(tx, q->id, s->note, err);
    PERI_FAILPOINT("ledger.rows");
    return q->errors ? peri_tx_failure_resolve_all(tx, &q->filter, s->note, &s->count, err)
                     : peri_tx_dead_resolve_all(tx, &q->filter, s->note, &s->count, err);
}

static void settled(void *arg, enum peri_status st, const struct peri_error *err)
{
    PERI_FAILPOINT("ledger.done");
    struct peri_api_op *op = arg;
    const struct settling *s = op->extra;
    struct peri_value *answer = st ? NULL : peri_value_map();
    if (st) {
        peri_api_error(op, st, err);
        return;
    }
    if (answer && peri_map_put_int(answer, "count", (int64_t)s->count)) {
        peri_value_unref(answer);
        answer = NULL;
    }
    peri_api_take_answer(op, 200, answer);
}

/* q: take */
static void settle(struct peri_api_op *op, struct ledger_query *q)
{
    struct settling *s = calloc(1, sizeof(*s));
    const char *note = peri_map_text(op->body, "note");
    if (!s) {
        query_free(q);
        peri_api_problem(op, 500, "out of memory");
        return;
    }
    s->q = q;
    s->note = peri_strdup(note ? note : "by hand");
    op->extra = s;
    op->free_extra = settling_free;
    if (note && strlen(note) > 1000)
        peri_api_problem(op, 400, "\"note\" has at most 1000 bytes");
    else if (peri_store_submit(op->service->store, 512, settle_tx, settled, op))
        peri_api_problem(op, 503, "the store is busy");
}

static void settle_one(struct peri_api_op *op, bool errors)
{
    uint64_t id;
    if (peri_api_store_refuses(op, false) || !read_id(op, errors, op->params[0], &id))
        return;
    struct ledger_query *q = read_query(op, errors, of_body);
    if (!q)
        return;
    q->id = id;
    settle(op, q);
}

/* Without any member that says which ones, {all: true} is needed: an empty body would settle everything by mistake. */
static struct ledger_query *read_many(struct peri_api_op *op, bool errors)
{
    static const char *const which[] = {"kind", "operator", "rule", "code", "since", "until", NULL};
    static const char *const more[] = {"state", "note", "all", "limit", "after", NULL};
    bool some = peri_map_bool(op->body, "all", false);
    if (!peri_value_is(op->body, PERI_MAP)) {
        peri_api_problem(op, 400, "send an object");
        return NULL;
    }
    for (void *it = peri_map_first(op->body); it; it = peri_map_next(op->body, it)) {
        const char *key = peri_map_key(it, NULL);
        bool known = false;
        for (size_t i = 0; which[i]; i++)
            if (peri_streq(key, which[i]))
                known = some = true;
        for (size_t i = 0; more[i]; i++)
            known = known || peri_streq(key, more[i]);
        if (!known || (peri_streq(key, "operator") && !errors)) {
            peri_api_problem(op, 400, "unknown member \"%.100s\"", key);
            return NULL;
        }
    }
    if (some)
        return read_query(op, errors, of_body);
    peri_api_problem(
        op, 400, "say which ones: kind, rule, code%s, since, until, or all: true", errors ? ", operator" : "");
    return NULL;
}

static void settle_many(struct peri_api_op *op, bool errors)
{
    struct ledger_query *q = peri_api_store_refuses(op, false) ? NULL : read_many(op, errors);
    if (q)
        settle(op, q);
}

static void resolve_dead(struct peri_api_op *op)
{
    settle_one(op, false);
}

static void resolve_error(struct peri_api_op *op)
{
    settle_one(op, true);
}

static void resolve_dead_letters(struct peri_api_op *op)
{
    settle_many(op, false);
}

static void resolve_errors(struct peri_api_op *op)
{
    settle_many(op, true);
}

/* --- again --- */

static void redrive_one(struct peri_api_op *op)
{
    uint64_t id;
    struct peri_error err;
    enum peri_status st;
    if (peri_api_store_refuses(op, true))
        return;
    if (read_id(op, false, op->params[0], &id) &&
        (st = peri_pipeline_redrive(op->service->pipeline, id, peri_api_changed, op, &err)))
        peri_api_error(op, st, &err);
}

struct redriving {
    struct ledger_query *q;
    struct peri_value *letters, *made, *failed;
    size_t at;
};

static void redriving_free(void *arg)
{
    struct redriving *r = arg;
    if (r->q)
        query_free(r->q);
    peri_value_unref(r->letters);
    peri_value_unref(r->made);
    peri_value_unref(r->failed);
    free(r);
}

static void next(struct peri_api_op *op);

static void note_failure(struct redriving *r, const char *letter, const struct peri_error *err)
{
    struct peri_value *v = peri_value_map();
    if (v && !peri_map_put_text(v, "id", letter) && !peri_map_put_text(v, "message", err ? err->message : ""))
        (void)!peri_list_push(r->failed, v);
    else
        peri_value_unref(v);
}

static void gone(void *arg, enum peri_status st, const struct peri_value *value, const struct peri_error *err)
{
    struct peri_api_op *op = arg;
    struct redriving *r = op->extra;
    if (st)
        note_failure(r, peri_map_text(peri_list_at(r->letters, r->at - 1), "id"), err);
    else if (value)
        (void)!peri_list_push(r->made, peri_value_ref((struct peri_value *)(uintptr_t)peri_map_at(value, "id")));
    next(op);
}

static void next(struct peri_api_op *op)
{
    struct redriving *r = op->extra;
    while (r->at < peri_value_count(r->letters)) {
        const char *letter = peri_map_text(peri_list_at(r->letters, r->at++), "id");
        struct peri_error err;
        uint64_t id = 0;
        if (peri_dead_id_parse(letter, &id) &&
            peri_pipeline_redrive(op->service->pipeline, id, gone, op, &err) == PERI_OK)
            return;
        note_failure(r, letter, &err);
    }
    struct peri_value *answer = peri_value_map();
    if (answer && (peri_map_put_ref(answer, "made", r->made) || peri_map_put_ref(answer, "failed", r->failed))) {
        peri_value_unref(answer);
        answer = NULL;
    }
    if (answer && peri_value_count(r->letters) > 0 &&
        peri_map_put_text(
            answer, "last", peri_map_text(peri_list_at(r->letters, peri_value_count(r->letters) - 1), "id"))) {
        peri_value_unref(answer);
        answer = NULL;
    }
    peri_api_take_answer(op, 200, answer);
}

static enum peri_status find_letters(
    struct peri_reader *reader, void *arg, struct peri_value **ret, struct peri_error *err)
{
    const struct redriving *r = ((const struct peri_api_op *)arg)->extra;
    return peri_reader_dead(reader, &r->q->filter, ret, err);
}

static void found(void *arg, enum peri_status st, const struct peri_value *value, const struct peri_error *err)
{
    struct peri_api_op *op = arg;
    struct redriving *r = op->extra;
    if (st) {
        peri_api_error(op, st, err);
        return;
    }
    r->letters = peri_value_ref((struct peri_value *)(uintptr_t)value);
    next(op);
}

static void redrive_many(struct peri_api_op *op)
{
    const char *after = peri_map_text(op->body, "after");
    struct ledger_query *q = peri_api_store_refuses(op, true) ? NULL : read_many(op, false);
    struct redriving *r = q ? calloc(1, sizeof(*r)) : NULL;
    if (!q)
        return;
    if (!r) {
        query_free(q);
        peri_api_problem(op, 500, "out of memory");
        return;
    }
    r->q = q;
    r->made = peri_value_list();
    r->failed = peri_value_list();
    op->extra = r;
    op->free_extra = redriving_free;
    q->filter.state = "open";
    q->filter.rising = true;
    q->filter.limit = REDRIVE_MAX;
    if (after)
        (void)peri_dead_id_parse(after, &q->filter.after);
    if (!r->made || !r->failed || peri_lookup_ask(op->service->lookup, find_letters, found, op))
        peri_api_problem(op, 503, "the service is busy");
}

const struct peri_api_route peri_api_ledger[] = {
    {"GET", "/v1/dead", list_dead, false, false},
    {"POST", "/v1/dead/redrive", redrive_many, false, true},
    {"POST", "/v1/dead/resolve", resolve_dead_letters, false, true},
    {"GET", "/v1/dead/{}", show_dead, false, false},
    {"POST", "/v1/dead/{}/redrive", redrive_one, false, true},
    {"POST", "/v1/dead/{}/resolve", resolve_dead, false, true},
    {"GET", "/v1/errors", list_errors, false, false},
    {"GET", "/v1/errors/stats", stats, false, false},
    {"GET", "/v1/errors/trends", trends, false, false},
    {"POST", "/v1/errors/resolve", resolve_errors, false, true},
    {"GET", "/v1/errors/{}", show_error, false, false},
    {"POST", "/v1/errors/{}/resolve", resolve_error, false, true},
    {0},
};
