/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that carry the token of an account. A handle is a name; whether the plugin may use it, whether the token may
 * go to that host, and whether it has to be renewed first, is decided here, when the request leaves. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "plugin/grants.h"
#include "plugin/host_internal.h"

const char *peri_account_of(const char *secret)
{
    size_t n = strlen(PERI_ACCOUNT_HANDLE);
    return secret && !strncmp(secret, PERI_ACCOUNT_HANDLE, n) ? secret + n : NULL;
}

static enum peri_status unavailable(struct peri_error *err)
{
    return peri_error_set(err, PERI_ESTATE, "account_unavailable", "accounts are there in the running service only");
}

static enum peri_status check_grant(const struct peri_job *job, const char *provider, struct peri_error *err)
{
    char permission[200];
    snprintf(permission, sizeof(permission), "accounts:%.150s", provider);
    if (peri_grants_uses(job->plugin->grants, permission))
        return PERI_OK;
    return peri_job_denied(job, "accounts:", provider, err);
}

/* --- ctx.account --- */

enum peri_status peri_job_account(
    struct peri_job *job, const char *provider, struct peri_value **ret, struct peri_error *err)
{
    static const char *const told[] = {
        "provider", "kind", "label", "state", "user", "scopes", "expires_at", "hosts", NULL};
    struct peri_accounts *accounts = job->host->options.accounts;
    struct peri_value *facts = NULL;
    enum peri_status st = check_grant(job, provider, err);
    if (!st && !accounts)
        st = unavailable(err);
    if (!st)
        st = peri_account_ready(accounts, provider, err);
    if (!st)
        st = peri_account_facts(accounts, provider, &facts, err);
    if (st)
        return st;
    struct peri_value *v = peri_value_map();
    char *prefix = peri_account_prefix(accounts, provider);
    if (!v || !prefix || peri_map_put_text(v, "prefix", prefix))
        st = PERI_ENOMEM;
    for (const char *const *key = told; !st && *key; key++)
        if (peri_map_at(facts, *key))
            st = peri_map_put_ref(v, *key, peri_map_at(facts, *key));
    free(prefix);
    peri_value_unref(facts);
    if (!st) {
        *ret = v;
        return PERI_OK;
    }
    peri_value_unref(v);
    return peri_error_nomem(err);
}

bool peri_host_uses_account(const struct peri_host *host, const char *provider)
{
    char permission[200];
    snprintf(permission, sizeof(permission), "accounts:%.150s", provider);
    for (size_t i = 0; i < host->plugin_count; i++) {
        const struct peri_plugin *p = host->plugins[i];
        if (p->state == PERI_PLUGIN_ACTIVE && p->grants && peri_grants_has(p->grants, permission))
            return true;
    }
    return false;
}

/* --- requests --- */

enum peri_status peri_op_account_text(
    struct peri_job *job, const struct peri_secret_text *t, char **ret, struct peri_error *err)
{
    char *token = NULL;
    size_t len = 0;
    uint64_t serial;
    enum peri_account_age age;
    if (!job->host->options.accounts)
        return unavailable(err);
    enum peri_status st =
        peri_account_token(job->host->options.accounts, peri_account_of(t->secret), &token, &len, &serial, &age, err);
    if (st)
        return st;
    *ret = peri_asprintf("%s%s", t->text ? t->text : "", token);
    peri_secret_free(token, len);
    return *ret ? PERI_OK : peri_error_nomem(err);
}

static enum peri_account_age age_of(struct peri_job *job, const char *provider)
{
    enum peri_account_age age = PERI_ACCOUNT_EXPIRED;
    struct peri_error err;
    char *token = NULL;
    size_t len = 0;
    uint64_t serial;
    if (peri_account_token(job->host->options.accounts, provider, &token, &len, &serial, &age, &err) == PERI_OK)
        peri_secret_free(token, len);
    return age;
}

static void renewed(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct peri_job *job = arg;
    struct peri_op *op = &job->op;
    job->account_wait = NULL;
    op->account_waiting = false;
    if (st == PERI_EIO && !op->account_again && age_of(job, op->account) != PERI_ACCOUNT_EXPIRED) {
        op->account_as_is = true;
    } else if (st) {
        op->error = *err;
        op->error.status = st;
        peri_job_resume(job);
        return;
    }
    peri_op_perform(job);
}

static enum peri_status renew(struct peri_job *job, const char *provider, uint64_t serial, struct peri_error *err)
{
    enum peri_status st =
        peri_account_renew(job->host->options.accounts, provider, serial, renewed, job, &job->account_wait, err);
    job->op.account_waiting = st == PERI_OK;
    return st;
}

/* One token of a request. */
static enum peri_status check_one(struct peri_job *job, const char *provider, const char *host, int port, bool secure,
    bool *ret_wait, struct peri_error *err)
{
    struct peri_accounts *accounts = job->host->options.accounts;
    struct peri_op *op = &job->op;
    enum peri_account_age age = PERI_ACCOUNT_GOOD;
    uint64_t serial = 0;
    char *token = NULL;
    size_t len = 0;
    enum peri_status st = check_grant(job, provider, err);
    if (!st && !accounts)
        st = unavailable(err);
    if (!st && (st = peri_account_may_go(accounts, provider, host, port, secure, err))) {
        char what[400];
        snprintf(what, sizeof(what), "accounts:%.60s %.250s:%d", provider, host, port);
        peri_ledger_violation(job, err->code, what);
    }
    if (!st)
        st = peri_account_token(accounts, provider, &token, &len, &serial, &age, err);
    if (st)
        return st;
    peri_secret_free(token, len);
    free(op->account);
    op->account_serial = serial;
    if (!(op->account = peri_strdup(provider)))
        return peri_error_nomem(err);
    if (age == PERI_ACCOUNT_EXPIRED || (age == PERI_ACCOUNT_OLD && !op->account_as_is)) {
        st = renew(job, provider, serial, err);
        *ret_wait = st == PERI_OK;
    }
    return st == PERI_EIO && age == PERI_ACCOUNT_OLD ? PERI_OK : st;
}

enum peri_status peri_op_accounts(
    struct peri_job *job, const char *host, int port, bool secure, bool *ret_wait, struct peri_error *err)
{
    struct peri_op *op = &job->op;
    const struct peri_secret_text *fixed[] = {&op->user, &op->password}, *tls[] = {&op->cert, &op->cert_key, &op->ca};
    enum peri_status st = PERI_OK;
    bool any = false;
    *ret_wait = false;
    for (size_t i = 0; i < 3; i++)
        if (peri_account_of(tls[i]->secret))
            return peri_error_set(err, PERI_EINVAL, "bad_argument", "the token of an account is no certificate");
    for (size_t i = 0; !st && !*ret_wait && i < op->header_count + 2; i++) {
        const struct peri_secret_text *t = i < op->header_count ? &op->headers[i] : fixed[i - op->header_count];
        const char *provider = peri_account_of(t->secret);
        if (!provider)
            continue;
        any = true;
        st = check_one(job, provider, host, port, secure, ret_wait, err);
    }
    if (!st && any && (op->ca.text || op->ca.secret || op->ca_file))
        return peri_error_set(err, PERI_EDENIED, "account_host",
            "the token of an account goes to servers that the system's authorities vouch for, not with a ca of its "
            "own");
    return st;
}

bool peri_op_account_refused(struct peri_job *job)
{
    struct peri_op *op = &job->op;
    struct peri_error err = {0};
    if (!op->account || op->account_again)
        return false;
    op->account_again = true;
    op->account_as_is = false;
    enum peri_status st = renew(job, op->account, op->account_serial, &err);
    if (st == PERI_EIO) { /* no time for it; the same answer again would say less */
        op->error = err;
        op->error.status = st;
        peri_job_resume(job);
    }
    return st == PERI_OK || st == PERI_EIO;
}
