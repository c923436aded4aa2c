/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_ACCOUNTS_H
#define PERI_IO_ACCOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "data/value.h"
#include "io/http_client.h"
#include "io/loop.h"
#include "io/secrets.h"

/* Accounts at other services: one a provider, connected by OAuth 2.0 (authorization code with PKCE) or by a key.
 * Tokens stand in `<state>/accounts/<provider>` (folder 0700, files 0600), never in the database. Whoever uses one asks
 * for it when the request leaves: a token that is about to expire is renewed first, once for all who wait, and what the
 * provider gave in place of the old refresh token is on disk before the new access token is used.
 *
 * Loop thread, except where a function says "any thread". */
struct peri_accounts;

/* What a provider is: a map with the members below, as peri_provider_complete makes it.
 *   kind            "oauth2" or "key"
 *   label           what people call it
 *   authorize_url, token_url, revoke_url
 *   revoke_style    "token" (RFC 7009) or "bearer" (an empty POST with the token as authorization)
 *   client_id, client_secret   texts; the secret may be {"$secret": name}
 *   scopes          list of texts; scope_separator " " or ","
 *   pkce            "S256" or "none"
 *   token_auth      how the client says who it is: "basic", "body" or "none"
 *   token_format    of requests: "form" or "json"
 *   authorize_params, token_params   maps of further texts
 *   hosts           where tokens may go: "api.example.com", "*.example.com" (one label), each with ":port" or 443
 *   prefix          what stands before the token in a header: "Bearer "
 *   label_from      JSON pointer into the token answer: whose account it is
 *   issuer          what the parameter `iss` of the callback must say (RFC 9207), when it is given
 *   own             names of the URLs above that the operator wrote: those may lead to a private address */

#define PERI_ACCOUNT_NAME_MAX 60
#define PERI_ACCOUNT_CONNECT_MS (10 * 60 * 1000) /* to get from `connect` to the callback */

/* Names: lower-case letters, digits, '-', '_', '.', at most 60, a letter or digit first. */
bool peri_account_name_ok(const char *name);
/* The description of a provider that comes with perigee, or NULL. New reference. */
struct peri_value *peri_provider_preset(const char *name);
const char *const *peri_provider_presets(void); /* names, NULL-ended */
/* What the operator wrote over the preset of that name (given's `preset`, else name itself), defaults filled. Checks
 * what needs no place; PERI_EINVAL: *ret_key is the member that is wrong or missing (static text). */
enum peri_status peri_provider_complete(const char *name, const struct peri_value *given, struct peri_value **ret,
    const char **ret_key, struct peri_error *err) PERI_MUST_CHECK;

struct peri_accounts_options {
    struct peri_loop *loop;
    struct peri_http_client *http;
    struct peri_log *log;
    struct peri_clock clock;
    struct peri_secrets *secrets; /* client secrets; tokens are told to it, to be hidden where they come back */
    const char *state_dir;
    /* For tests: providers are connected with the token "test-token-of-<provider>", and nothing is stored. */
    bool pretend;
    const struct peri_value *pretended; /* {provider: {user?, scopes?, hosts?, prefix?, ...}}: only these; NULL: all */
    /* For a process beside the service: tokens are used as they stand in their files, and never renewed. */
    bool as_is;
    /* Does a loaded plugin use it? Such an account is renewed ahead of its end. May be NULL: none is. */
    bool (*used)(void *ctx, const char *provider);
    void *used_ctx;
    /* account.connected, .disconnected, .attention, .failing (renewals, for now); detail (borrow) holds what may be
     * told. May be NULL. */
    void (*changed)(void *ctx, const char *action, const char *provider, const struct peri_value *detail);
    void *changed_ctx;
};

enum peri_status peri_accounts_create(
    const struct peri_accounts_options *options, struct peri_accounts **ret, struct peri_error *err) PERI_MUST_CHECK;
/* Nobody who waits is told. Before the HTTP client goes. */
void peri_accounts_destroy(struct peri_accounts *accounts);
/* {provider: description}; in place of those before. What is connected stays so. */
enum peri_status peri_accounts_configure(
    struct peri_accounts *accounts, const struct peri_value *providers, struct peri_error *err) PERI_MUST_CHECK;

/* --- what may be told; any thread --- */

/* What plugins are loaded may have changed: accounts are renewed ahead while one uses them. */
void peri_accounts_look(struct peri_accounts *accounts);

/* {id, provider, kind, label?, state, user?, scopes?, expires_at?, connected_at?, renewed_at?, renews_at?, hosts?,
 * error?}. error: why it needs attention, or why renewals fail while it is still connected. state:
 * "connected", "not_connected", "needs_attention", "unconfigured" (there is an account, but the provider is not
 * described any more). PERI_ENOTFOUND "account_unknown". */
enum peri_status peri_account_facts(struct peri_accounts *accounts, const char *provider, struct peri_value **ret,
    struct peri_error *err) PERI_MUST_CHECK;
/* All, sorted by name. */
enum peri_status peri_accounts_list(
    struct peri_accounts *accounts, struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;
/* PERI_OK: connected; else PERI_ESTATE or PERI_ENOTFOUND with account_not_connected, account_needs_attention,
 * account_unknown and what to do. */
enum peri_status peri_account_ready(
    struct peri_accounts *accounts, const char *provider, struct peri_error *err) PERI_MUST_CHECK;
/* What stands before the token in a header. malloc'ed. */
char *peri_account_prefix(struct peri_accounts *accounts, const char *provider);

/* --- use --- */

/* May the token go there? PERI_EDENIED "account_host". secure: the connection is encrypted; without that only to this
 * machine. */
enum peri_status peri_account_may_go(struct peri_accounts *accounts, const char *provider, const char *host, int port,
    bool secure, struct peri_error *err) PERI_MUST_CHECK;
enum peri_account_age { PERI_ACCOUNT_GOOD, PERI_ACCOUNT_OLD /* better renewed first */, PERI_ACCOUNT_EXPIRED };
/* The token as it is now: malloc'ed, peri_secret_free. *ret_serial names it. */
enum peri_status peri_account_token(struct peri_accounts *accounts, const char *provider, char **ret, size_t *ret_len,
    uint64_t *ret_serial, enum peri_account_age *ret_age, struct peri_error *err) PERI_MUST_CHECK;

struct peri_account_wait;
typedef void (*peri_account_done)(void *arg, enum peri_status st, const struct peri_error *err);
/* Renews the token of that serial, unless there is a newer one; whoever asks meanwhile waits for the same. done is
 * called later, never before this returns. Errors: account_needs_attention (for good), account_renewal (retryable);
 * with the latter a token that is only old may still be used. */
enum peri_status peri_account_renew(struct peri_accounts *accounts, const char *provider, uint64_t serial,
    peri_account_done done, void *arg, struct peri_account_wait **ret, struct peri_error *err) PERI_MUST_CHECK;
/* done will not be called. */
void peri_account_wait_cancel(struct peri_account_wait *wait);

/* --- connecting --- */

/* A key, of a provider of that kind. */
enum peri_status peri_account_set_key(struct peri_accounts *accounts, const char *provider, const char *key, size_t len,
    struct peri_error *err) PERI_MUST_CHECK;
/* Begins an authorization, in place of one that is under way. base: our own address without a slash at the end. *ret
 * {url, redirect_uri, expires_at}: the address to open in a browser, on our own server. */
enum peri_status peri_account_connect(struct peri_accounts *accounts, const char *provider, const char *base,
    struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;
/* A browser has come to that address. cookie: what it brought, or NULL; *ret_cookie: what it shall bring from now on,
 * so that only it can finish what it began. *ret_location: the provider's page. Both malloc'ed. */
enum peri_status peri_account_visit(struct peri_accounts *accounts, const char *ticket, const char *cookie,
    char **ret_location, char **ret_cookie, struct peri_error *err) PERI_MUST_CHECK;

struct peri_account_callback {
    const char *state, *code, *error, *error_description, *iss; /* as they came, or NULL */
    const char *cookie;
};
/* provider is NULL when the callback belongs to none. The value of a state is used up by the first browser that brings
 * the right cookie with it. Errors: account_state (unknown, used, expired, another browser's), account_refused (by the
 * user or provider), account_exchange. done is called once, perhaps before this returns. */
typedef void (*peri_account_finished)(
    void *arg, const char *provider, enum peri_status st, const struct peri_error *err);
void peri_account_callback(struct peri_accounts *accounts, const struct peri_account_callback *callback,
    peri_account_finished done, void *arg);

/* Forgets the tokens, then revokes them where the provider can. done hears of the latter only: PERI_OK with *revoked.
 */
typedef void (*peri_account_gone)(void *arg, bool revoked, const struct peri_error *err);
enum peri_status peri_account_disconnect(struct peri_accounts *accounts, const char *provider, peri_account_gone done,
    void *arg, struct peri_error *err) PERI_MUST_CHECK;

#endif
