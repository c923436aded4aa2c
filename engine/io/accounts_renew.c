/* SPDX-License-Identifier: Apache-2.0 */
/* Renewing a token. The order is what matters, because a provider that rotates refresh tokens takes each of them once:
 * a note on disk that a renewal has begun, the request, the new tokens on disk, then their use. Where the note cannot
 * be written the request is not sent: what it brings could not be kept either. */
#include "io/accounts_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/str.h"
#include "base/timefmt.h"

#define PAUSE_MS 10000 /* after a renewal that failed */

void peri_account_wait_cancel(struct peri_account_wait *wait)
{
    if (!wait)
        return;
    for (struct peri_account_wait **at = &wait->account->waits; *at; at = &(*at)->next) {
        if (*at != wait)
            continue;
        *at = wait->next;
        free(wait);
        return;
    }
}

static void answer_all(struct account *a, enum peri_status st, const struct peri_error *err)
{
    while (a->waits) {
        struct peri_account_wait *w = a->waits;
        a->waits = w->next;
        peri_account_done done = w->done;
        void *arg = w->arg;
        free(w);
        done(arg, st, err); /* may wait again: at the end, and not for this */
        if (a->renewal)
            return;
    }
}

void account_stop_renewal(struct account *a, enum peri_status st, const struct peri_error *err)
{
    if (a->renewal)
        peri_http_call_cancel(a->renewal);
    a->renewal = NULL;
    answer_all(a, st, err);
}

/* Words by which providers say that a refresh token will never be good again. */
static bool is_final(const char *code)
{
    static const char *const words[] = {"invalid_grant", "invalid_refresh_token", "token_revoked", "token_expired",
        "account_inactive", "interaction_required", "login_required", "consent_required", NULL};
    for (const char *const *w = words; *w; w++)
        if (!strcmp(*w, code))
            return true;
    return false;
}

/* The user has to connect again: kept, told, and the end of all waiting. */
static void give_up(struct account *a, const char *code, const char *why)
{
    char cut[PERI_TIME_TEXT], text[PERI_ERROR_MESSAGE_MAX];
    struct peri_error err = {0}, ignored = {0};
    struct account_record r = a->record;
    if (r.cut_ms)
        snprintf(text, sizeof(text), "%.400s; the answer to a renewal at %s was lost, and with it the new tokens", why,
            peri_time_format(r.cut_ms, cut));
    else
        snprintf(text, sizeof(text), "%.400s", why);
    r.access = peri_strdup(a->record.access);
    r.refresh = peri_strdup(a->record.refresh);
    r.scope = peri_strdup(a->record.scope);
    r.user = peri_strdup(a->record.user);
    r.attention = true;
    r.error_code = peri_strdup(code);
    r.error_text = peri_strdup(text);
    r.error_ms = account_now(a->accounts);
    if (account_save(a, &r, &ignored))
        peri_warn(a->accounts->options.log, "accounts", "%s: %s", a->name, ignored.message);
    account_take(a, &r);
    enum peri_status st = account_check(a, &err);
    peri_warn(a->accounts->options.log, "accounts", "%s [%s]", err.message, err.code);
    struct peri_error told = {0};
    peri_error_set(&told, PERI_ESTATE, code, "%s", text);
    account_tell(a, "account.attention", &told);
    answer_all(a, st, &err);
}

/* It may go better later. */
void account_put_off(struct account *a, const struct peri_error *why)
{
    struct peri_error err = {0};
    peri_error_set(
        &err, PERI_EIO, "account_renewal", "the token of account %s could not be renewed: %s", a->name, why->message);
    err.retryable = true;
    err.retry_after_ms = PAUSE_MS;
    a->pause_error = err;
    a->pause_until_ms = account_now(a->accounts) + PAUSE_MS;
    peri_warn(a->accounts->options.log, "accounts", "%s", err.message);
    account_ahead_failed(a, why);
    answer_all(a, PERI_EIO, &err);
}

static void store(struct account *a, struct peri_oauth_tokens *tokens)
{
    struct account_record r = {0};
    struct peri_error err = {0};
    enum peri_status st = account_record_make(a, &a->record, tokens, &r, &err);
    PERI_FAILPOINT("account.answered");
    enum peri_status saved = st ? st : account_save(a, &r, &err);
    PERI_FAILPOINT("account.stored");
    if (st) {
        account_put_off(a, &err);
        return;
    }
    account_take(a, &r);
    a->unsaved = saved != PERI_OK; /* known here, used by nobody until it is on disk */
    if (a->unsaved) {
        account_put_off(a, &err);
        return;
    }
    a->pause_until_ms = 0;
    peri_debug(a->accounts->options.log, "accounts", "the token of account %s was renewed", a->name);
    answer_all(a, PERI_OK, NULL);
}

static void answered(
    void *arg, enum peri_status st, const struct peri_http_response *response, const struct peri_error *http_err)
{
    struct account *a = arg;
    struct peri_oauth_tokens tokens = {0};
    struct peri_error err = http_err ? *http_err : (struct peri_error){0};
    a->renewal = NULL;
    if (!st) {
        st = peri_oauth_answer(a->provider, response->status, response->body, response->body_len, &tokens, &err);
        peri_secrets_hide_error(a->accounts->options.secrets, &err);
        if (st == PERI_EDENIED && is_final(err.code)) {
            give_up(a, err.code, err.message);
            return;
        }
        if (st == PERI_EDENIED)
            a->record.cut_ms = a->cut_before; /* it was heard, and nothing was changed */
    } else if (!response->connected) {
        a->record.cut_ms = a->cut_before;
    }
    if (st)
        account_put_off(a, &err);
    else
        store(a, &tokens);
    peri_oauth_tokens_finish(&tokens);
}

static enum peri_status note_begin(struct account *a, struct peri_error *err)
{
    a->cut_before = a->record.cut_ms;
    if (!a->cut_before) /* the first one whose answer is lost counts */
        a->record.cut_ms = account_now(a->accounts);
    enum peri_status st = account_save(a, &a->record, err);
    if (st)
        a->record.cut_ms = a->cut_before;
    return st;
}

enum peri_status account_renewal_begin(struct account *a, struct peri_error *err)
{
    struct peri_oauth_request request = {.grant_type = "refresh_token", .refresh_token = a->record.refresh};
    enum peri_status st = PERI_OK;
    if (a->unsaved) {
        st = account_save(a, &a->record, err);
        a->unsaved = st != PERI_OK;
        return st;
    }
    st = note_begin(a, err);
    PERI_FAILPOINT("account.renewing");
    if (!st)
        st = account_request(a, a->provider, "token_url", &request, answered, a, &a->renewal, err);
    return st;
}

static void tell_soon(void *arg)
{
    struct account *a = arg;
    a->soon = NULL;
    if (!a->renewal)
        answer_all(a, PERI_OK, NULL);
}

enum peri_status peri_account_renew(struct peri_accounts *accounts, const char *provider, uint64_t serial,
    peri_account_done done, void *arg, struct peri_account_wait **ret, struct peri_error *err)
{
    struct account *a = account_find(accounts, provider);
    enum peri_status st = a ? account_check(a, err) : account_unknown(provider, err);
    bool newer = !st && a->serial != serial && !a->unsaved;
    if (st)
        return st;
    if (!newer && !a->renewal && !a->record.refresh)
        return peri_error_set(err, PERI_ESTATE, "account_needs_attention",
            "the token of account %s cannot be renewed: run `perigee accounts connect %s'", a->name, a->name);
    if (!newer && accounts->options.as_is)
        return peri_error_set(err, PERI_EIO, "account_renewal",
            "the token of account %s has to be renewed, which only the running service does", a->name);
    if (!newer && !a->renewal && account_now(accounts) < a->pause_until_ms) {
        *err = a->pause_error;
        return PERI_EIO;
    }
    struct peri_account_wait *w = calloc(1, sizeof(*w));
    if (!w)
        return peri_error_nomem(err);
    *w = (struct peri_account_wait){.account = a, .done = done, .arg = arg};
    bool began = !newer && !a->renewal;
    if (began)
        st = account_renewal_begin(a, err);
    if (!st && !a->renewal && !a->soon && peri_loop_after(accounts->options.loop, 0, tell_soon, a, &a->soon))
        st = peri_error_nomem(err);
    if (st) {
        free(w);
        err->retryable = true;
        return st;
    }
    w->next = a->waits;
    a->waits = w;
    *ret = w;
    return PERI_OK;
}
