/* SPDX-License-Identifier: Apache-2.0 */
/* A connection: its bytes are read by the pure functions of http_server_check.c, a request at a time, and what follows
 * waits until it is answered. Nothing is freed while its bytes are being read, or within a call of a handler's: a
 * connection that is over is doomed, and freed in the next round of the loop. */
#include "io/http_server_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "base/pool.h"
#include "base/str.h"

#define SLOWEST_BYTES_PER_MS 16 /* slower senders are cut off after the timeout */
#define BODY_FIRST (64 * 1024)  /* bytes of room for a body before it has come */
#define SWEEP_LEAST_MS 100
#define REAP_AGAIN_MS 10 /* for one that is busy */

static struct peri_mono now_of(const struct peri_http_server *server)
{
    return peri_clock_mono(peri_loop_clock(server->loop));
}

/* ---- a request is whole ---- */

static struct peri_http_request *new_request(struct conn *conn)
{
    struct peri_http_server *server = conn->server;
    struct peri_http_request *req = peri_pool_alloc(sizeof(*req));
    if (!req)
        return NULL;
    memset(req, 0, offsetof(struct peri_http_request, remote));
    req->server = server;
    req->conn = conn;
    req->head = conn->head;
    memset(&conn->head, 0, sizeof(conn->head));
    if (conn->body.len)
        req->body = peri_buf_take(&conn->body, &req->body_len);
    memcpy(req->remote, conn->remote, sizeof(req->remote));
    conn->req = req;
    req->next = server->requests;
    if (req->next)
        req->next->prev = req;
    server->requests = req;
    return req;
}

static void serve(struct conn *conn)
{
    static const struct peri_http_refusal nomem = {503, "out of memory"};
    bool head = strcmp(conn->head.method, "HEAD") == 0;
    conn->whole = false;
    struct peri_http_request *req = conn->body.failed ? NULL : new_request(conn);
    if (req)
        conn->server->handler(conn->server->ctx, req);
    else
        http_server_refuse(conn, head, &nomem);
}

/* ---- reading ---- */

/* What follows it is put aside before its handler is called: the bytes are in a place that all connections share. */
static void request_whole(struct conn *conn)
{
    conn->phase = CONN_SERVED;
    conn->whole = true;
}

static void refuse(struct conn *conn, bool head, int status, const char *detail)
{
    http_server_refuse(conn, head, &(struct peri_http_refusal){status, detail});
}

/* The answer to HEAD has no body, also when it is a refusal. */
static bool is_head(const struct conn *conn)
{
    return peri_str_starts(peri_buf_text(&conn->head_text), "HEAD ");
}

static void begin_body(struct conn *conn)
{
    const struct peri_http_head *head = &conn->head;
    conn->left = head->content_length > 0 ? (uint64_t)head->content_length : 0;
    conn->phase = head->chunked ? CONN_CHUNKED : CONN_BODY;
    peri_buf_finish(&conn->body);
    memset(&conn->chunks, 0, sizeof(conn->chunks));
    if (!head->chunked)
        (void)peri_buf_reserve(&conn->body, conn->left < BODY_FIRST ? (size_t)conn->left : BODY_FIRST);
    if (head->expect) {
        (void)peri_buf_puts(&conn->out, "HTTP/1.1 100 Continue\r\n\r\n");
        http_wire_write(conn);
    }
}

static void head_complete(struct conn *conn)
{
    struct peri_http_refusal refusal;
    bool head = is_head(conn);
    size_t len;
    char *text = peri_buf_take(&conn->head_text, &len);
    enum peri_status st = text ? peri_http_head_parse(text, len, &conn->head, &refusal) : PERI_ENOMEM;
    if (st == PERI_ENOMEM)
        refuse(conn, head, 503, "out of memory");
    else if (st)
        refuse(conn, head, refusal.status, refusal.detail);
    else if (conn->head.content_length > 0 && (uint64_t)conn->head.content_length > conn->server->max_body)
        refuse(conn, head, 413, "the body is larger than this server takes");
    else if (conn->reserved && !conn->server->reserved(conn->head.path))
        refuse(conn, head, 503, "all connections are in use");
    else if (conn->head.chunked || conn->head.content_length > 0)
        begin_body(conn);
    else
        request_whole(conn);
}

static size_t read_head(struct conn *conn, const char *data, size_t len)
{
    size_t skip, used = len;
    enum peri_http_scan found = peri_http_head_scan(&conn->scan, data, len, &used, &skip);
    if (peri_buf_append(&conn->head_text, data + skip, used - skip) != PERI_OK)
        refuse(conn, is_head(conn), conn->head_text.failed == PERI_ENOMEM ? 503 : 431,
            conn->head_text.failed == PERI_ENOMEM ? "out of memory" : "the header block is too large");
    else if (found == PERI_HTTP_SCAN_REFUSED)
        refuse(conn, is_head(conn), conn->scan.refusal.status, conn->scan.refusal.detail);
    else if (found == PERI_HTTP_SCAN_DONE)
        head_complete(conn);
    return used;
}

static size_t read_body(struct conn *conn, const char *data, size_t len)
{
    size_t used = len < conn->left ? len : (size_t)conn->left;
    (void)peri_buf_append(&conn->body, data, used); /* a failure is seen at the end */
    conn->left -= used;
    if (conn->left == 0)
        request_whole(conn);
    return used;
}

static size_t read_chunked(struct conn *conn, const char *data, size_t len)
{
    size_t body, used = len;
    enum peri_http_chunk found = peri_http_chunks_next(&conn->chunks, data, len, &used, &body);
    if (found == PERI_HTTP_CHUNK_REFUSED)
        refuse(conn, false, conn->chunks.refusal.status, conn->chunks.refusal.detail);
    else if (found == PERI_HTTP_CHUNK_END)
        request_whole(conn);
    else if (found == PERI_HTTP_CHUNK_DATA && peri_buf_append(&conn->body, data + used - body, body) == PERI_ELIMIT)
        refuse(conn, false, 413, "the body is larger than this server takes");
    return used;
}

/* Reads on in the present request; how many of the bytes belong to it. */
static size_t step(struct conn *conn, const char *data, size_t len)
{
    switch (conn->phase) {
    case CONN_HEAD:
        return read_head(conn, data, len);
    case CONN_BODY:
        return read_body(conn, data, len);
    case CONN_CHUNKED:
        return read_chunked(conn, data, len);
    default:
        return len;
    }
}

static bool too_slow(struct conn *conn)
{
    if (!conn->started) {
        conn->started = true;
        conn->start = conn->moved;
        conn->received = 0;
    }
    int64_t allowed_ms = conn->server->timeout_ms + (int64_t)(conn->received / SLOWEST_BYTES_PER_MS);
    return conn->moved.ns - conn->start.ns > allowed_ms * 1000000;
}

static void keep_ahead(struct conn *conn, const char *data, size_t len)
{
    size_t waiting = conn->ahead.len - conn->ahead_at;
    if (conn->ahead_at > 0) {
        memmove(conn->ahead.data, conn->ahead.data + conn->ahead_at, waiting);
        conn->ahead.len = waiting;
        conn->ahead_at = 0;
    }
    if (peri_buf_append(&conn->ahead, data, len) != PERI_OK)
        http_conn_doom(conn);
}

/* Calls the handler of what is whole, and reads the next request as long as it has come already. */
static void go_on(struct conn *conn)
{
    struct peri_buf *ahead = &conn->ahead;
    while (conn->whole || (conn->ahead_at < ahead->len && conn->phase < CONN_SERVED)) {
        if (conn->whole) {
            serve(conn);
            continue;
        }
        if (!conn->started)
            (void)too_slow(conn); /* starts its clock */
        conn->ahead_at += step(conn, ahead->data + conn->ahead_at, ahead->len - conn->ahead_at);
    }
    if (conn->ahead_at == ahead->len && ahead->cap > 0) {
        conn->ahead_at = 0;
        peri_buf_finish(ahead);
    }
}

/* Bytes from the peer. */
static void take_bytes(struct conn *conn, const char *data, size_t len)
{
    conn->moved = now_of(conn->server);
    bool slow = conn->phase < CONN_SERVED && too_slow(conn);
    conn->received += len;
    if (slow && conn->phase == CONN_HEAD)
        refuse(conn, is_head(conn), 408, "the request came too slowly");
    else if (slow)
        http_conn_doom(conn);
    size_t at = 0;
    while (at < len && conn->phase < CONN_SERVED)
        at += step(conn, data + at, len - at);
    if (at < len && conn->phase == CONN_SERVED)
        keep_ahead(conn, data + at, len - at);
    go_on(conn);
}

void http_conn_written(struct conn *conn)
{
    if (conn->phase == CONN_CLOSING)
        http_conn_doom(conn);
    if (conn->phase != CONN_SERVED || conn->req)
        return;
    conn->phase = CONN_HEAD;
    conn->idle_since = conn->moved;
    conn->started = false;
    memset(&conn->scan, 0, sizeof(conn->scan));
    if (conn->busy)
        return;
    conn->busy = true;
    go_on(conn);
    conn->busy = false;
}

static void on_ready(void *arg, int fd, int what)
{
    struct conn *conn = arg;
    struct peri_http_server *server = conn->server;
    ssize_t n = 0;
    if (conn->busy)
        return;
    if (what & PERI_IO_WRITE) {
        conn->tls_crossed = false;
        http_wire_write(conn);
    }
    if (conn->phase == CONN_DEAD || (!conn->tls && !(what & PERI_IO_READ)))
        return;
    do {
        n = http_wire_read(conn, server->input, sizeof(server->input));
        if (n <= 0)
            break;
        conn->busy = true;
        take_bytes(conn, server->input, (size_t)n);
        conn->busy = false;
        /* TLS may hold bytes that the socket no longer tells of. */
    } while (conn->tls && conn->phase != CONN_DEAD && SSL_pending(conn->tls) > 0);
    if (n < 0 && conn->phase != CONN_DEAD)
        http_conn_free(conn);
    else if (conn->tls && conn->phase != CONN_DEAD)
        http_wire_write(conn); /* what it waits for may have changed */
}

/* ---- the end ---- */

void http_conn_free(struct conn *conn)
{
    struct peri_http_server *server = conn->server;
    struct peri_http_request *req = conn->req;
    struct conn **link = &server->doomed;
    while (*link && *link != conn)
        link = &(*link)->doomed;
    if (*link)
        *link = conn->doomed;
    if (conn->prev)
        conn->prev->next = conn->next;
    else
        server->conns = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    server->conn_count--;
    peri_metric_set(server->m_connections, (int64_t)server->conn_count);
    http_wire_close(conn);
    peri_buf_finish(&conn->head_text);
    peri_buf_finish(&conn->body);
    peri_buf_finish(&conn->ahead);
    peri_buf_finish(&conn->out);
    peri_http_head_finish(&conn->head);
    free(conn);
    if (!req)
        return;
    req->conn = NULL;
    if (req->on_close)
        req->on_close(req->on_close_arg);
}

static void reap(void *arg);
static void keep_sweeping(struct peri_http_server *server, int64_t ms);

static void posted(void *arg)
{
    struct peri_http_server *server = arg;
    server->posted = false;
    peri_timer_cancel(server->reaper);
    reap(server);
    keep_sweeping(server, server->timeout_ms);
}

/* Without memory for a timer it is posted, which needs none: nobody else would ever look at a connection that is over,
 * or that sends nothing. */
static void post_instead(struct peri_http_server *server)
{
    if (!server->posted)
        server->posted = peri_loop_post(server->loop, posted, server) == PERI_OK;
}

static void plan_reaping(struct peri_http_server *server, int64_t ms)
{
    if (!server->doomed || server->reaper)
        return;
    if (peri_loop_after(server->loop, ms, reap, server, &server->reaper) == PERI_OK)
        return;
    server->reaper = NULL;
    post_instead(server);
}

static void reap(void *arg)
{
    struct peri_http_server *server = arg;
    server->reaper = NULL;
    for (struct conn *conn = server->doomed; conn;) {
        struct conn *next = conn->doomed;
        if (!conn->busy)
            http_conn_free(conn); /* may doom others: they stand before it */
        conn = next;
    }
    plan_reaping(server, REAP_AGAIN_MS);
}

static void reap_now(struct peri_http_server *server)
{
    peri_timer_cancel(server->reaper);
    server->reaper = NULL;
    reap(server);
}

void http_conn_doom(struct conn *conn)
{
    struct peri_http_server *server = conn->server;
    if (conn->phase == CONN_DEAD)
        return;
    conn->phase = CONN_DEAD;
    peri_io_destroy(conn->io); /* it may be ready for ever */
    conn->io = NULL;
    conn->doomed = server->doomed;
    server->doomed = conn;
    plan_reaping(server, 0);
}

/* ---- time ---- */

static void sweep(void *arg);

/* While there are connections. A deadline that is set later is later. */
static void keep_sweeping(struct peri_http_server *server, int64_t ms)
{
    if (!server->sweeper && server->conns &&
        peri_loop_after(server->loop, ms < SWEEP_LEAST_MS ? SWEEP_LEAST_MS : ms, sweep, server, &server->sweeper))
        server->sweeper = NULL;
}

/* A peer that sends nothing, or does not take what it is sent. A handler may take its time. */
static void sweep(void *arg)
{
    struct peri_http_server *server = arg;
    int64_t now = now_of(server).ns, next = server->timeout_ms;
    server->sweeper = NULL;
    for (struct conn *conn = server->conns; conn; conn = conn->next) {
        /* What a peer sends is no sign that it takes its answer. */
        int64_t left = server->timeout_ms - (now - (conn->pending ? conn->taken : conn->moved).ns) / 1000000;
        bool waits = conn->phase != CONN_SERVED || conn->pending;
        if (!waits || conn->busy || conn->phase == CONN_DEAD)
            continue;
        if (left <= 0)
            http_conn_doom(conn);
        else if (left < next)
            next = left;
    }
    reap_now(server);
    keep_sweeping(server, next);
}

/* ---- the beginning ---- */

/* Between two requests. Those that have sent a part of one are not, but for reserved ones, which are for the quick. */
static bool is_idle(const struct conn *conn, bool reserved)
{
    return conn->phase == CONN_HEAD && !conn->busy && (reserved ? conn->reserved : !conn->started);
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
    http_conn_free(oldest);
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

static void send_overload(const struct peri_http_server *server, int fd)
{
    static const char body[] = "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503}";
    char text[512];
    int n = snprintf(text, sizeof(text),
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
        "Retry-After: 1\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
        sizeof(body) - 1, body);
    if (!server->tls)
        (void)!send(fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static bool begin_tls(struct conn *conn)
{
    conn->tls = SSL_new(conn->server->tls);
    if (!conn->tls || SSL_set_fd(conn->tls, conn->fd) != 1)
        return false;
    SSL_set_accept_state(conn->tls);
    SSL_set_mode(
        conn->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    return true;
}

void http_conn_open(struct peri_http_server *server, int fd, const char *remote)
{
    bool reserved;
    struct conn *conn = NULL;
    if (server->doomed)
        reap_now(server);
    if (!find_place(server, &reserved)) {
        send_overload(server, fd);
        close(fd);
        return;
    }
    conn = calloc(1, sizeof(*conn));
    if (!conn) {
        close(fd);
        return;
    }
    *conn = (struct conn){.server = server, .fd = fd, .reserved = reserved, .watched = PERI_IO_READ};
    conn->idle_since = conn->moved = now_of(server);
    snprintf(conn->remote, sizeof(conn->remote), "%s", remote);
    peri_buf_init(&conn->head_text, server->max_headers);
    peri_buf_init(&conn->body, server->max_body);
    peri_buf_init(&conn->ahead, PERI_HTTP_PIPELINE_MAX);
    peri_buf_init(&conn->out, SIZE_MAX / 4);
    conn->next = server->conns;
    if (conn->next)
        conn->next->prev = conn;
    server->conns = conn;
    server->conn_count++;
    peri_metric_set(server->m_connections, (int64_t)server->conn_count);
    if ((server->tls && !begin_tls(conn)) ||
        peri_loop_io(server->loop, fd, PERI_IO_READ, on_ready, conn, &conn->io) != PERI_OK)
        http_conn_free(conn);
    else
        keep_sweeping(server, server->timeout_ms);
}
