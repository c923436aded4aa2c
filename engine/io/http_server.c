/* SPDX-License-Identifier: Apache-2.0 */
/* Creation, and what a handler may ask of its request. */
#include "io/http_server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "io/http_server_internal.h"

/* ---- creation ---- */

static enum peri_status load_tls(
    struct peri_http_server *server, const char *cert, const char *key, struct peri_error *err)
{
    if (!cert && !key)
        return PERI_OK;
    if (!cert || !key)
        return peri_error_set(err, PERI_EINVAL, "http.tls", "TLS needs both a certificate and a key");
    ERR_clear_error();
    server->tls = SSL_CTX_new(TLS_server_method());
    if (!server->tls)
        return peri_error_nomem(err);
    SSL_CTX_set_min_proto_version(server->tls, TLS1_2_VERSION);
    SSL_CTX_set_options(server->tls, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    const char *file = cert, *what = "certificate";
    bool good = SSL_CTX_use_certificate_chain_file(server->tls, cert) == 1;
    if (good) {
        file = key;
        what = "key";
        good = SSL_CTX_use_PrivateKey_file(server->tls, key, SSL_FILETYPE_PEM) == 1 &&
               SSL_CTX_check_private_key(server->tls) == 1;
    }
    if (good)
        return PERI_OK;
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return peri_error_set(err, PERI_EINVAL, "http.tls", "can not use the TLS %s \"%s\": %s", what, file,
        reason ? reason : "unknown error");
}

static void set_up_metrics(struct peri_http_server *server, struct peri_metrics *metrics)
{
    for (int class = 1; class <= 5; class ++) {
        char labels[32];
        snprintf(labels, sizeof(labels), "code=\"%dxx\"", class);
        server->m_requests[class] =
            peri_metrics_counter(metrics, "http_requests_total", labels, "Requests answered, by class of status.");
    }
    server->m_refused =
        peri_metrics_counter(metrics, "http_refused_total", NULL, "Requests refused before any handler saw them.");
    server->m_evicted =
        peri_metrics_counter(metrics, "http_evicted_total", NULL, "Idle connections closed to make room for new ones.");
    server->m_connections =
        peri_metrics_gauge(metrics, "http_connections", NULL, "Open connections to the HTTP server.");
}

enum peri_status peri_http_server_create(
    const struct peri_http_server_options *options, struct peri_http_server **ret, struct peri_error *err)
{
    struct peri_http_server *server = calloc(1, sizeof(*server));
    if (!server)
        return peri_error_nomem(err);
    signal(SIGPIPE, SIG_IGN); /* a peer that hangs up is an error of write, not the end of the service */
    server->loop = options->loop;
    server->log = options->log;
    server->handler = options->handler;
    server->ctx = options->ctx;
    server->reserved = options->reserved;
    server->max_connections = options->max_connections ? options->max_connections : PERI_HTTP_CONNECTIONS_MAX;
    server->max_body = options->max_body ? options->max_body : 1024 * 1024;
    server->max_headers = options->max_headers ? options->max_headers : 64 * 1024;
    server->timeout_ms = 1000 * (int64_t)(options->timeout_s > 0 ? options->timeout_s : 30);
    server->fd = -1;
    set_up_metrics(server, options->metrics);
    enum peri_status st = load_tls(server, options->tls_cert, options->tls_key, err);
    if (st == PERI_OK)
        st = http_server_listen(server, options->listen, err);
    if (st) {
        peri_http_server_destroy(server);
        return st;
    }
    *ret = server;
    return PERI_OK;
}

/* What is written already goes out as far as the socket takes it. */
static void close_all(struct peri_http_server *server)
{
    while (server->conns) {
        struct conn *conn = server->conns;
        if (conn->phase != CONN_DEAD) {
            conn->phase = CONN_CLOSING;
            http_wire_write(conn);
        }
        http_conn_free(conn);
    }
}

void peri_http_server_destroy(struct peri_http_server *server)
{
    if (!server)
        return;
    struct peri_http_request *orphans = NULL;
    while (server->requests) {
        struct peri_http_request *req = server->requests;
        bool connected = req->conn != NULL;
        http_request_orphan(req);
        if (connected) { /* has not heard on_close yet */
            req->next = orphans;
            orphans = req;
        }
    }
    close_all(server);
    http_server_lingers_finish(server);
    while (server->posted)
        peri_loop_once(server->loop, 0);
    peri_timer_cancel(server->reaper);
    peri_timer_cancel(server->sweeper);
    http_server_listen_end(server);
    SSL_CTX_free(server->tls);
    free(server);
    while (orphans) { /* their peers are gone: now their handlers may answer */
        struct peri_http_request *req = orphans;
        orphans = req->next;
        req->next = NULL;
        if (req->on_close)
            req->on_close(req->on_close_arg);
    }
}

int peri_http_server_port(const struct peri_http_server *server)
{
    return server->port;
}

/* ---- the request ---- */

const char *peri_http_method(const struct peri_http_request *req)
{
    return req->head.method;
}

const char *peri_http_path(const struct peri_http_request *req)
{
    return req->head.path;
}

const char *peri_http_target(const struct peri_http_request *req)
{
    return req->head.target;
}

const char *peri_http_query(const struct peri_http_request *req, const char *name)
{
    for (size_t i = 0; i < req->head.query_count; i++)
        if (strcmp(req->head.query[i].name, name) == 0)
            return req->head.query[i].value;
    return NULL;
}

const char *peri_http_header(const struct peri_http_request *req, const char *name)
{
    return peri_http_head_get(&req->head, name);
}

const char *peri_http_remote(const struct peri_http_request *req)
{
    return req->remote;
}

const char *peri_http_body(const struct peri_http_request *req, size_t *ret_len)
{
    *ret_len = req->body_len;
    return req->body ? req->body : "";
}

void peri_http_each_header(
    const struct peri_http_request *req, void (*fn)(void *arg, const char *name, const char *value), void *arg)
{
    for (size_t i = 0; i < req->head.header_count; i++)
        fn(arg, req->head.headers[i].name, req->head.headers[i].value);
}

void peri_http_on_close(struct peri_http_request *req, void (*fn)(void *arg), void *arg)
{
    req->on_close = fn;
    req->on_close_arg = arg;
}
