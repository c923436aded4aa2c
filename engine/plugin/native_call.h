/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_NATIVE_CALL_H
#define PERI_PLUGIN_NATIVE_CALL_H

#include "plugin/host_internal.h"
#include "plugin/native.h"
#include "plugin/native_value.h"

/* One call of a handler in C, from its start to its end: what the native_*.c files share with host_native.c. It belongs
 * to its job, and is used by the worker that runs it. */
struct perigee_call {
    struct peri_job *job;
    struct peri_error error;       /* what went wrong in the function that runs */
    struct peri_value *wait_error; /* what the last wait ended with, as call_error gives it; or NULL */
    bool at_once;                  /* what runs now must not wait: map, health, interceptors */
    bool asked;                    /* the function that runs has asked for something to wait for */
    perigee_then_fn *then;         /* what follows; NULL: a deferred call */
    void (*dropped)(void *user);   /* instead of it */
    void *user;
    struct peri_value *input; /* of a webhook, which `then` may still look at; or NULL */
    perigee_token token;      /* of a deferred call; 0: none */
};

/* What a deferred call was completed with. */
struct peri_deferred {
    int holds;
    struct peri_value *value; /* one reference, or NULL */
    struct peri_error error;  /* status 0: it went well */
};

/* native_self.c. The host keeps every one until its own end: a thread of a plugin that is gone is told so. */
struct perigee_self *peri_self_create(struct peri_plugin *plugin);
/* The plugin is about to be unloaded. */
void peri_self_gone(struct perigee_self *self);
/* Nothing more is posted to the loop; what has come in and was not begun is refused. */
void peri_selves_close(struct peri_host *host);
void peri_selves_finish(struct peri_host *host);
/* 0: memory is out. */
perigee_token peri_self_defer(struct perigee_self *self, struct peri_job *job);
/* On the loop: its call waits now. True: it was completed before. */
bool peri_self_armed(struct perigee_self *self, perigee_token token);
/* Ends it: false when it was completed, with what then; else nobody can complete it any more. */
bool peri_self_withdraw(struct perigee_self *self, perigee_token token, struct peri_deferred *ret);
/* {open, late} as `deferred`, where there was ever one. */
enum peri_status peri_self_put(struct perigee_self *self, struct peri_value *v) PERI_MUST_CHECK;
enum perigee_status peri_self_complete(struct perigee_self *self, perigee_token token, struct peri_deferred *with);
enum perigee_status peri_self_push(struct perigee_self *self, struct peri_value *item,
    void (*done)(void *user, enum perigee_status status), void *user);
void peri_self_log(struct perigee_self *self, enum perigee_log_level level, const char *text);
struct peri_value *peri_self_config(struct perigee_self *self);

/* native_http.c: a request as the job's operation. Secrets only where the settings or the rule have put them. */
enum peri_status peri_native_request(
    struct peri_job *job, const struct peri_value *request, struct peri_error *err) PERI_MUST_CHECK;
/* Does value name only such secrets? */
enum peri_status peri_native_secrets_ok(
    struct peri_job *job, const struct peri_value *value, struct peri_error *err) PERI_MUST_CHECK;
/* What came of it, and of a webhook's request: new references, NULL when memory is out. */
struct peri_value *peri_native_response(const struct peri_op *op);
struct peri_value *peri_native_web_request(const struct peri_web_copy *web);

#endif
