/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_ACCOUNTS_OAUTH_H
#define PERI_IO_ACCOUNTS_OAUTH_H

#include <stdint.h>
#include "base/buf.h"
#include "base/error.h"
#include "data/value.h"

/* OAuth 2.0 on the wire (RFC 6749, 7636, 7009): texts in, texts out, no I/O. provider: see accounts.h. */

#define PERI_OAUTH_RANDOM 43        /* characters of 256 random bits in base64url */
#define PERI_OAUTH_TOKEN_MAX 16384  /* bytes of one token */
#define PERI_OAUTH_ANSWER_MAX 65536 /* bytes of a token answer */

/* 256 random bits, base64url: states, verifiers, tickets. */
enum peri_status peri_oauth_random(char out[PERI_OAUTH_RANDOM + 1], struct peri_error *err) PERI_MUST_CHECK;
/* The S256 challenge of a verifier. */
void peri_oauth_challenge(const char *verifier, char out[PERI_OAUTH_RANDOM + 1]);
/* Appends text percent-encoded; plus: a blank becomes '+', as in forms. */
void peri_oauth_encode(struct peri_buf *out, const char *text, bool plus);
/* The Basic authorization of a client: both halves form-encoded first (RFC 6749, 2.3.1). malloc'ed, NULL: no memory. */
char *peri_oauth_basic(const char *client_id, const char *client_secret);
/* The provider's page for a user. malloc'ed, NULL: no memory. */
char *peri_oauth_authorize_url(
    const struct peri_value *provider, const char *redirect_uri, const char *state, const char *verifier);

/* A request to the token or revocation endpoint. */
struct peri_oauth_request {
    const char *client_secret;                  /* opened; NULL: none */
    const char *grant_type;                     /* NULL: a revocation */
    const char *code, *redirect_uri, *verifier; /* of authorization_code */
    const char *refresh_token;                  /* of refresh_token */
    const char *token, *token_type_hint;        /* of a revocation */
};
/* *ret_body in the provider's format, *ret_authorization for the header or NULL. Both malloc'ed; they hold secrets. */
enum peri_status peri_oauth_request(const struct peri_value *provider, const struct peri_oauth_request *request,
    char **ret_body, char **ret_authorization, struct peri_error *err) PERI_MUST_CHECK;

struct peri_oauth_tokens {
    char *access, *refresh, *scope, *user; /* malloc'ed or NULL; access never */
    int64_t life_ms;                       /* -1: not said */
};
void peri_oauth_tokens_finish(struct peri_oauth_tokens *tokens); /* zeroes */
/* Reads what the token endpoint answered. PERI_EDENIED: it said no, err->code is the OAuth code ("invalid_grant") and
 * the message what it said about it, made harmless; PERI_EIO: no answer that makes sense (retryable when the status
 * says so). */
enum peri_status peri_oauth_answer(const struct peri_value *provider, int status, const char *body, size_t len,
    struct peri_oauth_tokens *ret, struct peri_error *err) PERI_MUST_CHECK;
/* An error code as providers give them, or "other" when it is no such word. Never holds what does not belong in a log.
 */
void peri_oauth_word(const char *text, char *out, size_t size);

#endif
