/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_ACCOUNTS_INTERNAL_H
#define PERI_IO_ACCOUNTS_INTERNAL_H

#include <pthread.h>
#include "io/accounts.h"
#include "io/accounts_oauth.h"

/* Between accounts.c (what is kept and told), accounts_connect.c (a user gives or takes back) and accounts_renew.c. */

/* What stands in an account's file. */
struct account_record {
    char *access, *refresh, *scope, *user; /* a key is an access token; NULL: not connected */
    int64_t life_ms, expires_ms;           /* 0: not said */
    int64_t connected_ms, renewed_ms;
    int64_t cut_ms; /* a renewal was begun then whose answer never came; 0: none */
    bool attention; /* the provider has said no for good */
    char *error_code, *error_text;
    int64_t error_ms;
};
void account_record_finish(struct account_record *record); /* zeroes */

/* An authorization under way: from `connect` to the callback. */
struct account_pending {
    char ticket[PERI_OAUTH_RANDOM + 1], state[PERI_OAUTH_RANDOM + 1], verifier[PERI_OAUTH_RANDOM + 1];
    char cookie[PERI_OAUTH_RANDOM + 1]; /* "": no browser has come yet */
    char *redirect_uri;                 /* NULL: none is under way */
    int64_t until_ms;
};
void account_pending_finish(struct account_pending *pending);

struct peri_account_wait {
    struct peri_account_wait *next;
    struct account *account;
    peri_account_done done;
    void *arg;
};

/* lock guards what peri_account_facts and its like read: provider, record and the two of connecting. The loop alone
 * writes. */
struct account {
    struct peri_accounts *accounts;
    char *name;
    struct peri_value *provider; /* NULL: not described (any more) */
    struct account_record record;
    uint64_t serial; /* changes with the token */
    bool unsaved;    /* record is newer than the file */
    struct account_pending pending;
    int64_t connecting_ms;           /* until when; 0: nobody is at it */
    struct peri_error connect_error; /* of the last try; status 0: none */
    struct peri_http_call *renewal;
    int64_t cut_before;      /* record.cut_ms before it */
    struct peri_timer *soon; /* waits that need no renewal are answered */
    struct peri_account_wait *waits;
    int64_t pause_until_ms; /* after a renewal that failed */
    struct peri_error pause_error;
    struct peri_timer *ahead; /* accounts_ahead.c */
    int64_t ahead_ms;         /* when it is renewed unasked; 0: it is not */
    int failures;             /* renewals that failed, in a row */
    int64_t failing_ms;       /* since when */
    struct peri_error failing;
};

struct account_errand; /* a request that a user waits for */

struct peri_accounts {
    struct peri_accounts_options options;
    struct peri_secrets *files;
    pthread_mutex_t lock;
    struct account **items; /* sorted by name */
    size_t count, cap;
    uint64_t serial;
    struct account_errand *errands;
};

/* accounts.c */
struct account *account_find(struct peri_accounts *accounts, const char *name); /* or NULL */
/* Writes the record to the file. */
enum peri_status account_save(
    struct account *account, const struct account_record *record, struct peri_error *err) PERI_MUST_CHECK;
/* What is in record counts from now on (take: it is emptied). */
void account_take(struct account *account, struct account_record *record);
/* Tokens of an answer become a record: what is not in the answer is taken over from before (NULL: nothing).
 * PERI_ENOMEM. */
enum peri_status account_record_make(struct account *account, const struct account_record *before,
    struct peri_oauth_tokens *tokens, struct account_record *ret, struct peri_error *err) PERI_MUST_CHECK;
int64_t account_now(const struct peri_accounts *accounts);
/* {provider, user?, scopes?, code?, message?} for changed(). */
void account_tell(struct account *account, const char *action, const struct peri_error *err);
enum peri_status account_unknown(const char *name, struct peri_error *err);
enum peri_status account_check(const struct account *account, struct peri_error *err) PERI_MUST_CHECK;

/* A POST to one of the provider's URLs. body and authorization may be NULL. */
enum peri_status account_post(struct account *account, const struct peri_value *provider, const char *url_key,
    const char *body, const char *authorization, peri_http_done done, void *arg, struct peri_http_call **ret,
    struct peri_error *err) PERI_MUST_CHECK;
/* A request to the token or revocation endpoint, as the client. */
enum peri_status account_request(struct account *account, const struct peri_value *provider, const char *url_key,
    struct peri_oauth_request *request, peri_http_done done, void *arg, struct peri_http_call **ret,
    struct peri_error *err) PERI_MUST_CHECK;

/* accounts_ahead.c. Plans the next renewal that nobody asks for, or drops it; anew: the token is another one. */
void account_ahead(struct account *account, bool anew);
void account_ahead_stop(struct account *account);
/* A renewal has failed for now, or has gone well. */
void account_ahead_failed(struct account *account, const struct peri_error *why);
void account_ahead_done(struct account *account);
/* accounts.c: so long before its end a token counts as old. */
int64_t account_early_ms(const struct account_record *record);
/* accounts_renew.c */
enum peri_status account_renewal_begin(struct account *account, struct peri_error *err) PERI_MUST_CHECK;
void account_put_off(struct account *account, const struct peri_error *why);
/* accounts_renew.c: a renewal that is under way is given up; who waits is told. */
void account_stop_renewal(struct account *account, enum peri_status st, const struct peri_error *err);
/* accounts_connect.c */
void account_errands_finish(struct peri_accounts *accounts);

#endif
