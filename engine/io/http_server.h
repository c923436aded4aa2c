/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_HTTP_SERVER_H
#define PERI_IO_HTTP_SERVER_H

#include "base/error.h"
#include "base/log.h"
#include "base/metrics.h"
#include "io/loop.h"

/* HTTP/1.1 server. What two readers could understand differently is refused before any handler sees it. Loop
 * thread only. */
struct peri_http_server;
struct peri_http_request; /* valid until it is answered */

struct peri_http_server_options {
    struct peri_loop *loop;
    struct peri_log *log;
    struct peri_metrics *metrics;
    const char *listen;             /* "127.0.0.1:8420", "[::1]:0", "unix:/run/perigee/http" ; port 0: any free one */
    const char *tls_cert, *tls_key; /* both or neither */
    size_t max_body;                /* bytes; larger bodies get 413 */
    size_t max_headers;             /* bytes; larger header blocks get 431 or 400 */
    int timeout_s;
    void (*handler)(void *ctx, struct peri_http_request *req); /* must answer, now or later, exactly once */
    /* Connections: default 1024. When all are open, the one that has been idle for the longest time makes room for a
     * new one. When none is idle, a few more are accepted that serve only paths for which reserved (may be NULL)
     * answers true: health and administration. */
    size_t max_connections;
    bool (*reserved)(const char *path);
    void *ctx;
};

enum peri_status peri_http_server_create(const struct peri_http_server_options *options, struct peri_http_server **ret,
    struct peri_error *err) PERI_MUST_CHECK;
void peri_http_server_destroy(struct peri_http_server *server);   /* open requests get 503 */
int peri_http_server_port(const struct peri_http_server *server); /* the real one; 0 for a UNIX socket */

const char *peri_http_method(const struct peri_http_request *req); /* "GET" */
const char *peri_http_path(const struct peri_http_request *req);   /* percent-decoded, NUL-free, without query */
const char *peri_http_target(const struct peri_http_request *req); /* as received: "/a%20b?x=1" */
const char *peri_http_query(
    const struct peri_http_request *req, const char *name); /* decoded, first of that name, or NULL */
const char *peri_http_header(const struct peri_http_request *req, const char *name); /* any case; NULL when absent */
const char *peri_http_remote(const struct peri_http_request *req);                   /* address text */
const char *peri_http_body(const struct peri_http_request *req, size_t *ret_len);    /* never NULL */
/* Calls fn for every header in order. */
void peri_http_each_header(
    const struct peri_http_request *req, void (*fn)(void *arg, const char *name, const char *value), void *arg);

/* Called when the peer goes away before the answer; the request must still be answered (the answer is dropped). */
void peri_http_on_close(struct peri_http_request *req, void (*fn)(void *arg), void *arg);

/* Adds an answer header; control characters in value are refused. */
enum peri_status peri_http_set_header(struct peri_http_request *req, const char *name, const char *value);
/* Sends the answer and ends the request. content_type may be NULL for an empty body. */
void peri_http_answer(
    struct peri_http_request *req, int status, const char *content_type, const void *body, size_t len);
/* RFC 9457 problem document. detail may be NULL; extra (may be NULL) is a map merged in. 401 gets WWW-Authenticate,
 * 429 and 503 get Retry-After: 1 unless it was set. */
struct peri_value;
void peri_http_problem(struct peri_http_request *req, int status, const char *detail, const struct peri_value *extra);

/* A streamed answer (server-sent events). */
void peri_http_stream_begin(struct peri_http_request *req, int status, const char *content_type);
void peri_http_stream_send(struct peri_http_request *req, const void *data, size_t len);
void peri_http_stream_end(struct peri_http_request *req);

#endif
