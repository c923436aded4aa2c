/* SPDX-License-Identifier: Apache-2.0 */
/* Answers to `approve`: by the API, and by a signed link that needs no token. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/api.h"
#include "app/approve_page.h"
#include "base/str.h"
#include "io/store_runs.h"
#include "io/store_waits.h"

/* --- the list --- */

struct approvals {
    uint64_t after;
    size_t limit;
    const struct peri_links *links;
    int64_t now_ms;
};

static enum peri_status add_links(const struct approvals *q, struct peri_value *list, struct peri_error *err)
{
    for (size_t i = 0; i < peri_value_count(list); i++) {
        struct peri_value *item = peri_list_at(list, i);
        char step[24];
        uint64_t run = 0;
        snprintf(step, sizeof(step), "%lld", (long long)peri_map_int(item, "n", 0));
        (void)peri_run_id_parse(peri_map_text(item, "id"), &run);
        char *link = peri_link_make(q->links, run, step, q->now_ms + PERI_LINK_LIFE_MS);
        bool good = link && peri_map_put_text(item, "link", link) == PERI_OK;
        free(link);
        if (!good)
            return peri_error_nomem(err);
    }
    return PERI_OK;
}

static enum peri_status find_approvals(
    struct peri_reader *reader, void *arg, struct peri_value **ret, struct peri_error *err)
{
    struct approvals *q = arg;
    struct peri_value *list = NULL;
    enum peri_status st = peri_reader_approvals(reader, q->after, q->limit, &list, err);
    if (st == PERI_OK)
        st = add_links(q, list, err);
    if (st == PERI_OK)
        *ret = list;
    else
        peri_value_unref(list);
    return st;
}

static void list_approvals(struct peri_api_op *op)
{
    struct approvals *q = calloc(1, sizeof(*q));
    const char *after = peri_http_query(op->req, "after");
    if (!q) {
        peri_api_problem(op, 500, "out of memory");
        return;
    }
    *q = (struct approvals){
        .limit = peri_api_limit(op), .links = &op->service->links, .now_ms = peri_clock_wall_ms(&op->service->clock)};
    if (after && !peri_run_id_parse(after, &q->after)) {
        free(q);
        peri_api_problem(op, 400, "\"after\" must be a run id such as run-7");
        return;
    }
    peri_api_ask_hidden(op, 0, find_approvals, q, free);
}

/* --- by the API --- */

static void approve_run(struct peri_api_op *op)
{
    uint64_t id;
    struct peri_error err;
    const struct peri_value *answer = peri_map_at(op->body, "answer"), *step = peri_map_at(op->body, "step");
    char number[24];
    const char *name = peri_value_text(step);
    if (!answer) {
        peri_api_problem(op, 400, "\"answer\" is missing: {\"answer\": true}");
        return;
    }
    if (peri_value_is(step, PERI_INT)) {
        snprintf(number, sizeof(number), "%lld", (long long)peri_value_as_int(step));
        name = number;
    }
    if (!peri_run_id_parse(op->params[0], &id)) {
        peri_api_problem(op, 404, "\"%.100s\" is no run id (they look like run-7)", op->params[0]);
        return;
    }
    if (peri_api_store_refuses(op, false))
        return;
    enum peri_status st =
        peri_pipeline_answer(op->service->pipeline, id, name, answer, "api", peri_api_changed, op, &err);
    if (st)
        peri_api_error(op, st, &err);
}

/* --- by a link --- */

void peri_api_page(struct peri_api_op *op, int status, char *html)
{
    static const char *const headers[][2] = {{"Cache-Control", "no-store"}, {"Referrer-Policy", "no-referrer"},
        {"X-Content-Type-Options", "nosniff"},
        {"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
                                    "frame-ancestors 'none'; base-uri 'none'"}};
    bool good = html != NULL;
    for (size_t i = 0; good && op->req && i < sizeof(headers) / sizeof(headers[0]); i++)
        good = peri_http_set_header(op->req, headers[i][0], headers[i][1]) == PERI_OK;
    if (op->req && good)
        peri_http_answer(op->req, status, "text/html; charset=utf-8", html, strlen(html));
    else if (op->req)
        peri_http_problem(op->req, 500, "out of memory", NULL);
    free(html);
    peri_api_end(op);
}

static void send_note(struct peri_api_op *op, int status, const char *title, const char *text)
{
    peri_api_page(op, status, peri_approve_note(title, text));
}

struct link_op {
    struct peri_api_op *op;
    uint64_t run;
    char step[PERI_LINK_STEP];
    bool post;
};

static enum peri_status find_one(struct peri_reader *reader, void *arg, struct peri_value **ret, struct peri_error *err)
{
    const struct link_op *link = arg;
    return peri_reader_approval(reader, link->run, link->step, ret, err);
}

static void answered(void *arg, enum peri_status st, const struct peri_value *value, const struct peri_error *err)
{
    struct link_op *link = arg;
    if (st == PERI_OK)
        send_note(link->op, 200, "Thank you", "Your answer has been taken. You can close this page.");
    else if (st == PERI_ESTATE)
        send_note(link->op, 410, "Too late", "This has been answered already, or the time for it is over.");
    else
        send_note(link->op, 503, "Not now", err ? err->message : "Try again in a moment.");
    free(link);
}

/* The question is still open: `approval`. */
static void take_answer(struct link_op *link, const struct peri_value *approval)
{
    struct peri_api_op *op = link->op;
    struct peri_value *answer = NULL;
    struct peri_error err = {0};
    char actor[96];
    size_t len;
    const char *body = peri_http_body(op->req, &len);
    snprintf(actor, sizeof(actor), "link from %.60s", peri_http_remote(op->req));
    enum peri_status st = peri_approve_form(body, len, peri_map_at(approval, "schema"), &answer, &err);
    if (st == PERI_OK)
        st = peri_pipeline_answer(op->service->pipeline, link->run, link->step, answer, actor, answered, link, &err);
    peri_value_unref(answer);
    if (st == PERI_OK)
        return;
    if (st == PERI_EINVAL)
        peri_api_page(op, 400, peri_approve_page(approval, err.message));
    else
        answered(link, st, NULL, &err);
    if (st == PERI_EINVAL)
        free(link);
}

static void found(void *arg, enum peri_status st, const struct peri_value *value, const struct peri_error *err)
{
    struct link_op *link = arg;
    struct peri_api_op *op = link->op;
    if (!op->req) {
        peri_api_end(op);
    } else if (st == PERI_ENOTFOUND) {
        send_note(op, 410, "Nothing to answer",
            "This has been answered already, the time for it is over, or it is not asked yet.");
    } else if (st) {
        send_note(op, 503, "Not now", err->message);
    } else if (link->post) {
        take_answer(link, value);
        return;
    } else {
        peri_api_page(op, 200, peri_approve_page(value, NULL));
    }
    free(link);
}

static void follow(struct peri_api_op *op, bool post)
{
    struct link_op *link = calloc(1, sizeof(*link));
    if (!link) {
        peri_api_problem(op, 500, "out of memory");
        return;
    }
    link->op = op;
    link->post = post;
    switch (peri_link_read(
        &op->service->links, op->params[0], peri_clock_wall_ms(&op->service->clock), &link->run, link->step)) {
    case PERI_LINK_GOOD:
        if (peri_lookup_ask(op->service->lookup, find_one, found, link) == PERI_OK)
            return;
        send_note(op, 503, "Not now", "The service is busy. Try again in a moment.");
        break;
    case PERI_LINK_EXPIRED:
        send_note(op, 410, "Too late", "This link has expired.");
        break;
    case PERI_LINK_BAD:
        send_note(op, 404, "No such page", "Is the address complete?");
        break;
    }
    free(link);
}

static void show_link(struct peri_api_op *op)
{
    follow(op, false);
}

static void post_link(struct peri_api_op *op)
{
    if (peri_store_state(op->service->store, NULL) == PERI_STORE_DAMAGED)
        send_note(op, 503, "Not now", "The service cannot take answers now.");
    else
        follow(op, true);
}

const struct peri_api_route peri_api_approve[] = {
    {"GET", "/v1/approvals", list_approvals, false, false},
    {"POST", "/v1/runs/{}/approve", approve_run, false, true},
    {"GET", "/approve/{}", show_link, true, false},
    {"POST", "/approve/{}", post_link, true, false},
    {0},
};
