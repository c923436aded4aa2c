/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts, and the two pages that a browser sees while one is connected. Tokens and keys go in here and never out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/api.h"
#include "app/approve_page.h"
#include "base/str.h"

/* --- the audit trail --- */

struct entry {
    char *action, *provider;
    struct peri_value *detail;
    struct peri_log *log;
};

static enum peri_status write_entry(struct peri_tx *tx, void *arg, struct peri_error *err)
{
    const struct entry *e = arg;
    return peri_tx_audit(tx, "service", e->action, e->provider, e->detail, err);
}

static void entry_written(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct entry *e = arg;
    if (st)
        peri_warn(e->log, "audit", "an entry was not stored: %s", err ? err->message : "");
    free(e->action);
    free(e->provider);
    peri_value_unref(e->detail);
    free(e);
}

/* For rules and plugins that hear it: somebody may want a message. */
static void announce(struct peri_service *s, const char *type, const char *provider, const struct peri_value *detail)
{
    struct peri_value *v = peri_value_map();
    const char *ends = peri_streq(type, "account.RenewalFailing") ? peri_map_text(detail, "expires_at") : NULL;
    if (v && !peri_map_put_text(v, "provider", provider) &&
        !peri_map_put_text(v, "code", peri_map_text(detail, "code")) &&
        !peri_map_put_text(v, "message", peri_map_text(detail, "message")) &&
        !(ends && peri_map_put_text(v, "expires_at", ends)))
        peri_pipeline_announce(s->pipeline, type, v, NULL);
    else
        peri_value_unref(v);
}

void peri_api_account_changed(void *ctx, const char *action, const char *provider, const struct peri_value *detail)
{
    struct peri_service *s = ctx;
    struct entry *e = calloc(1, sizeof(*e));
    if (peri_streq(action, "account.attention"))
        announce(s, "account.NeedsAttention", provider, detail);
    else if (peri_streq(action, "account.failing"))
        announce(s, "account.RenewalFailing", provider, detail);
    if (!e)
        return;
    *e = (struct entry){peri_strdup(action), peri_strdup(provider), peri_value_ref(detail), s->log};
    if (!e->action || !e->provider || peri_store_submit(s->store, 512, write_entry, entry_written, e))
        entry_written(e, PERI_OK, NULL);
}

/* --- the API --- */

static void list_accounts(struct peri_api_op *op)
{
    struct peri_value *all = NULL, *page = peri_value_list(), *doc = peri_value_map();
    struct peri_error err;
    const char *after = peri_http_query(op->req, "after"), *last = NULL;
    size_t limit = peri_api_limit(op), i = 0;
    enum peri_status st = page && doc ? peri_accounts_list(op->service->accounts, &all, &err) : PERI_ENOMEM;
    for (; !st && i < peri_value_count(all) && peri_value_count(page) < limit; i++) {
        struct peri_value *v = peri_list_at(all, i);
        if (after && strcmp(peri_map_text(v, "id"), after) <= 0)
            continue;
        last = peri_map_text(v, "id");
        st = peri_list_push(page, peri_value_ref(v));
    }
    if (!st)
        st = peri_map_put_ref(doc, "items", page);
    if (!st && i < peri_value_count(all))
        st = peri_map_put_text(doc, "next", last);
    if (st)
        peri_api_problem(op, 500, "out of memory");
    else
        peri_api_answer(op, 200, doc);
    peri_value_unref(doc);
    peri_value_unref(page);
    peri_value_unref(all);
}

static void answer_facts(struct peri_api_op *op)
{
    struct peri_value *v = NULL;
    struct peri_error err;
    enum peri_status st = peri_account_facts(op->service->accounts, op->params[0], &v, &err);
    if (st)
        peri_api_error(op, st, &err);
    else
        peri_api_take_answer(op, 200, v);
}

/* {key} for what takes one; else where a browser has to go. */
static void connect_account(struct peri_api_op *op)
{
    struct peri_service *s = op->service;
    struct peri_value *v = NULL;
    struct peri_error err;
    const struct peri_value *given = peri_map_at(op->body, "key");
    size_t len = 0;
    const char *key = peri_value_textn(given, &len);
    if (given && !key) {
        peri_api_problem(op, 400, "\"key\" must be a text");
        return;
    }
    enum peri_status st = key ? peri_account_set_key(s->accounts, op->params[0], key, len, &err)
                              : peri_account_connect(s->accounts, op->params[0], s->links.base, &v, &err);
    if (st)
        peri_api_error(op, st, &err);
    else if (key)
        answer_facts(op);
    else
        peri_api_take_answer(op, 200, v);
}

static void gone(void *arg, bool revoked, const struct peri_error *err)
{
    struct peri_api_op *op = arg;
    struct peri_value *v = peri_value_map();
    enum peri_status st = v ? peri_map_put_text(v, "provider", op->params[0]) : PERI_ENOMEM;
    if (!st)
        st = peri_map_put_text(v, "state", "not_connected");
    if (!st)
        st = peri_map_put_bool(v, "revoked", revoked);
    if (!st && err)
        st = peri_map_put_text(v, "warning", err->message);
    if (st) {
        peri_value_unref(v);
        v = NULL;
    }
    peri_api_take_answer(op, 200, v);
}

static void disconnect_account(struct peri_api_op *op)
{
    struct peri_error err;
    enum peri_status st = peri_account_disconnect(op->service->accounts, op->params[0], gone, op, &err);
    if (st)
        peri_api_error(op, st, &err);
}

/* --- in a browser --- */

static void note(struct peri_api_op *op, int status, const char *title, const char *text)
{
    peri_api_page(op, status, peri_approve_note(title, text));
}

static bool is_get(struct peri_api_op *op)
{
    if (peri_streq(peri_http_method(op->req), "GET"))
        return true;
    if (peri_http_set_header(op->req, "Allow", "GET"))
        peri_api_problem(op, 500, "out of memory");
    else
        peri_api_problem(op, 405, "only GET: looking at it would use it up");
    return false;
}

static void send_on(struct peri_api_op *op)
{
    struct peri_error err;
    char *location = NULL, *cookie = NULL;
    if (!is_get(op))
        return;
    const char *ticket = peri_http_query(op->req, "ticket");
    enum peri_status st = peri_account_visit(
        op->service->accounts, ticket ? ticket : "", peri_http_header(op->req, "Cookie"), &location, &cookie, &err);
    if (st) {
        note(op, st == PERI_EDENIED ? 403 : 503, "Not connected", err.message);
        return;
    }
    if (peri_http_set_header(op->req, "Location", location) || peri_http_set_header(op->req, "Set-Cookie", cookie))
        peri_api_problem(op, 500, "out of memory");
    else
        note(op, 303, "Go on", "Your browser should show the provider's page now.");
    free(location);
    free(cookie);
}

static void finished(void *arg, const char *provider, enum peri_status st, const struct peri_error *err)
{
    struct peri_api_op *op = arg;
    char text[PERI_ERROR_MESSAGE_MAX + 200];
    if (st) {
        snprintf(text, sizeof(text), "%s%s%s", provider ? provider : "", provider ? ": " : "", err->message);
        note(op, st == PERI_EDENIED ? 403 : st == PERI_EINVAL ? 400 : 502, "Not connected", text);
        return;
    }
    snprintf(text, sizeof(text), "The account %s is connected. You can close this page.", provider);
    note(op, 200, "Connected", text);
}

static void take_callback(struct peri_api_op *op)
{
    if (!is_get(op))
        return;
    struct peri_account_callback callback = {.state = peri_http_query(op->req, "state"),
        .code = peri_http_query(op->req, "code"),
        .error = peri_http_query(op->req, "error"),
        .error_description = peri_http_query(op->req, "error_description"),
        .iss = peri_http_query(op->req, "iss"),
        .cookie = peri_http_header(op->req, "Cookie")};
    peri_account_callback(op->service->accounts, &callback, finished, op);
}

const struct peri_api_route peri_api_accounts[] = {
    {"GET", "/v1/accounts", list_accounts, false, false},
    {"GET", "/v1/accounts/{}", answer_facts, false, false},
    {"POST", "/v1/accounts/{}/connect", connect_account, false, true},
    {"POST", "/v1/accounts/{}/disconnect", disconnect_account, false, true},
    {"GET", "/oauth/authorize", send_on, true, false},
    {"GET", "/oauth/callback", take_callback, true, false},
    {0},
};
