/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes from and to sockets, plain or through TLS. An answer is written at once: the loop only waits for a socket that
 * does not take all of it. */
#include "io/http_server_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#define LINGER_MAX 64
#define LINGER_BYTES ((uint64_t)256 * 1024 * 1024)
#define LINGER_MS 2000
#define OUT_KEPT (16 * 1024) /* bytes of room that a connection keeps for its next answer */

/* ---- reading ---- */

/* What TLS waits for, or that the connection is over. */
static ssize_t tls_outcome(struct conn *conn, int result, int expected)
{
    int error = SSL_get_error(conn->tls, result);
    ERR_clear_error();
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
        return -1;
    conn->tls_crossed = error != expected;
    return 0;
}

ssize_t http_wire_read(struct conn *conn, char *data, size_t size)
{
    if (conn->tls) {
        ERR_clear_error();
        int n = SSL_read(conn->tls, data, (int)size);
        return n > 0 ? n : tls_outcome(conn, n, SSL_ERROR_WANT_READ);
    }
    ssize_t n = recv(conn->fd, data, size, MSG_DONTWAIT);
    if (n > 0)
        return n;
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

/* ---- writing ---- */

static ssize_t write_some(struct conn *conn, const char *data, size_t size)
{
    if (conn->tls) {
        ERR_clear_error();
        int n = SSL_write(conn->tls, data, size < 1 << 30 ? (int)size : 1 << 30);
        return n > 0 ? n : tls_outcome(conn, n, SSL_ERROR_WANT_WRITE);
    }
    ssize_t n = send(conn->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

static void watch(struct conn *conn, bool pending)
{
    int what = PERI_IO_READ | (pending || conn->tls_crossed ? PERI_IO_WRITE : 0);
    if (conn->watched == what)
        return;
    conn->watched = what;
    if (peri_io_change(conn->io, what) != PERI_OK)
        http_conn_doom(conn);
}

/* A reader that is always a little behind must not keep what it has read. */
static void forget_written(struct conn *conn)
{
    if (conn->out_at < OUT_KEPT || conn->out_at < conn->out.len / 2)
        return;
    conn->out.len -= conn->out_at;
    memmove(conn->out.data, conn->out.data + conn->out_at, conn->out.len);
    conn->out_at = 0;
}

void http_wire_write(struct conn *conn)
{
    struct peri_buf *out = &conn->out;
    bool any = out->len > 0, took = false;
    if (conn->phase == CONN_DEAD)
        return;
    if (out->failed) { /* out of memory: half an answer is none */
        http_conn_doom(conn);
        return;
    }
    while (conn->out_at < out->len) {
        ssize_t n = write_some(conn, out->data + conn->out_at, out->len - conn->out_at);
        if (n < 0) {
            http_conn_doom(conn);
            return;
        }
        if (n == 0)
            break;
        conn->out_at += (size_t)n;
        took = true;
    }
    bool pending = conn->out_at < out->len;
    if (any && (took || !conn->pending))
        conn->moved = conn->taken = peri_clock_mono(peri_loop_clock(conn->server->loop));
    conn->pending = pending;
    watch(conn, pending);
    if (pending) {
        forget_written(conn);
        return;
    }
    conn->out_at = 0;
    if (out->cap > OUT_KEPT)
        peri_buf_finish(out);
    else
        peri_buf_reset(out);
    if (any)
        http_conn_written(conn);
}

/* ---- closing without losing the answer ---- */

/* Closing a socket with unread bytes resets the connection, and the peer never sees our refusal. So it is read for a
 * while. */
struct http_linger {
    struct http_linger *prev, *next;
    struct peri_http_server *server;
    struct peri_io *io;
    struct peri_timer *quiet;
    int fd;
    uint64_t bytes;
    bool moved; /* since the timer was started */
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
    peri_timer_cancel(linger->quiet);
    peri_io_destroy(linger->io);
    close(linger->fd);
    free(linger);
}

static void on_linger(void *arg, int fd, int what)
{
    struct http_linger *linger = arg;
    ssize_t n = recv(fd, linger->server->input, sizeof(linger->server->input), MSG_DONTWAIT);
    linger->moved = true;
    if (n > 0)
        linger->bytes += (uint64_t)n;
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || linger->bytes > LINGER_BYTES)
        linger_end(linger);
}

static void on_quiet(void *arg)
{
    struct http_linger *linger = arg;
    bool moved = linger->moved;
    linger->quiet = NULL;
    linger->moved = false;
    if (!moved || peri_loop_after(linger->server->loop, LINGER_MS, on_quiet, linger, &linger->quiet) != PERI_OK)
        linger_end(linger);
}

/* take fd, when it is true */
static bool linger_start(struct peri_http_server *server, int fd)
{
    struct http_linger *linger = server->linger_count < LINGER_MAX ? calloc(1, sizeof(*linger)) : NULL;
    if (!linger)
        return false;
    linger->fd = fd;
    linger->server = server;
    if (peri_loop_io(server->loop, fd, PERI_IO_READ, on_linger, linger, &linger->io) != PERI_OK ||
        peri_loop_after(server->loop, LINGER_MS, on_quiet, linger, &linger->quiet) != PERI_OK) {
        peri_io_destroy(linger->io);
        free(linger);
        return false;
    }
    linger->next = server->lingers;
    if (linger->next)
        linger->next->prev = linger;
    server->lingers = linger;
    server->linger_count++;
    return true;
}

void http_server_lingers_finish(struct peri_http_server *server)
{
    while (server->lingers)
        linger_end(server->lingers);
}

void http_wire_close(struct conn *conn)
{
    peri_io_destroy(conn->io);
    conn->io = NULL;
    if (conn->tls) {
        ERR_clear_error();
        if (SSL_is_init_finished(conn->tls))
            (void)SSL_shutdown(conn->tls); /* tells the peer, and waits for nothing */
        ERR_clear_error();
        SSL_free(conn->tls);
        conn->tls = NULL;
    }
    if (conn->fd < 0)
        return;
    (void)shutdown(conn->fd, SHUT_WR);
    if (!conn->refused || !linger_start(conn->server, conn->fd))
        close(conn->fd);
    conn->fd = -1;
}
