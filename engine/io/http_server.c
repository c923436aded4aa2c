/* SPDX-License-Identifier: Apache-2.0 */
/* Creation, listening, dispatch, and what a handler may ask of its request. */
#include "io/http_server.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/str.h"
#include "io/http_server_internal.h"

#define ACCEPT_PAUSE_MS 100

/* ---- dispatch ---- */

static void on_complete(struct evhttp_request *evreq, void *arg)
{
    struct peri_http_server *server = arg;
    struct evhttp_connection *evcon = evhttp_request_get_connection(evreq);
    struct conn *conn =
        evcon ? http_server_conn(server, bufferevent_getfd(evhttp_connection_get_bufferevent(evcon))) : NULL;
    if (conn)
        http_server_conn_next(conn);
}

static struct peri_http_request *new_request(
    struct peri_http_server *server, struct conn *conn, struct evhttp_request *evreq)
{
    struct peri_http_request *req = calloc(1, sizeof(*req));
    char *peer = NULL;
    ev_uint16_t port;
    evhttp_connection_get_peer(conn->evcon, &peer, &port);
    if (!req || !(req->remote = peri_strdup(server->unix_path ? "unix" : peer ? peer : "unknown"))) {
        free(req);
        return NULL;
    }
    req->server = server;
    req->conn = conn;
    req->evreq = evreq;
    req->head = conn->head;
    memset(&conn->head, 0, sizeof(conn->head));
    struct evbuffer *in = evhttp_request_get_input_buffer(evreq);
    req->body_len = evbuffer_get_length(in);
    req->body = req->body_len ? (const char *)evbuffer_pullup(in, -1) : "";
    if (!req->body) { /* out of memory */
        http_request_free(req);
        return NULL;
    }
    conn->req = req;
    req->next = server->requests;
    if (req->next)
        req->next->prev = req;
    server->requests = req;
    return req;
}

static void on_request(struct evhttp_request *evreq, void *arg)
{
    struct peri_http_server *server = arg;
    struct evhttp_connection *evcon = evhttp_request_get_connection(evreq);
    struct conn *conn = http_server_conn(server, bufferevent_getfd(evhttp_connection_get_bufferevent(evcon)));
    static const struct peri_http_refusal nomem = {503, "out of memory"};
    if (!conn || conn->refusal.status) {
        http_server_refuse(server, evreq, conn ? &conn->refusal : &nomem);
        return;
    }
    struct peri_http_request *req = new_request(server, conn, evreq);
    if (!req) {
        http_server_refuse(server, evreq, &nomem);
        return;
    }
    evhttp_request_set_on_complete_cb(evreq, on_complete, server);
    http_server_conn_serving(conn);
    server->handler(server->ctx, req);
}

/* ---- listening ---- */

static enum peri_status unix_address(struct peri_http_server *server, const char *path, struct sockaddr_storage *ret,
    socklen_t *ret_len, struct peri_error *err)
{
    struct sockaddr_un *un = (struct sockaddr_un *)ret;
    if (!*path || strlen(path) >= sizeof(un->sun_path))
        return peri_error_set(err, PERI_EINVAL, "http.listen", "the path of \"unix:%s\" must have 1 to %zu bytes", path,
            sizeof(un->sun_path) - 1);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, strlen(path) + 1);
    *ret_len = sizeof(*un);
    /* A socket nobody answers on is left from a process that died. */
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, (struct sockaddr *)un, sizeof(*un)) < 0 && errno == ECONNREFUSED)
            unlink(path);
        if (fd >= 0)
            close(fd);
    }
    server->unix_path = peri_strdup(path);
    return server->unix_path ? PERI_OK : peri_error_nomem(err);
}

/* "host:port" or "[v6]:port" */
static enum peri_status inet_address(
    const char *listen, struct sockaddr_storage *ret, socklen_t *ret_len, struct peri_error *err)
{
    char host[256];
    const char *colon = strrchr(listen, ':');
    long long port;
    size_t len = colon ? (size_t)(colon - listen) : 0;
    if (!colon || len == 0 || len >= sizeof(host) || !peri_parse_i64(colon + 1, &port) || port < 0 || port > 65535)
        return peri_error_set(err, PERI_EINVAL, "http.listen",
            "\"%s\" is no address to listen on (wanted: 127.0.0.1:8420, [::1]:8420 or unix:/path)", listen);
    bool brackets = listen[0] == '[' && listen[len - 1] == ']';
    snprintf(host, sizeof(host), "%.*s", (int)(brackets ? len - 2 : len), listen + brackets);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found = NULL;
    int rc = getaddrinfo(host, colon + 1, &hints, &found);
    if (rc != 0)
        return peri_error_set(
            err, PERI_EINVAL, "http.listen", "can not listen on \"%s\": %s", listen, gai_strerror(rc));
    memcpy(ret, found->ai_addr, found->ai_addrlen);
    *ret_len = found->ai_addrlen;
    freeaddrinfo(found);
    return PERI_OK;
}

static void accept_again(void *arg)
{
    struct peri_http_server *server = arg;
    server->accept_again = NULL;
    evconnlistener_enable(server->listener);
}

/* Out of descriptors, most likely. The waiting connection would wake us at once again, so pause. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    struct peri_http_server *server = arg;
    http_server_make_room(server);
    peri_warn(server->log, "http", "can not accept a connection: %s", strerror(errno));
    evconnlistener_disable(listener);
    if (peri_loop_after(server->loop, ACCEPT_PAUSE_MS, accept_again, server, &server->accept_again) != PERI_OK)
        evconnlistener_enable(listener);
}

static int bound_port(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        return 0;
    if (address.ss_family == AF_INET)
        return ntohs(((struct sockaddr_in *)&address)->sin_port);
    return address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&address)->sin6_port) : 0;
}

static enum peri_status listen_on(struct peri_http_server *server, const char *listen, struct peri_error *err)
{
    struct sockaddr_storage address = {0};
    socklen_t len = 0;
    enum peri_status st = peri_str_starts(listen, "unix:") ? unix_address(server, listen + 5, &address, &len, err)
                                                           : inet_address(listen, &address, &len, err);
    if (st)
        return st;
    mode_t mask = server->unix_path ? umask(0117) : 0;
    server->listener = evconnlistener_new_bind(peri_loop_base(server->loop), NULL, NULL,
        LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE | LEV_OPT_DISABLED, 256,
        (struct sockaddr *)&address, (int)len);
    int error = errno;
    if (server->unix_path)
        umask(mask);
    if (!server->listener) {
        free(server->unix_path); /* not ours: it must not be removed */
        server->unix_path = NULL;
        return peri_error_set(err, PERI_EIO, "http.listen", "can not listen on \"%s\": %s", listen, strerror(error));
    }
    server->port = bound_port(evconnlistener_get_fd(server->listener));
    if (!evhttp_bind_listener(server->http, server->listener)) {
        evconnlistener_free(server->listener);
        server->listener = NULL;
        return peri_error_nomem(err);
    }
    evconnlistener_set_error_cb(server->listener, on_accept_error);
    evconnlistener_enable(server->listener);
    return PERI_OK;
}

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

static void on_adopt(evutil_socket_t fd, short what, void *arg)
{
    http_server_adopt(fd, what, arg);
}

static enum peri_status set_up_evhttp(struct peri_http_server *server, struct peri_error *err)
{
    server->http = evhttp_new(peri_loop_base(server->loop));
    server->adopt = event_new(peri_loop_base(server->loop), -1, 0, on_adopt, server);
    if (!server->http || !server->adopt)
        return peri_error_nomem(err);
    evhttp_set_gencb(server->http, on_request, server);
    evhttp_set_bevcb(server->http, http_server_new_bufferevent, server);
    evhttp_set_allowed_methods(server->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
                                                 EVHTTP_REQ_PATCH | EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS);
    /* A second fence: the guard is stricter than these. */
    evhttp_set_max_headers_size(server->http, 4096);
    evhttp_set_max_body_size(server->http, (ev_ssize_t)server->max_body);
    evhttp_set_timeout_tv(server->http, &server->timeout);
    evhttp_set_default_content_type(server->http, NULL);
    return PERI_OK;
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
    server->timeout.tv_sec = options->timeout_s > 0 ? options->timeout_s : 30;
    set_up_metrics(server, options->metrics);
    enum peri_status st = load_tls(server, options->tls_cert, options->tls_key, err);
    if (st == PERI_OK)
        st = set_up_evhttp(server, err);
    if (st == PERI_OK)
        st = listen_on(server, options->listen, err);
    if (st) {
        peri_http_server_destroy(server);
        return st;
    }
    *ret = server;
    return PERI_OK;
}

void peri_http_server_destroy(struct peri_http_server *server)
{
    if (!server)
        return;
    struct peri_http_request *orphans = NULL;
    if (server->adopt) /* accepted in the round in which the loop was stopped: evhttp frees only what it sees */
        http_server_adopt(-1, 0, server);
    while (server->requests) {
        struct peri_http_request *req = server->requests;
        bool connected = req->conn != NULL;
        http_request_orphan(req);
        if (connected) { /* has not heard on_close yet */
            req->next = orphans;
            orphans = req;
        }
    }
    for (struct conn *conn = server->conns; conn; conn = conn->next)
        http_server_flush(conn); /* also what was answered in the round in which the loop was stopped */
    peri_timer_cancel(server->accept_again);
    if (server->http)
        evhttp_free(server->http); /* with listener and connections */
    if (server->adopt)
        event_free(server->adopt);
    http_server_lingers_finish(server);
    SSL_CTX_free(server->tls);
    if (server->unix_path)
        unlink(server->unix_path);
    free(server->unix_path);
    free(server->by_fd);
    free(server);
    while (orphans) { /* evhttp has let go of them: now their handlers may answer */
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
    return req->body;
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
