/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_HOOKS_H
#define PERI_APP_HOOKS_H

#include "base/metrics.h"
#include "io/secrets.h"
#include "io/store_data.h"
#include "lang/rule.h"
#include "lang/webhook.h"
#include "plugin/host.h"

/* The doors of rules: /hooks/rules/<path>. Knows which rules have a trigger `webhook`, lets requests in that prove who
 * they are from, and makes events of them. Also for tests of rules. Loop thread only. */
struct peri_hooks;

/* metrics may be NULL. */
struct peri_hooks *peri_hooks_create(struct peri_secrets *secrets, struct peri_metrics *metrics);
void peri_hooks_destroy(struct peri_hooks *hooks);
/* From now on these are the rules; what was counted of a path stays. PERI_ENOMEM: nothing is changed. */
enum peri_status peri_hooks_set(struct peri_hooks *hooks, struct peri_rule *const *rules, size_t count) PERI_MUST_CHECK;

struct peri_hook_answer {
    int status;                              /* 0: it is let in, and batch has its event */
    char reason[160];                        /* for the sender */
    char allow[64];                          /* of 405 */
    char source[PERI_WEBHOOK_PATH_MAX + 16]; /* of its event, also of one that is refused; "": there is no such path */
    struct peri_batch *batch;
};
/* path is that behind /hooks/rules/. request->plugin_id and ->url are not used. */
void peri_hooks_take(struct peri_hooks *hooks, const char *path, const struct peri_webhook_request *request,
    int64_t now_ms, struct peri_hook_answer *ret);
/* What became of one that was let in. */
void peri_hooks_settle(struct peri_hooks *hooks, const char *path, bool accepted, bool duplicate);
/* [{path, event, rules, methods, proof, accepted, duplicates, rejected, last_rejected?: {at, reason}}]; NULL when
 * memory is out. */
struct peri_value *peri_hooks_value(const struct peri_hooks *hooks);
/* Of one rule: the same, only its paths. */
struct peri_value *peri_hooks_of_rule(const struct peri_hooks *hooks, const char *rule);

/* hooks_proof.c: false with why in reason. */
bool peri_hook_proves(const struct peri_webhook *hook, struct peri_secrets *secrets,
    const struct peri_webhook_request *request, int64_t now_ms, char *reason, size_t size);
/* The value of a header, any case, or NULL. */
const char *peri_hook_header(const struct peri_webhook_request *request, const char *name);
/* The decoded value of a field of a form or query; malloc'ed or NULL. */
char *peri_hook_field(const char *text, size_t len, const char *name);
/* All fields: the last of a name counts. NULL when memory is out. */
struct peri_value *peri_hook_fields(const char *text, size_t len);

#endif
