/* SPDX-License-Identifier: Apache-2.0 */
/* The guard between socket and evhttp.
 *
 * evhttp reads leniently and can not be told otherwise: a NUL ends the header block, folded lines and signed lengths
 * pass, a HEAD's body becomes the next request. So the bytes are read by http_server_check.c first, in a callback of
 * the bufferevent's input buffer that runs before evhttp sees them, and evhttp gets a request line and the framing
 * headers that we wrote ourselves. A refused request becomes a plain GET for it; the request callback finds the refusal
 * here. Rejected: a filtering bufferevent, which loses the end of an answer when the connection closes behind it. */
#include "io/http_server_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <openssl/ssl.h>

#include "base/str.h"
#include "base/vec.h"

#define LINGER_MAX 64
#define LINGER_BYTES ((uint64_t)256 * 1024 * 1024)
#define SLOWEST_BYTES_PER_MS 16 /* slower senders are cut off after the timeout */

/* ---- closing without losing the answer ---- */

/* Closing a socket with unread bytes resets the connection, and the peer never sees our refusal. So a copy of the
 * descriptor reads on for a while. */
struct http_linger {
    struct http_linger *prev, *next;
    struct peri_http_server *server;
    struct event *event;
    int fd;
    uint64_t bytes;
};

static void linger_end(struct http_linger *linger)
{
    if (linger->prev)
        linger->prev->next = linger->next;
    else
        linger->server->lingers = linger->next;
    if (linger->next)
        linger->next->prev = linger->prev;
    linger->server->linger_count--;
    event_free(linger->event);
    close(linger->fd);
    free(linger);
}

static void on_linger(evutil_socket_t fd, short what, void *arg)
{
    struct http_linger *linger = arg;
    char dropped[65536];
    ssize_t n = what & EV_READ ? recv(fd, dropped, sizeof(dropped), MSG_DONTWAIT) : 0;
    if (n > 0)
        linger->bytes += (uint64_t)n;
    if (n <= 0 || linger->bytes > LINGER_BYTES)
        linger_end(linger);
}

static void linger_start(struct conn *conn)
{
    struct peri_http_server *server = conn->server;
    struct http_linger *linger = server->linger_count < LINGER_MAX ? calloc(1, sizeof(*linger)) : NULL;
    if (!linger)
        return;
    linger->fd = dup(conn->fd);
    linger->event = linger->fd < 0
                        ? NULL
                        : event_new(peri_loop_base(server->loop), linger->fd, EV_READ | EV_PERSIST, on_linger, linger);
    struct timeval quiet = {.tv_sec = 2};
    if (!linger->event || event_add(linger->event, &quiet) < 0) {
        if (linger->event)
            event_free(linger->event);
        if (linger->fd >= 0)
            close(linger->fd);
        free(linger);
        return;
    }
    linger->server = server;
    linger->next = server->lingers;
    if (linger->next)
        linger->next->prev = linger;
    server->lingers = linger;
    server->linger_count++;
}

void http_server_lingers_finish(struct peri_http_server *server)
{
    while (server->lingers)
        linger_end(server->lingers);
}

/* ---- reading ---- */

/* Hands evhttp what it needs to frame the request, and nothing else. */
static void emit_head(struct conn *conn, const struct peri_http_head *head)
{
    evbuffer_add_printf(conn->out, "%s / HTTP/1.%d\r\nHost: -\r\n", head->method, head->minor);
    if (head->chunked)
        evbuffer_add_printf(conn->out, "Transfer-Encoding: chunked\r\n");
    else if (head->content_length >= 0)
        evbuffer_add_printf(conn->out, "Content-Length: %lld\r\n", (long long)head->content_length);
    if (head->expect)
        evbuffer_add_printf(conn->out, "Expect: 100-continue\r\n");
    evbuffer_add_printf(conn->out, "%s\r\n", head->close ? "Connection: close\r\n" : "");
}

/* The answer to HEAD has no body, also when it is a refusal. */
static bool is_head(const struct conn *conn)
{
    return peri_str_starts(peri_buf_text(&conn->head_text), "HEAD ");
}

static void refuse_head(struct conn *conn, bool head, int status, const char *detail)
{
    conn->refusal = (struct peri_http_refusal){status, detail};
    conn->phase = CONN_REFUSED;
    evbuffer_add_printf(conn->out, "%s / HTTP/1.1\r\nHost: -\r\nConnection: close\r\n\r\n", head ? "HEAD" : "GET");
}

static void head_complete(struct conn *conn)
{
    struct peri_http_refusal refusal;
    bool head = is_head(conn);
    size_t len;
    char *text = peri_buf_take(&conn->head_text, &len);
    enum peri_status st = text ? peri_http_head_parse(text, len, &conn->head, &refusal) : PERI_ENOMEM;
    if (st == PERI_ENOMEM) {
        refuse_head(conn, head, 503, "out of memory");
    } else if (st) {
        refuse_head(conn, head, refusal.status, refusal.detail);
    } else if (conn->head.content_length > 0 && (uint64_t)conn->head.content_length > conn->server->max_body) {
        refuse_head(conn, head, 413, "the body is larger than this server takes");
    } else if (conn->reserved && !conn->server->reserved(conn->head.path)) {
        refuse_head(conn, head, 503, "all connections are in use");
    } else {
        emit_head(conn, &conn->head);
        conn->left = conn->head.content_length > 0 ? (uint64_t)conn->head.content_length : 0;
        conn->body = 0;
        memset(&conn->chunks, 0, sizeof(conn->chunks));
        conn->phase = conn->head.chunked ? CONN_CHUNKED : conn->left ? CONN_BODY : CONN_SERVED;
    }
}

static void read_head(struct conn *conn, const char *data, size_t len, size_t *ret_used)
{
    size_t skip;
    enum peri_http_scan found = peri_http_head_scan(&conn->scan, data, len, ret_used, &skip);
    if (peri_buf_append(&conn->head_text, data + skip, *ret_used - skip) != PERI_OK)
        refuse_head(conn, is_head(conn), conn->head_text.failed == PERI_ENOMEM ? 503 : 431,
            conn->head_text.failed == PERI_ENOMEM ? "out of memory" : "the header block is too large");
    else if (found == PERI_HTTP_SCAN_REFUSED)
        refuse_head(conn, is_head(conn), conn->scan.refusal.status, conn->scan.refusal.detail);
    else if (found == PERI_HTTP_SCAN_DONE)
        head_complete(conn);
}

/* Ends the body for evhttp, wherever it is, so that it asks us for an answer. */
static void refuse_chunked(struct conn *conn, int status, const char *detail)
{
    conn->refusal = (struct peri_http_refusal){status, detail};
    conn->phase = CONN_REFUSED;
    evbuffer_add_printf(conn->out, "0\r\n\r\n");
}

static void read_chunked(struct conn *conn, const char *data, size_t len, size_t *ret_used)
{
    size_t body;
    enum peri_http_chunk found = peri_http_chunks_next(&conn->chunks, data, len, ret_used, &body);
    if (found == PERI_HTTP_CHUNK_REFUSED) {
        refuse_chunked(conn, conn->chunks.refusal.status, conn->chunks.refusal.detail);
    } else if (found == PERI_HTTP_CHUNK_END) {
        evbuffer_add_printf(conn->out, "0\r\n\r\n");
        conn->phase = CONN_SERVED;
    } else if (found == PERI_HTTP_CHUNK_DATA) {
        conn->body += body;
        if (conn->body > conn->server->max_body) {
            refuse_chunked(conn, 413, "the body is larger than this server takes");
        } else {
            evbuffer_add_printf(conn->out, "%zx\r\n", body);
            evbuffer_add(conn->out, data + *ret_used - body, body);
            evbuffer_add(conn->out, "\r\n", 2);
        }
    }
}

/* Moves what belongs to the present request from raw to out. */
static void read_raw(struct conn *conn)
{
    while (evbuffer_get_length(conn->raw) > 0 && conn->phase != CONN_SERVED) {
        if (conn->phase == CONN_REFUSED) {
            evbuffer_drain(conn->raw, evbuffer_get_length(conn->raw));
            return;
        }
        if (conn->phase == CONN_BODY) {
            int n = evbuffer_remove_buffer(conn->raw, conn->out, conn->left < 1 << 30 ? (size_t)conn->left : 1 << 30);
            conn->left -= n > 0 ? (uint64_t)n : conn->left;
            if (conn->left == 0)
                conn->phase = CONN_SERVED;
            continue;
        }
        struct evbuffer_iovec piece;
        if (evbuffer_peek(conn->raw, -1, NULL, &piece, 1) < 1)
            return;
        size_t used = piece.iov_len;
        if (conn->phase == CONN_HEAD)
            read_head(conn, piece.iov_base, piece.iov_len, &used);
        else
            read_chunked(conn, piece.iov_base, piece.iov_len, &used);
        evbuffer_drain(conn->raw, used);
    }
}

static bool too_slow(struct conn *conn)
{
    struct peri_mono now = peri_clock_mono(peri_loop_clock(conn->server->loop));
    if (!conn->started) {
        conn->started = true;
        conn->start = now;
        conn->received = 0;
    }
    int64_t allowed_ms = conn->server->timeout.tv_sec * 1000 + (int64_t)(conn->received / SLOWEST_BYTES_PER_MS);
    return now.ns - conn->start.ns > allowed_ms * 1000000;
}

static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
    struct conn *conn = arg;
    if (conn->editing || info->n_added == 0)
        return;
    bool slow = conn->phase < CONN_SERVED && too_slow(conn);
    conn->received += info->n_added;
    if (slow && conn->phase != CONN_HEAD) {
        http_server_conn_kill(conn);
        return;
    }
    if (conn->phase == CONN_BODY &&
        info->n_added < conn->left) { /* the common case of a large body: nothing to change */
        conn->left -= info->n_added;
        return;
    }
    conn->editing = true;
    evbuffer_remove_buffer(input, conn->old, info->orig_size);
    evbuffer_add_buffer(conn->raw, input);
    if (slow)
        refuse_head(conn, is_head(conn), 408, "the request came too slowly");
    read_raw(conn);
    evbuffer_prepend_buffer(input, conn->out);
    evbuffer_prepend_buffer(input, conn->old);
    conn->editing = false;
    if (evbuffer_get_length(conn->raw) > PERI_HTTP_PIPELINE_MAX)
        http_server_conn_kill(conn);
}

/* ---- connections ---- */

void http_server_conn_kill(struct conn *conn)
{
    conn->phase = CONN_REFUSED;
    bufferevent_trigger_event(conn->bev, BEV_EVENT_EOF | BEV_EVENT_READING, BEV_TRIG_DEFER_CALLBACKS);
}

static void conn_free(struct conn *conn)
{
    struct peri_http_server *server = conn->server;
    if (conn->adopted) {
        if (conn->prev)
            conn->prev->next = conn->next;
        else
            server->conns = conn->next;
        if (conn->next)
            conn->next->prev = conn->prev;
        server->by_fd[conn->fd] = NULL;
        server->conn_count--;
        peri_metric_set(server->m_connections, (int64_t)server->conn_count);
    }
    if (conn->old)
        evbuffer_free(conn->old);
    if (conn->raw)
        evbuffer_free(conn->raw);
    if (conn->out)
        evbuffer_free(conn->out);
    peri_buf_finish(&conn->head_text);
    peri_http_head_finish(&conn->head);
    free(conn);
}

/* evhttp frees the connection: answered and closing, peer gone, or timeout. */
static void on_closed(struct evhttp_connection *evcon, void *arg)
{
    struct conn *conn = arg;
    struct peri_http_request *req = conn->req;
    evbuffer_remove_cb(bufferevent_get_input(conn->bev), on_input, conn);
    if (conn->refusal.status)
        linger_start(conn);
    conn_free(conn);
    if (!req)
        return;
    req->conn = NULL;
    if (req->on_close)
        req->on_close(req->on_close_arg);
}

static struct bufferevent *new_bufferevent(struct peri_http_server *server)
{
    struct event_base *base = peri_loop_base(server->loop);
    if (!server->tls)
        return bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    SSL *ssl = SSL_new(server->tls);
    if (!ssl)
        return NULL;
    struct bufferevent *bev =
        bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    if (!bev)
        SSL_free(ssl);
    else
        bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    return bev;
}

/* evhttp asks for the bufferevent of a new connection. It tells us neither descriptor nor connection object yet, so the
 * rest is done by http_server_adopt, which is made ready here and runs before the loop polls again. */
struct bufferevent *http_server_new_bufferevent(struct event_base *base, void *arg)
{
    struct peri_http_server *server = arg;
    struct conn *conn = calloc(1, sizeof(*conn));
    if (!conn)
        return NULL;
    conn->server = server;
    conn->fd = -1;
    peri_buf_init(&conn->head_text, server->max_headers);
    conn->old = evbuffer_new();
    conn->raw = evbuffer_new();
    conn->out = evbuffer_new();
    if (conn->old && conn->raw && conn->out)
        conn->bev = new_bufferevent(server);
    if (!conn->bev || !evbuffer_add_cb(bufferevent_get_input(conn->bev), on_input, conn)) {
        if (conn->bev)
            bufferevent_free(conn->bev);
        conn_free(conn);
        return NULL;
    }
    bufferevent_incref(conn->bev); /* until it is adopted */
    conn->next = server->pending;
    server->pending = conn;
    event_active(server->adopt, EV_TIMEOUT, 0);
    return conn->bev;
}

static struct peri_mono now_of(const struct peri_http_server *server)
{
    return peri_clock_mono(peri_loop_clock(server->loop));
}

/* Between two requests. Those that have sent a part of one are not, but for reserved ones, which are for the quick. */
static bool is_idle(const struct conn *conn, bool reserved)
{
    return conn->phase == CONN_HEAD && !conn->req && !conn->refusal.status &&
           (reserved ? conn->reserved : !conn->started && evbuffer_get_length(conn->raw) == 0);
}

static bool evict(struct peri_http_server *server, bool reserved)
{
    struct conn *oldest = NULL;
    for (struct conn *conn = server->conns; conn; conn = conn->next)
        if (is_idle(conn, reserved) && (!oldest || conn->idle_since.ns <= oldest->idle_since.ns))
            oldest = conn; /* of several of one instant the one accepted first: it stands behind */
    if (!oldest)
        return false;
    peri_metric_add(server->m_evicted, 1);
    evhttp_connection_free(oldest->evcon); /* calls on_closed */
    return true;
}

bool http_server_make_room(struct peri_http_server *server)
{
    return evict(server, false);
}

/* What a new connection may be. False: there is no place for it. */
static bool find_place(struct peri_http_server *server, bool *ret_reserved)
{
    *ret_reserved = false;
    if (server->conn_count < server->max_connections || evict(server, false))
        return true;
    *ret_reserved = true;
    return server->reserved &&
           (server->conn_count < server->max_connections + PERI_HTTP_CONNECTIONS_RESERVED || evict(server, true));
}

static bool adopt(struct peri_http_server *server, struct conn *conn)
{
    conn->fd = bufferevent_getfd(conn->bev);
    if (conn->fd < 0 ||
        !peri_vec_grow((void *)&server->by_fd, &server->by_fd_cap, (size_t)conn->fd + 1, sizeof(*server->by_fd)))
        return false;
    server->by_fd[conn->fd] = conn;
    conn->prev = NULL;
    conn->next = server->conns;
    if (conn->next)
        conn->next->prev = conn;
    server->conns = conn;
    conn->adopted = true;
    conn->idle_since = now_of(server);
    server->conn_count++;
    peri_metric_set(server->m_connections, (int64_t)server->conn_count);
    evhttp_connection_set_closecb(conn->evcon, on_closed, conn);
    return true;
}

static void send_overload(const struct conn *conn)
{
    static const char body[] = "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503}";
    char text[512];
    int n = snprintf(text, sizeof(text),
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
        "Retry-After: 1\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
        sizeof(body) - 1, body);
    if (!conn->server->tls)
        (void)!send(bufferevent_getfd(conn->bev), text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void http_server_adopt(int fd, short what, void *arg)
{
    struct peri_http_server *server = arg;
    while (server->pending) {
        struct conn *conn = server->pending;
        server->pending = conn->next;
        struct bufferevent *bev = conn->bev;
        void *evcon = NULL; /* evhttp makes its connection object the argument of its callbacks */
        bufferevent_getcb(bev, NULL, NULL, NULL, &evcon);
        conn->evcon = evcon;
        bool full = evcon && !find_place(server, &conn->reserved);
        if (evcon && full)
            send_overload(conn);
        if (!evcon || full || !adopt(server, conn)) {
            evbuffer_remove_cb(bufferevent_get_input(bev), on_input, conn);
            conn_free(conn);
            if (evcon)
                evhttp_connection_free(evcon);
        }
        bufferevent_decref(bev);
    }
}

struct conn *http_server_conn(struct peri_http_server *server, int fd)
{
    return fd >= 0 && (size_t)fd < server->by_fd_cap ? server->by_fd[fd] : NULL;
}

void http_server_conn_serving(struct conn *conn)
{
    /* evhttp stops reading here, and would abort the process if its read callback ran now. Without callback, reading
     * only serves to notice the end. The handler may take its time: only a peer that does not take the answer is cut
     * off. */
    bufferevent_data_cb on_write;
    bufferevent_event_cb on_event;
    void *arg;
    bufferevent_getcb(conn->bev, NULL, &on_write, &on_event, &arg);
    bufferevent_setcb(conn->bev, NULL, on_write, on_event, arg);
    bufferevent_set_timeouts(conn->bev, NULL, &conn->server->timeout);
    bufferevent_enable(conn->bev, EV_READ);
}

void http_server_conn_next(struct conn *conn)
{
    bufferevent_set_timeouts(conn->bev, &conn->server->timeout, &conn->server->timeout);
    if (conn->phase != CONN_SERVED)
        return;
    conn->phase = CONN_HEAD;
    conn->idle_since = now_of(conn->server);
    conn->started = false;
    memset(&conn->scan, 0, sizeof(conn->scan));
    if (evbuffer_get_length(conn->raw) == 0)
        return;
    too_slow(conn); /* starts the clock of the pipelined request */
    conn->editing = true;
    read_raw(conn);
    evbuffer_prepend_buffer(bufferevent_get_input(conn->bev), conn->out);
    conn->editing = false;
}
