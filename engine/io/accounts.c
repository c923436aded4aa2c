/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept about accounts, and what may be told of it. A file is replaced as a whole (io/secrets.c), so that a
 * crash leaves the old tokens or the new ones. */
#include "io/accounts_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "data/json.h"

#define EARLY_MS 60000 /* a token is renewed so long before its end, or a tenth of its life */
#define REQUEST_MS 20000

int64_t account_now(const struct peri_accounts *accounts)
{
    return peri_clock_wall_ms(&accounts->options.clock);
}

static void wipe(char *text)
{
    if (text)
        peri_secret_free(text, strlen(text));
}

void account_record_finish(struct account_record *r)
{
    wipe(r->access);
    wipe(r->refresh);
    free(r->scope);
    free(r->user);
    free(r->error_code);
    free(r->error_text);
    memset(r, 0, sizeof(*r));
}

void account_pending_finish(struct account_pending *p)
{
    free(p->redirect_uri);
    explicit_bzero(p, sizeof(*p));
}

/* --- files --- */

static char *copy_text(const struct peri_value *v, const char *key)
{
    return peri_strdup(peri_map_text(v, key));
}

static void read_record(const struct peri_value *v, struct account_record *r)
{
    *r = (struct account_record){.access = copy_text(v, "access_token"),
        .refresh = copy_text(v, "refresh_token"),
        .scope = copy_text(v, "scope"),
        .user = copy_text(v, "user"),
        .life_ms = peri_map_int(v, "life_ms", 0),
        .expires_ms = peri_map_int(v, "expires_ms", 0),
        .connected_ms = peri_map_int(v, "connected_ms", 0),
        .renewed_ms = peri_map_int(v, "renewed_ms", 0),
        .cut_ms = peri_map_int(v, "cut_ms", 0),
        .attention = peri_map_bool(v, "attention", false),
        .error_code = copy_text(v, "error_code"),
        .error_text = copy_text(v, "error_text"),
        .error_ms = peri_map_int(v, "error_ms", 0)};
}

static struct peri_value *record_value(const struct account_record *r)
{
    const struct {
        const char *key;
        int64_t n;
    } numbers[] = {{"life_ms", r->life_ms}, {"expires_ms", r->expires_ms}, {"connected_ms", r->connected_ms},
        {"renewed_ms", r->renewed_ms}, {"cut_ms", r->cut_ms}, {"error_ms", r->error_ms}};
    struct peri_value *v = peri_value_map();
    enum peri_status st = v ? peri_map_put_int(v, "version", 1) : PERI_ENOMEM;
    const char *texts[][2] = {{"access_token", r->access}, {"refresh_token", r->refresh}, {"scope", r->scope},
        {"user", r->user}, {"error_code", r->error_code}, {"error_text", r->error_text}};
    for (size_t i = 0; !st && i < sizeof(texts) / sizeof(texts[0]); i++)
        st = peri_map_put_text(v, texts[i][0], texts[i][1]);
    for (size_t i = 0; !st && i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (numbers[i].n)
            st = peri_map_put_int(v, numbers[i].key, numbers[i].n);
    if (!st && r->attention)
        st = peri_map_put_bool(v, "attention", true);
    if (!st)
        return v;
    peri_value_unref(v);
    return NULL;
}

enum peri_status account_save(struct account *a, const struct account_record *record, struct peri_error *err)
{
    struct peri_value *v = record_value(record);
    char *text = v ? peri_json_text(v, PERI_JSON_COMPACT) : NULL;
    enum peri_status st =
        text ? peri_secrets_set(a->accounts->files, a->name, text, strlen(text), err) : peri_error_nomem(err);
    wipe(text);
    peri_value_unref(v);
    return st;
}

static void remember(struct account *a)
{
    char name[PERI_ACCOUNT_NAME_MAX + 16];
    snprintf(name, sizeof(name), "account.%s", a->name);
    if (a->record.access)
        peri_secrets_passing(a->accounts->options.secrets, name, a->record.access);
    if (a->record.refresh)
        peri_secrets_passing(a->accounts->options.secrets, name, a->record.refresh);
}

static enum peri_status load(struct account *a, struct peri_error *err)
{
    struct peri_value *v = NULL;
    char *text = NULL;
    size_t len = 0;
    enum peri_status st = peri_secrets_get(a->accounts->files, a->name, &text, &len, err);
    if (st == PERI_ENOTFOUND)
        return PERI_OK;
    if (!st && peri_json_parse(text, len, &v, NULL))
        st = peri_error_set(err, PERI_ECORRUPT, NULL,
            "the file of account %s is damaged: remove %s/accounts/%s and connect it again", a->name,
            a->accounts->options.state_dir, a->name);
    if (!st)
        read_record(v, &a->record);
    peri_secret_free(text, len);
    peri_value_unref(v);
    remember(a);
    return st;
}

/* --- the set --- */

static size_t place_of(const struct peri_accounts *accounts, const char *name)
{
    size_t i = 0;
    while (i < accounts->count && strcmp(accounts->items[i]->name, name) < 0)
        i++;
    return i;
}

struct account *account_find(struct peri_accounts *accounts, const char *name)
{
    size_t i = place_of(accounts, name);
    return i < accounts->count && !strcmp(accounts->items[i]->name, name) ? accounts->items[i] : NULL;
}

static void account_free(struct account *a)
{
    if (!a)
        return;
    account_record_finish(&a->record);
    account_pending_finish(&a->pending);
    peri_value_unref(a->provider);
    free(a->name);
    free(a);
}

/* The account of that name, made when there is none yet; NULL: no memory. */
static struct account *get(struct peri_accounts *accounts, const char *name)
{
    struct account *a = account_find(accounts, name);
    if (a)
        return a;
    a = calloc(1, sizeof(*a));
    if (!a || !(a->name = peri_strdup(name))) {
        account_free(a);
        return NULL;
    }
    a->accounts = accounts;
    a->serial = ++accounts->serial;
    size_t i = place_of(accounts, name);
    pthread_mutex_lock(&accounts->lock);
    bool grown = peri_vec_grow(&accounts->items, &accounts->cap, accounts->count + 1, sizeof(*accounts->items));
    if (grown) {
        memmove(&accounts->items[i + 1], &accounts->items[i], (accounts->count - i) * sizeof(*accounts->items));
        accounts->items[i] = a;
        accounts->count++;
    }
    pthread_mutex_unlock(&accounts->lock);
    if (grown)
        return a;
    account_free(a);
    return NULL;
}

static enum peri_status load_all(struct peri_accounts *accounts, struct peri_error *err)
{
    char **names = NULL;
    enum peri_status st = peri_secrets_names(accounts->files, &names, err);
    for (size_t i = 0; !st && names[i]; i++) {
        struct peri_error why = {0};
        if (!peri_account_name_ok(names[i]))
            continue;
        struct account *a = get(accounts, names[i]);
        if (!a)
            st = peri_error_nomem(err);
        else if (load(a, &why)) /* one that cannot be read takes nothing from the others */
            peri_err(accounts->options.log, "accounts", "%s", why.message);
    }
    peri_secrets_free_names(names);
    return st;
}

enum peri_status peri_accounts_create(
    const struct peri_accounts_options *options, struct peri_accounts **ret, struct peri_error *err)
{
    struct peri_accounts *accounts = calloc(1, sizeof(*accounts));
    char *folder = peri_asprintf("%s/accounts", options->state_dir ? options->state_dir : "/nonexistent");
    if (!accounts || !folder) {
        free(accounts);
        free(folder);
        return peri_error_nomem(err);
    }
    accounts->options = *options;
    accounts->options.pretended = peri_value_ref(options->pretended);
    pthread_mutex_init(&accounts->lock, NULL);
    enum peri_status st = peri_secrets_open_folder(folder, &accounts->files, err);
    if (!st && !options->pretend)
        st = load_all(accounts, err);
    free(folder);
    if (st)
        peri_accounts_destroy(accounts);
    else
        *ret = accounts;
    return st;
}

void peri_accounts_destroy(struct peri_accounts *accounts)
{
    if (!accounts)
        return;
    account_errands_finish(accounts);
    for (size_t i = 0; i < accounts->count; i++) {
        struct account *a = accounts->items[i];
        if (a->renewal)
            peri_http_call_cancel(a->renewal);
        peri_timer_cancel(a->soon);
        peri_timer_cancel(a->ahead);
        while (a->waits)
            peri_account_wait_cancel(a->waits);
        account_free(a);
    }
    free(accounts->items);
    pthread_mutex_destroy(&accounts->lock);
    peri_value_unref((struct peri_value *)(uintptr_t)accounts->options.pretended);
    peri_secrets_destroy(accounts->files);
    free(accounts);
}

enum peri_status peri_accounts_configure(
    struct peri_accounts *accounts, const struct peri_value *providers, struct peri_error *err)
{
    for (void *it = peri_map_first(providers); it; it = peri_map_next(providers, it))
        if (!get(accounts, peri_map_key(it, NULL)))
            return peri_error_nomem(err);
    pthread_mutex_lock(&accounts->lock);
    for (size_t i = 0; i < accounts->count; i++) {
        struct account *a = accounts->items[i];
        peri_value_unref(a->provider);
        a->provider = peri_value_ref(peri_map_at(providers, a->name));
        a->pause_until_ms = 0; /* what was wrong may be mended */
    }
    pthread_mutex_unlock(&accounts->lock);
    peri_accounts_look(accounts);
    return PERI_OK;
}

void account_take(struct account *a, struct account_record *record)
{
    pthread_mutex_lock(&a->accounts->lock);
    struct account_record old = a->record;
    a->record = *record;
    pthread_mutex_unlock(&a->accounts->lock);
    if (!peri_streq(old.access, a->record.access))
        a->serial = ++a->accounts->serial;
    memset(record, 0, sizeof(*record));
    account_record_finish(&old);
    remember(a);
    account_ahead_done(a);
}

enum peri_status account_record_make(struct account *a, const struct account_record *before,
    struct peri_oauth_tokens *tokens, struct account_record *ret, struct peri_error *err)
{
    int64_t now = account_now(a->accounts);
    struct account_record r = {.access = tokens->access,
        .refresh = tokens->refresh ? tokens->refresh
                   : before        ? peri_strdup(before->refresh)
                                   : NULL,
        .scope = tokens->scope ? tokens->scope
                 : before      ? peri_strdup(before->scope)
                               : NULL,
        .user = tokens->user ? tokens->user
                : before     ? peri_strdup(before->user)
                             : NULL,
        .life_ms = tokens->life_ms > 0 ? tokens->life_ms : 0,
        .expires_ms = tokens->life_ms > 0 ? now + tokens->life_ms : 0,
        .connected_ms = before ? before->connected_ms : now,
        .renewed_ms = before ? now : 0};
    memset(tokens, 0, sizeof(*tokens));
    if (before && before->refresh && !r.refresh) {
        account_record_finish(&r);
        return peri_error_nomem(err);
    }
    *ret = r;
    return PERI_OK;
}

/* --- what is told --- */

enum peri_status account_unknown(const char *name, struct peri_error *err)
{
    return peri_error_set(err, PERI_ENOTFOUND, "account_unknown",
        "there is no account \"%.100s\": describe it in perigee.yaml under \"accounts\"", name);
}

static enum peri_status not_connected(const char *name, struct peri_error *err)
{
    return peri_error_set(err, PERI_ESTATE, "account_not_connected",
        "account %s is not connected: run `perigee accounts connect %s'", name, name);
}

/* Nothing renews what has expired. */
static bool is_over(const struct account *a)
{
    const struct account_record *r = &a->record;
    return r->access && r->expires_ms && !r->refresh && account_now(a->accounts) >= r->expires_ms;
}

enum peri_status account_check(const struct account *a, struct peri_error *err)
{
    if (a->accounts->options.pretend)
        return PERI_OK;
    if (!a->provider)
        return account_unknown(a->name, err);
    if (!a->record.access)
        return not_connected(a->name, err);
    if (a->record.attention || is_over(a))
        return peri_error_set(err, PERI_ESTATE, "account_needs_attention",
            "account %s has to be connected again (%s): run `perigee accounts connect %s'", a->name,
            a->record.error_text ? a->record.error_text : "its token has expired and cannot be renewed", a->name);
    return PERI_OK;
}

/* --- for tests --- */

static enum peri_status check_pretended(
    const struct peri_accounts *accounts, const char *provider, struct peri_error *err)
{
    const struct peri_value *all = accounts->options.pretended;
    return !all || peri_map_at(all, provider) ? PERI_OK : not_connected(provider, err);
}

static struct peri_value *pretended(const struct peri_accounts *accounts, const char *name)
{
    const struct peri_value *more = peri_map_at(accounts->options.pretended, name);
    struct peri_value *v = peri_value_map();
    const char *texts[][2] = {
        {"id", name}, {"provider", name}, {"kind", "oauth2"}, {"state", "connected"}, {"user", more ? NULL : "test"}};
    enum peri_status st = v ? PERI_OK : PERI_ENOMEM;
    for (size_t i = 0; !st && i < sizeof(texts) / sizeof(texts[0]); i++)
        st = peri_map_put_text(v, texts[i][0], texts[i][1]);
    for (void *it = peri_map_first(more); !st && it; it = peri_map_next(more, it))
        st = peri_map_put_ref(v, peri_map_key(it, NULL), peri_map_item(it));
    if (!st)
        return v;
    peri_value_unref(v);
    return NULL;
}

enum peri_status peri_account_ready(struct peri_accounts *accounts, const char *provider, struct peri_error *err)
{
    if (accounts->options.pretend)
        return check_pretended(accounts, provider, err);
    pthread_mutex_lock(&accounts->lock);
    const struct account *a = account_find(accounts, provider);
    enum peri_status st = a ? account_check(a, err) : account_unknown(provider, err);
    pthread_mutex_unlock(&accounts->lock);
    return st;
}

/* Scopes as the provider gave them, else as they were asked for. */
static struct peri_value *scopes_of(const struct account *a)
{
    const char *text = a->record.scope;
    if (!text)
        return a->record.access ? peri_value_ref(peri_map_at(a->provider, "scopes")) : NULL;
    struct peri_value *list = peri_value_list();
    while (list && *text) {
        size_t n = strcspn(text, " ,");
        if (n && peri_list_push(list, peri_value_strn(text, n))) {
            peri_value_unref(list);
            return NULL;
        }
        text += n + (text[n] != '\0');
    }
    return list;
}

static const char *state_of(const struct account *a)
{
    if (!a->provider)
        return "unconfigured";
    if (!a->record.access)
        return "not_connected";
    return a->record.attention || is_over(a) ? "needs_attention" : "connected";
}

static enum peri_status put_error(struct peri_value *v, const char *key, const char *code, const char *text, int64_t ms)
{
    struct peri_value *error = peri_value_map();
    enum peri_status st = error ? peri_map_put_text(error, "code", code) : PERI_ENOMEM;
    if (!st)
        st = peri_map_put_text(error, "message", text);
    if (!st && ms)
        st = peri_map_put_time(error, "time", ms);
    if (!st)
        return peri_map_put(v, key, error);
    peri_value_unref(error);
    return st;
}

static struct peri_value *facts_of(const struct account *a)
{
    const struct account_record *r = &a->record;
    const struct {
        const char *key;
        int64_t ms;
    } times[] = {{"expires_at", r->expires_ms}, {"connected_at", r->connected_ms}, {"renewed_at", r->renewed_ms},
        {"renews_at", a->ahead_ms}};
    const char *kind = peri_map_text(a->provider, "kind"),
               *texts[][2] = {{"id", a->name}, {"provider", a->name}, {"kind", kind ? kind : "oauth2"},
                   {"label", peri_map_text(a->provider, "label")}, {"state", state_of(a)}, {"user", r->user}};
    struct peri_value *v = peri_value_map(), *scopes = peri_streq(kind, "key") ? NULL : scopes_of(a),
                      *hosts = peri_map_at(a->provider, "hosts");
    enum peri_status st = v ? PERI_OK : PERI_ENOMEM;
    for (size_t i = 0; !st && i < sizeof(texts) / sizeof(texts[0]); i++)
        st = peri_map_put_text(v, texts[i][0], texts[i][1]);
    if (!st && scopes)
        st = peri_map_put_ref(v, "scopes", scopes);
    for (size_t i = 0; !st && i < sizeof(times) / sizeof(times[0]); i++)
        if (times[i].ms)
            st = peri_map_put_time(v, times[i].key, times[i].ms);
    if (!st && r->access && r->expires_ms)
        st = peri_map_put_bool(v, "renewable", r->refresh != NULL);
    if (!st && hosts)
        st = peri_map_put_ref(v, "hosts", hosts);
    if (!st && a->connecting_ms > account_now(a->accounts))
        st = peri_map_put_time(v, "connecting_until", a->connecting_ms);
    if (!st && a->connect_error.status)
        st = put_error(v, "connect_error", a->connect_error.code, a->connect_error.message, 0);
    if (!st && r->error_code)
        st = put_error(v, "error", r->error_code, r->error_text, r->error_ms);
    else if (!st && a->failures)
        st = put_error(v, "error", a->failing.code, a->failing.message, a->failing_ms);
    peri_value_unref(scopes);
    if (!st)
        return v;
    peri_value_unref(v);
    return NULL;
}

enum peri_status peri_account_facts(
    struct peri_accounts *accounts, const char *provider, struct peri_value **ret, struct peri_error *err)
{
    if (accounts->options.pretend)
        return (*ret = pretended(accounts, provider)) ? PERI_OK : peri_error_nomem(err);
    pthread_mutex_lock(&accounts->lock);
    const struct account *a = account_find(accounts, provider);
    bool known = a && (a->provider || a->record.access);
    struct peri_value *v = known ? facts_of(a) : NULL;
    pthread_mutex_unlock(&accounts->lock);
    if (!known)
        return account_unknown(provider, err);
    *ret = v;
    return v ? PERI_OK : peri_error_nomem(err);
}

enum peri_status peri_accounts_list(struct peri_accounts *accounts, struct peri_value **ret, struct peri_error *err)
{
    struct peri_value *list = peri_value_list();
    enum peri_status st = list ? PERI_OK : PERI_ENOMEM;
    pthread_mutex_lock(&accounts->lock);
    for (size_t i = 0; !st && i < accounts->count; i++)
        if (accounts->items[i]->provider || accounts->items[i]->record.access)
            st = peri_list_push(list, facts_of(accounts->items[i]));
    pthread_mutex_unlock(&accounts->lock);
    if (st) {
        peri_value_unref(list);
        return peri_error_nomem(err);
    }
    *ret = list;
    return PERI_OK;
}

char *peri_account_prefix(struct peri_accounts *accounts, const char *provider)
{
    pthread_mutex_lock(&accounts->lock);
    const struct account *a = account_find(accounts, provider);
    const char *own = peri_map_text(peri_map_at(accounts->options.pretended, provider), "prefix"),
               *text = own ? own
                       : a ? peri_map_text(a->provider, "prefix")
                           : NULL;
    char *copy = peri_strdup(text ? text : "Bearer ");
    pthread_mutex_unlock(&accounts->lock);
    return copy;
}

void account_tell(struct account *a, const char *action, const struct peri_error *err)
{
    const struct peri_accounts_options *o = &a->accounts->options;
    struct peri_value *v = peri_value_map(), *scopes = scopes_of(a);
    enum peri_status st = v ? peri_map_put_text(v, "provider", a->name) : PERI_ENOMEM;
    if (!st)
        st = peri_map_put_text(v, "user", a->record.user);
    if (!st && scopes)
        st = peri_map_put_ref(v, "scopes", scopes);
    if (!st && err)
        st = peri_map_put_text(v, "code", err->code);
    if (!st && err)
        st = peri_map_put_text(v, "message", err->message);
    if (!st && err && a->record.expires_ms)
        st = peri_map_put_time(v, "expires_at", a->record.expires_ms);
    if (!st && o->changed)
        o->changed(o->changed_ctx, action, a->name, v);
    peri_value_unref(scopes);
    peri_value_unref(v);
}

/* --- use --- */

static bool is_here(const char *host)
{
    return !strcmp(host, "localhost") || !strcmp(host, "::1") ||
           (peri_str_starts(host, "127.") && host[strspn(host, "0123456789.")] == '\0');
}

/* entry: "host", "*.host", each with ":port"; "[v6]:port". Without a port it means 443. */
static bool entry_fits(const char *entry, const char *host, int port)
{
    char name[256];
    const char *end = *entry == '[' ? strchr(entry, ']') : NULL, *colon = strchr(end ? end : entry, ':');
    size_t n = end ? (size_t)(end - entry - 1) : colon ? (size_t)(colon - entry) : strlen(entry);
    long long wanted = 443;
    if (n >= sizeof(name) || (colon && !peri_parse_i64(colon + 1, &wanted)) || wanted != port)
        return false;
    snprintf(name, sizeof(name), "%.*s", (int)n, end ? entry + 1 : entry);
    if (!peri_str_starts(name, "*."))
        return strcasecmp(name, host) == 0;
    const char *dot = strchr(host, '.');
    return dot && dot != host && strcasecmp(dot, name + 1) == 0;
}

enum peri_status peri_account_may_go(struct peri_accounts *accounts, const char *provider, const char *host, int port,
    bool secure, struct peri_error *err)
{
    const struct account *a = account_find(accounts, provider);
    const struct peri_value *hosts = a ? peri_map_at(a->provider, "hosts") : NULL;
    if (accounts->options.pretend &&
        !(hosts = peri_map_at(peri_map_at(accounts->options.pretended, provider), "hosts")))
        return PERI_OK;
    for (size_t i = 0; i < peri_value_count(hosts); i++) {
        if (!entry_fits(peri_value_text(peri_list_at(hosts, i)), host, port))
            continue;
        if (secure || is_here(host))
            return PERI_OK;
        return peri_error_set(err, PERI_EDENIED, "account_host",
            "the token of account %s is not sent to %s without encryption: use https", provider, host);
    }
    return peri_error_set(err, PERI_EDENIED, "account_host",
        "the token of account %s is not sent to %.200s:%d: \"hosts\" of the provider does not list it", provider, host,
        port);
}

int64_t account_early_ms(const struct account_record *r)
{
    int64_t early = r->life_ms / 10 > EARLY_MS ? r->life_ms / 10 : EARLY_MS;
    return early > r->life_ms / 2 ? r->life_ms / 2 : early; /* a token of a minute is used too */
}

static enum peri_account_age age_of(const struct account *a)
{
    const struct account_record *r = &a->record;
    int64_t early = account_early_ms(r), now = account_now(a->accounts);
    if (a->unsaved || (r->expires_ms && now >= r->expires_ms))
        return PERI_ACCOUNT_EXPIRED;
    return r->expires_ms && r->refresh && now >= r->expires_ms - early ? PERI_ACCOUNT_OLD : PERI_ACCOUNT_GOOD;
}

enum peri_status peri_account_token(struct peri_accounts *accounts, const char *provider, char **ret, size_t *ret_len,
    uint64_t *ret_serial, enum peri_account_age *ret_age, struct peri_error *err)
{
    struct account *a = account_find(accounts, provider);
    bool pretend = accounts->options.pretend;
    enum peri_status st = pretend ? check_pretended(accounts, provider, err)
                          : a     ? account_check(a, err)
                                  : account_unknown(provider, err);
    if (st)
        return st;
    char *text = pretend ? peri_asprintf("test-token-of-%s", provider) : peri_strdup(a->record.access);
    if (!text)
        return peri_error_nomem(err);
    *ret = text;
    *ret_len = strlen(text);
    *ret_serial = a ? a->serial : 0;
    *ret_age = a && !pretend ? age_of(a) : PERI_ACCOUNT_GOOD;
    return PERI_OK;
}

/* --- requests to the provider --- */

static bool any_address(void *ctx, const char *host, const char *address, int port, bool is_private)
{
    return true;
}

/* The operator's own addresses may be in the house; those that came with perigee may not turn out to be. */
static bool is_own(const struct peri_value *provider, const char *url_key)
{
    const struct peri_value *own = peri_map_at(provider, "own");
    for (size_t i = 0; i < peri_value_count(own); i++)
        if (peri_streq(peri_value_text(peri_list_at(own, i)), url_key))
            return true;
    return false;
}

enum peri_status account_post(struct account *a, const struct peri_value *provider, const char *url_key,
    const char *body, const char *authorization, peri_http_done done, void *arg, struct peri_http_call **ret,
    struct peri_error *err)
{
    bool json = peri_streq(peri_map_text(provider, "token_format"), "json");
    struct peri_http_field fields[3] = {{"Accept", "application/json"},
        {"Content-Type", json ? "application/json" : "application/x-www-form-urlencoded"},
        {"Authorization", authorization}};
    struct peri_http_send send = {.method = "POST",
        .url = peri_map_text(provider, url_key),
        .headers = fields,
        .header_count = authorization ? 3 : 2,
        .body = body,
        .body_len = body ? strlen(body) : 0,
        .timeout_ms = REQUEST_MS,
        .max_response = PERI_OAUTH_ANSWER_MAX,
        .allow = is_own(provider, url_key) ? any_address : NULL};
    if (!a->accounts->options.http)
        return peri_error_set(err, PERI_EIO, "http.unavailable", "network calls are not available here");
    return peri_http_client_send(a->accounts->options.http, &send, done, arg, ret, err);
}

static enum peri_status open_secret(
    const struct account *a, const struct peri_value *v, char **ret, size_t *ret_len, struct peri_error *err)
{
    struct peri_secrets *secrets = a->accounts->options.secrets;
    const char *text = peri_value_text(v), *name = peri_map_text(v, "$secret");
    *ret = NULL;
    *ret_len = 0;
    if (name)
        return peri_secrets_get(secrets, name, ret, ret_len, err);
    if (!text)
        return PERI_OK;
    peri_secrets_also(secrets, "client_secret", text);
    *ret_len = strlen(text);
    return (*ret = peri_strdup(text)) ? PERI_OK : peri_error_nomem(err);
}

enum peri_status account_request(struct account *a, const struct peri_value *provider, const char *url_key,
    struct peri_oauth_request *request, peri_http_done done, void *arg, struct peri_http_call **ret,
    struct peri_error *err)
{
    char *secret = NULL, *body = NULL, *authorization = NULL, name[PERI_ACCOUNT_NAME_MAX + 16];
    size_t len = 0;
    snprintf(name, sizeof(name), "account.%s", a->name);
    enum peri_status st = open_secret(a, peri_map_at(provider, "client_secret"), &secret, &len, err);
    request->client_secret = secret ? secret : "";
    if (!st)
        st = peri_oauth_request(provider, request, &body, &authorization, err);
    if (!st && authorization)
        peri_secrets_passing(a->accounts->options.secrets, name, authorization + strlen("Basic "));
    if (!st)
        st = account_post(a, provider, url_key, body, authorization, done, arg, ret, err);
    request->client_secret = NULL;
    if (secret)
        peri_secret_free(secret, len);
    wipe(body);
    wipe(authorization);
    return st;
}
