/* SPDX-License-Identifier: Apache-2.0 */
/* A user gives an account, or takes it back.
 *
 * The address that `connect` gives is on our own server: the first browser that opens it gets a cookie and is sent on
 * to the provider. The callback has to bring both the state, which only the provider was told, and that cookie: so a
 * link that somebody else was talked into opening, or a callback made up from a stolen state, connects nothing. What is
 * under way is kept in memory only; a restart ends it. */
#include "io/accounts_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

enum errand_kind { ERRAND_EXCHANGE, ERRAND_REVOKE };

struct account_errand {
    struct account_errand *prev, *next;
    struct account *account;
    struct peri_value *provider; /* as it was when it began */
    struct peri_http_call *call;
    enum errand_kind kind;
    peri_account_finished finished;
    peri_account_gone gone;
    void *arg;
};

static struct account_errand *errand_new(struct account *a, enum errand_kind kind, void *arg)
{
    struct account_errand *e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    *e = (struct account_errand){.account = a, .provider = peri_value_ref(a->provider), .kind = kind, .arg = arg};
    e->next = a->accounts->errands;
    if (e->next)
        e->next->prev = e;
    a->accounts->errands = e;
    return e;
}

static void errand_free(struct account_errand *e)
{
    if (e->prev)
        e->prev->next = e->next;
    else
        e->account->accounts->errands = e->next;
    if (e->next)
        e->next->prev = e->prev;
    peri_value_unref(e->provider);
    free(e);
}

void account_errands_finish(struct peri_accounts *accounts)
{
    while (accounts->errands) {
        if (accounts->errands->call)
            peri_http_call_cancel(accounts->errands->call);
        errand_free(accounts->errands);
    }
}

/* How far a connecting has come. err: why it went wrong, or NULL. */
static void note_connecting(struct account *a, int64_t until_ms, const struct peri_error *err)
{
    pthread_mutex_lock(&a->accounts->lock);
    a->connecting_ms = until_ms;
    a->connect_error = err ? *err : (struct peri_error){0};
    pthread_mutex_unlock(&a->accounts->lock);
}

/* --- new tokens --- */

/* What was under way with the old ones is of no use any more. */
static enum peri_status adopt(struct account *a, struct account_record *r, struct peri_error *err)
{
    enum peri_status st = account_save(a, r, err);
    if (st) {
        account_record_finish(r);
        return st;
    }
    account_take(a, r);
    a->unsaved = false;
    a->pause_until_ms = 0;
    note_connecting(a, 0, NULL);
    account_stop_renewal(a, PERI_OK, NULL);
    peri_info(a->accounts->options.log, "accounts", "account %s is connected", a->name);
    account_tell(a, "account.connected", NULL);
    return PERI_OK;
}

static enum peri_status find(
    struct peri_accounts *accounts, const char *provider, struct account **ret, struct peri_error *err)
{
    struct account *a = account_find(accounts, provider);
    if (!a || !a->provider)
        return account_unknown(provider, err);
    *ret = a;
    return PERI_OK;
}

enum peri_status peri_account_set_key(
    struct peri_accounts *accounts, const char *provider, const char *key, size_t len, struct peri_error *err)
{
    struct account *a = NULL;
    enum peri_status st = find(accounts, provider, &a, err);
    if (st)
        return st;
    if (!peri_streq(peri_map_text(a->provider, "kind"), "key"))
        return peri_error_set(
            err, PERI_EINVAL, "account_kind", "account %s is connected in a browser, it takes no key", provider);
    bool good = len > 0 && len <= PERI_OAUTH_TOKEN_MAX;
    for (size_t i = 0; good && i < len; i++)
        good = key[i] >= 0x20 && key[i] <= 0x7e;
    if (!good || key[0] == ' ' || key[len - 1] == ' ')
        return peri_error_set(err, PERI_EINVAL, "account_key",
            "a key is one line of 1 to %d visible characters of ASCII", PERI_OAUTH_TOKEN_MAX);
    struct account_record r = {.access = peri_strndup(key, len), .connected_ms = account_now(accounts)};
    return r.access ? adopt(a, &r, err) : peri_error_nomem(err);
}

/* --- the way of a browser --- */

enum peri_status peri_account_connect(struct peri_accounts *accounts, const char *provider, const char *base,
    struct peri_value **ret, struct peri_error *err)
{
    struct account *a = NULL;
    struct account_pending p = {0};
    enum peri_status st = find(accounts, provider, &a, err);
    if (st)
        return st;
    if (peri_streq(peri_map_text(a->provider, "kind"), "key"))
        return peri_error_set(err, PERI_EINVAL, "account_kind", "account %s takes a key", provider);
    if (!peri_str_starts(base, "http://") && !peri_str_starts(base, "https://"))
        return peri_error_set(err, PERI_ESTATE, "account_address",
            "the provider cannot send a browser back to %s: set http.public_url", base);
    st = peri_oauth_random(p.ticket, err);
    if (!st)
        st = peri_oauth_random(p.state, err);
    if (!st)
        st = peri_oauth_random(p.verifier, err);
    if (!st && !(p.redirect_uri = peri_asprintf("%s/oauth/callback", base)))
        st = peri_error_nomem(err);
    p.until_ms = account_now(accounts) + PERI_ACCOUNT_CONNECT_MS;
    char *url = st ? NULL : peri_asprintf("%s/oauth/authorize?ticket=%s", base, p.ticket);
    struct peri_value *v = url ? peri_value_map() : NULL;
    if (!st && (!v || peri_map_put_text(v, "url", url) || peri_map_put_text(v, "redirect_uri", p.redirect_uri) ||
                   peri_map_put_time(v, "expires_at", p.until_ms)))
        st = peri_error_nomem(err);
    free(url);
    if (st) {
        account_pending_finish(&p);
        peri_value_unref(v);
        return st;
    }
    account_pending_finish(&a->pending);
    a->pending = p;
    note_connecting(a, p.until_ms, NULL);
    *ret = v;
    return PERI_OK;
}

static bool same(const char *a, const char *b)
{
    return a && b && *b && peri_equal_secret(a, strlen(a), b, strlen(b));
}

/* The account whose authorization this ticket or state belongs to; what has expired is forgotten. */
static struct account *find_pending(struct peri_accounts *accounts, const char *ticket, const char *state)
{
    struct account *found = NULL;
    for (size_t i = 0; i < accounts->count; i++) {
        struct account *a = accounts->items[i];
        if (a->pending.redirect_uri && account_now(accounts) >= a->pending.until_ms)
            account_pending_finish(&a->pending);
        if (a->pending.redirect_uri && a->provider &&
            (same(ticket, a->pending.ticket) || same(state, a->pending.state)))
            found = a;
    }
    return found;
}

/* The value of our cookie in a Cookie header; NULL when there is none. */
static bool has_cookie(const struct account *a, const char *header)
{
    char name[PERI_ACCOUNT_NAME_MAX + 24];
    int n = snprintf(name, sizeof(name), "perigee_oauth_%s=", a->name);
    while (header && *header) {
        header += strspn(header, "; \t");
        size_t len = strcspn(header, ";");
        if (len > (size_t)n && !strncmp(header, name, (size_t)n) &&
            peri_equal_secret(header + n, len - (size_t)n, a->pending.cookie, strlen(a->pending.cookie)))
            return true;
        header += len;
    }
    return false;
}

static enum peri_status stale(struct peri_error *err)
{
    return peri_error_set(err, PERI_EDENIED, "account_state",
        "this address is not known (any more): it is good for ten minutes and for one time. Run `perigee accounts "
        "connect' again");
}

static enum peri_status other_browser(struct peri_error *err)
{
    return peri_error_set(
        err, PERI_EDENIED, "account_state", "this was begun in another browser, and can be finished in that one only");
}

enum peri_status peri_account_visit(struct peri_accounts *accounts, const char *ticket, const char *cookie,
    char **ret_location, char **ret_cookie, struct peri_error *err)
{
    struct account *a = find_pending(accounts, ticket, NULL);
    if (!a)
        return stale(err);
    struct account_pending *p = &a->pending;
    if (p->cookie[0] && !has_cookie(a, cookie))
        return other_browser(err);
    enum peri_status st = p->cookie[0] ? PERI_OK : peri_oauth_random(p->cookie, err);
    if (st)
        return st;
    const char *secure = peri_str_starts(p->redirect_uri, "https:") ? "; Secure" : "";
    *ret_location = peri_oauth_authorize_url(a->provider, p->redirect_uri, p->state, p->verifier);
    *ret_cookie = peri_asprintf("perigee_oauth_%s=%s; Path=/oauth; Max-Age=%d; HttpOnly; SameSite=Lax%s", a->name,
        p->cookie, PERI_ACCOUNT_CONNECT_MS / 1000, secure);
    if (*ret_location && *ret_cookie)
        return PERI_OK;
    free(*ret_location);
    free(*ret_cookie);
    return peri_error_nomem(err);
}

static void exchanged(
    void *arg, enum peri_status st, const struct peri_http_response *response, const struct peri_error *http_err)
{
    struct account_errand *e = arg;
    struct account *a = e->account;
    struct peri_oauth_tokens tokens = {0};
    struct account_record r = {0};
    struct peri_error err = http_err ? *http_err : (struct peri_error){0}, told = {0};
    if (!st)
        st = peri_oauth_answer(e->provider, response->status, response->body, response->body_len, &tokens, &err);
    if (!st)
        st = account_record_make(a, NULL, &tokens, &r, &err);
    if (!st)
        st = adopt(a, &r, &err);
    peri_oauth_tokens_finish(&tokens);
    peri_secrets_hide_error(a->accounts->options.secrets, &err);
    if (st) {
        peri_error_set(&told, st, "account_exchange", "the provider gave no token: %s", err.message);
        peri_warn(a->accounts->options.log, "accounts", "account %s is not connected: %s", a->name, told.message);
    }
    note_connecting(a, 0, st ? &told : NULL);
    e->finished(e->arg, a->name, st, st ? &told : NULL);
    errand_free(e);
}

/* What the provider sent with the browser, when that is not a code. */
static enum peri_status check_callback(
    const struct account *a, const struct peri_account_callback *c, struct peri_error *err)
{
    const char *issuer = peri_map_text(a->provider, "issuer");
    char word[PERI_ERROR_CODE_MAX], text[160] = "";
    if (issuer && !peri_streq(issuer, c->iss))
        return peri_error_set(err, PERI_EDENIED, "account_issuer",
            "the answer does not come from %s: nothing was sent to anybody", issuer);
    if (c->error) {
        peri_oauth_word(c->error, word, sizeof(word));
        snprintf(text, sizeof(text), "%.150s", c->error_description ? c->error_description : "");
        peri_text_make_plain(text);
        return peri_error_set(
            err, PERI_EDENIED, "account_refused", "the provider said no: %s%s%s", word, *text ? ": " : "", text);
    }
    if (!c->code || !*c->code)
        return peri_error_set(err, PERI_EINVAL, "account_exchange", "the provider sent no code");
    return PERI_OK;
}

void peri_account_callback(
    struct peri_accounts *accounts, const struct peri_account_callback *c, peri_account_finished done, void *arg)
{
    struct peri_error err = {0};
    char name[PERI_ACCOUNT_NAME_MAX + 16];
    struct account *a = c->state ? find_pending(accounts, NULL, c->state) : NULL;
    if (!a) {
        done(arg, NULL, stale(&err), &err);
        return;
    }
    if (!a->pending.cookie[0] || !has_cookie(a, c->cookie)) {
        done(arg, NULL, other_browser(&err), &err);
        return;
    }
    struct account_pending p = a->pending;
    memset(&a->pending, 0, sizeof(a->pending)); /* once */
    enum peri_status st = check_callback(a, c, &err);
    if (!st) {
        bool pkce = peri_streq(peri_map_text(a->provider, "pkce"), "S256");
        struct peri_oauth_request request = {.grant_type = "authorization_code",
            .code = c->code,
            .redirect_uri = p.redirect_uri,
            .verifier = pkce ? p.verifier : NULL};
        struct account_errand *e = errand_new(a, ERRAND_EXCHANGE, arg);
        snprintf(name, sizeof(name), "account.%s", a->name);
        peri_secrets_passing(accounts->options.secrets, name, c->code);
        if (!e)
            st = peri_error_nomem(&err);
        else if ((e->finished = done,
                     st = account_request(a, e->provider, "token_url", &request, exchanged, e, &e->call, &err)))
            errand_free(e);
    }
    account_pending_finish(&p);
    if (!st)
        return;
    peri_secrets_hide_error(accounts->options.secrets, &err);
    peri_warn(accounts->options.log, "accounts", "account %s is not connected: %s", a->name, err.message);
    note_connecting(a, 0, &err);
    done(arg, a->name, st, &err);
}

/* --- taking it back --- */

static void revoked(
    void *arg, enum peri_status st, const struct peri_http_response *response, const struct peri_error *http_err)
{
    struct account_errand *e = arg;
    struct account *a = e->account;
    struct peri_error err = http_err ? *http_err : (struct peri_error){0};
    if (!st && (response->status < 200 || response->status > 299))
        st = peri_error_set(&err, PERI_EIO, "account_revoke", "the provider answered %d", response->status);
    if (st) {
        peri_secrets_hide_error(a->accounts->options.secrets, &err);
        peri_error_prefix(&err, "the tokens of account %s are deleted, but perhaps not revoked", a->name);
        peri_warn(a->accounts->options.log, "accounts", "%s", err.message);
    }
    e->gone(e->arg, st == PERI_OK, st ? &err : NULL);
    errand_free(e);
}

static enum peri_status revoke(
    struct account *a, const struct account_record *r, peri_account_gone done, void *arg, struct peri_error *err)
{
    bool bearer = peri_streq(peri_map_text(a->provider, "revoke_style"), "bearer");
    struct peri_oauth_request request = {
        .token = r->refresh ? r->refresh : r->access, .token_type_hint = r->refresh ? "refresh_token" : "access_token"};
    struct account_errand *e = errand_new(a, ERRAND_REVOKE, arg);
    if (!e)
        return peri_error_nomem(err);
    e->gone = done;
    char *authorization = bearer ? peri_asprintf("Bearer %s", r->access) : NULL;
    enum peri_status st =
        bearer && !authorization ? peri_error_nomem(err)
        : bearer ? account_post(a, e->provider, "revoke_url", NULL, authorization, revoked, e, &e->call, err)
                 : account_request(a, e->provider, "revoke_url", &request, revoked, e, &e->call, err);
    if (authorization)
        peri_secret_free(authorization, strlen(authorization));
    if (st)
        errand_free(e);
    return st;
}

enum peri_status peri_account_disconnect(
    struct peri_accounts *accounts, const char *provider, peri_account_gone done, void *arg, struct peri_error *err)
{
    struct account *a = account_find(accounts, provider);
    struct account_record old = {0}, none = {0};
    struct peri_error gone = {0}, why = {0};
    if (!a || (!a->provider && !a->record.access))
        return account_unknown(provider, err);
    if (!a->record.access)
        return peri_error_set(err, PERI_ESTATE, "account_not_connected", "account %s is not connected", provider);
    enum peri_status st = peri_secrets_remove(accounts->files, a->name, err);
    if (st && st != PERI_ENOTFOUND)
        return st;
    old.access = peri_strdup(a->record.access);
    old.refresh = peri_strdup(a->record.refresh);
    account_take(a, &none);
    account_pending_finish(&a->pending);
    note_connecting(a, 0, NULL);
    a->unsaved = false;
    account_stop_renewal(a, account_check(a, &gone), &gone);
    peri_info(accounts->options.log, "accounts", "account %s is disconnected", a->name);
    account_tell(a, "account.disconnected", NULL);
    bool can = a->provider && peri_map_text(a->provider, "revoke_url") && old.access &&
               !peri_streq(peri_map_text(a->provider, "kind"), "key");
    st = can ? revoke(a, &old, done, arg, &why) : PERI_OK;
    account_record_finish(&old);
    if (!can || st)
        done(arg, false, st ? &why : NULL);
    return PERI_OK;
}
