/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_HTTP_CLIENT_H
#define PERI_IO_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "base/log.h"
#include "base/metrics.h"
#include "io/loop.h"

/* Outgoing HTTP and SMTP: libcurl, on the loop for HTTP, on a few threads for mail (its SMTP blocks). Loop thread only,
 * callbacks too. Redirects are not followed unless
 * asked for; the address that DNS gave is checked on every connection, so no name, number form or redirect reaches a
 * private network that was not allowed. */
struct peri_http_client;
struct peri_http_call;

struct peri_http_send;
struct peri_http_response;

/* Stands in for the network. *ret is zero before; what it points to must live until the next call. A mail comes as
 * method "SMTP" and url "smtp://host:port", its body is the message, headers `from` and `to` its envelope. With
 * elapsed_ms the answer comes that much later, or the call's time is over before. */
typedef enum peri_status (*peri_http_stub)(
    void *ctx, const struct peri_http_send *request, struct peri_http_response *ret, struct peri_error *err);

struct peri_http_client_options {
    struct peri_loop *loop;
    struct peri_log *log;
    struct peri_metrics *metrics;
    size_t max_in_flight;  /* others wait in order; default 256 */
    size_t max_per_host;   /* default 8 */
    const char *ca_file;   /* NULL: the system's */
    peri_http_stub answer; /* NULL: the network */
    void *answer_ctx;
};

enum peri_status peri_http_client_create(const struct peri_http_client_options *options, struct peri_http_client **ret,
    struct peri_error *err) PERI_MUST_CHECK;
void peri_http_client_destroy(struct peri_http_client *client); /* open calls end with PERI_ESTATE */

struct peri_http_field {
    const char *name, *value;
};

/* May this call connect to this address? host is the name of the URL in lower case. is_private: loopback, private,
 * link-local, metadata, multicast, unspecified, IPv4-mapped forms of these. */
typedef bool (*peri_http_allow)(void *ctx, const char *host, const char *address, int port, bool is_private);

struct peri_http_send {
    const char *method, *url; /* http and https only */
    const struct peri_http_field *headers;
    size_t header_count;
    const void *body; /* copied */
    size_t body_len;
    const char *user, *password; /* Basic auth, or NULL; copied, zeroed after use */
    const char *user_agent;
    const char *cert, *key; /* client certificate and its key as PEM, or NULL; copied, zeroed after use */
    const char *ca;         /* PEM of who may have signed the server's; NULL: the client's */
    int64_t timeout_ms;     /* whole call; default 10 s */
    size_t max_response;    /* bytes of body; more is PERI_ELIMIT "http.too_large"; default 5 MiB */
    int max_redirects;      /* default 0 */
    peri_http_allow allow;  /* NULL: public addresses only */
    void *allow_ctx;        /* must live until done */
};

struct peri_http_response {
    int status;
    const struct peri_http_field *headers; /* names in lower case */
    size_t header_count;
    const char *body; /* NUL-terminated behind body_len */
    size_t body_len;
    bool connected; /* bytes of the request may have left: the outcome of a failure is unknown */
    int64_t elapsed_ms;
};

/* st is PERI_OK for any HTTP status. The response is valid during the call only (never NULL; empty on failure).
 * Error codes: http.dns, http.connect, http.tls, http.timeout, http.too_large, http.blocked, http.protocol, http.url;
 * from peri_http_client_send itself also http.library, http.method and http.header (names that are no tokens, control
 * characters, and Host, Content-Length and the like, which can not be set). */
typedef void (*peri_http_done)(
    void *arg, enum peri_status st, const struct peri_http_response *response, const struct peri_error *err);

/* Never calls done before it returns. A failure to start is returned and done is not called. */
enum peri_status peri_http_client_send(struct peri_http_client *client, const struct peri_http_send *request,
    peri_http_done done, void *arg, struct peri_http_call **ret_call, struct peri_error *err) PERI_MUST_CHECK;
/* done is not called afterwards. Not for a call whose done was called: it is gone. */
void peri_http_call_cancel(struct peri_http_call *call);

enum peri_smtp_security { PERI_SMTP_PLAIN, PERI_SMTP_STARTTLS, PERI_SMTP_TLS };

struct peri_smtp_send {
    const char *host;
    int port;
    enum peri_smtp_security security;
    const char *user, *password; /* NULL: no AUTH */
    const char *from;            /* envelope */
    const char *const *to;       /* envelope, NULL-ended: to, cc and bcc */
    const char *message;         /* whole RFC 5322 message with CRLF; copied */
    size_t message_len;
    const char *helo;    /* NULL: host name */
    const char *ca_file; /* NULL: the client's */
    int64_t timeout_ms;  /* default 30 s */
    peri_http_allow allow;
    void *allow_ctx;
};

/* One refused recipient fails the whole mail: nobody gets it, so a retry sends nothing twice. Bare line ends in the
 * message become CR LF. connected means that the server asked for the text of the mail. On success response->status is
 * the last SMTP code (250) and body its text. Error codes: smtp.connect, smtp.tls, smtp.auth, smtp.refused (5xx,
 * final), smtp.later (4xx, retryable), smtp.timeout, http.blocked; connected as above. */
enum peri_status peri_smtp_client_send(struct peri_http_client *client, const struct peri_smtp_send *mail,
    peri_http_done done, void *arg, struct peri_http_call **ret_call, struct peri_error *err) PERI_MUST_CHECK;

/* Can libcurl, which comes with the first call, be loaded? PERI_EIO "http.library". */
enum peri_status peri_http_client_check(struct peri_error *err) PERI_MUST_CHECK;

/* True for addresses that plugins may not reach unless allowed by name. text is an IPv4 or IPv6 address. */
bool peri_address_is_private(const char *text);

#endif
