/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_API_H
#define PERI_APP_API_H

#include "app/service.h"

/* The HTTP API: one table of routes (api.c), one file for each resource (api_<resource>.c). Loop thread only. */
struct peri_api;

enum peri_status peri_api_create(
    struct peri_service *service, struct peri_api **ret, struct peri_error *err) PERI_MUST_CHECK;
/* Answers what is still open with 503; later completions find nobody. Before the server goes. */
void peri_api_close(struct peri_api *api);
void peri_api_destroy(struct peri_api *api);
void peri_api_handle(void *api, struct peri_http_request *req);
/* Is the path one that must be reached when all connections are in use? Not those by which events come in, nor streams.
 */
bool peri_api_is_reserved(const char *path);
/* What reading events uses again and again. */
struct peri_ce_scratch;
struct peri_ce_scratch *peri_api_ce_scratch(struct peri_api *api);

/* --- for api_*.c --- */

#define PERI_API_PARAMS 2

/* One request under way. Handlers answer now, or keep it for a completion; either way peri_api_end frees it. */
struct peri_api_op {
    struct peri_api *api;
    struct peri_service *service;
    struct peri_http_request *req; /* NULL once nobody waits for the answer */
    char *params[PERI_API_PARAMS]; /* the {} segments of the path */
    struct peri_value *body;       /* parsed JSON body of a route that wants one */
    void *extra;                   /* of the handler; freed with free_extra */
    void (*free_extra)(void *extra);
    struct peri_api_op *next, *prev;
};
typedef void (*peri_api_fn)(struct peri_api_op *op);

struct peri_api_route {
    const char *method, *path; /* "/v1/events/{}/verdicts" */
    peri_api_fn fn;
    bool open; /* without a token */
    bool json; /* a JSON body is read (an empty one counts as {}) */
};
/* Each file brings its routes; the tables end with an empty entry. */
extern const struct peri_api_route peri_api_events[], peri_api_runs[], peri_api_rules[], peri_api_plugins[],
    peri_api_data[], peri_api_mappings[], peri_api_ledger[], peri_api_tasks[], peri_api_system[], peri_api_approve[],
    peri_api_accounts[], peri_api_hooks[];

/* These answer and end the operation. */
void peri_api_answer(struct peri_api_op *op, int status, const struct peri_value *value);
void peri_api_answer_text(struct peri_api_op *op, int status, struct peri_buf *json);
void peri_api_take_answer(struct peri_api_op *op, int status, struct peri_value *value); /* take; NULL: 500 */
void peri_api_problem(struct peri_api_op *op, int status, const char *fmt, ...) PERI_PRINTF(3, 4);
void peri_api_error(struct peri_api_op *op, enum peri_status st, const struct peri_error *err);
void peri_api_end(struct peri_api_op *op);

/* A page of plain HTML, nothing in it that runs or leads elsewhere. html: take, NULL: 500. */
void peri_api_page(struct peri_api_op *op, int status, char *html);

/* For peri_accounts_options: into the audit trail, and what needs attention to who hears it. ctx is the service. */
void peri_api_account_changed(void *ctx, const char *action, const char *provider, const struct peri_value *detail);

/* Asks the lookup thread and answers with what it finds: a list becomes {"items": [...], "next": cursor?}. */
void peri_api_ask(struct peri_api_op *op, peri_lookup_fn fn, void *question, void (*free_question)(void *));
/* The same for what is shown of events and runs: personal data is hidden, but with ?personal=show, which is audited.
 * event: the one that it all belongs to, or 0. */
void peri_api_ask_hidden(
    struct peri_api_op *op, uint64_t event, peri_lookup_fn fn, void *question, void (*free_question)(void *));
/* ?limit= (1 to 1000, default 50). */
size_t peri_api_limit(const struct peri_api_op *op);
/* For peri_change_done: answers 200 or 202 with the value. */
void peri_api_changed(void *op, enum peri_status st, const struct peri_value *value, const struct peri_error *err);
/* True, and answered with 503, when the store takes no changes; grows: or nothing new, because the disk is full. */
bool peri_api_store_refuses(struct peri_api_op *op, bool grows);
/* A call of /hooks/rules/<path>. */
void peri_api_rule_hook(struct peri_api_op *op, const char *path);
/* To listeners of /v1/stream. */
void peri_api_publish(void *api, const char *kind, const struct peri_value *value);
void peri_api_stream(struct peri_api_op *op);

#endif
