/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_HTTP_SERVER_INTERNAL_H
#define PERI_IO_HTTP_SERVER_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>
#include "base/buf.h"
#include "io/http_server.h"
#include "io/http_server_check.h"

/* What http_server.c, http_server_conn.c and http_server_answer.c share. */

#define PERI_HTTP_CONNECTIONS_MAX 1024
#define PERI_HTTP_CONNECTIONS_RESERVED 32      /* beyond them, for the paths of options.reserved */
#define PERI_HTTP_PIPELINE_MAX (64 * 1024)     /* bytes kept behind a request that is being answered */
#define PERI_HTTP_STREAM_MAX (4 * 1024 * 1024) /* bytes a stream's reader may lag behind */

struct bufferevent;
struct evbuffer;
struct evconnlistener;
struct event;
struct evhttp;
struct evhttp_connection;
struct evhttp_request;
struct ssl_ctx_st;

enum conn_phase {
    CONN_HEAD,    /* reading a header block */
    CONN_BODY,    /* reading a body of known length */
    CONN_CHUNKED, /* reading a chunked body */
    CONN_SERVED,  /* the request is whole; what follows waits until it is answered */
    CONN_REFUSED  /* whatever follows is dropped */
};

/* One connection. Stands between the socket and evhttp: evhttp only sees requests that passed our checks, in a plain
 * form of our own, so its leniency (and its HTML error pages) never matter. */
struct conn {
    struct conn *prev, *next;
    struct peri_http_server *server;
    struct bufferevent *bev;
    struct evhttp_connection *evcon;
    int fd;
    enum conn_phase phase;
    bool editing; /* our own changes of the input buffer are not news */
    bool adopted;
    bool reserved;               /* beyond the usual number: serves only some paths */
    struct peri_mono idle_since; /* when the last answer ended, or it was accepted */
    struct evbuffer *old, *raw, *out;
    struct peri_buf head_text;
    struct peri_http_head_scan scan;
    struct peri_http_chunks chunks;
    uint64_t left;     /* CONN_BODY: bytes still to come */
    uint64_t body;     /* CONN_CHUNKED: bytes of body so far */
    uint64_t received; /* bytes of this request so far */
    bool started;      /* first byte of this request seen at ... */
    struct peri_mono start;
    struct peri_http_head head; /* until the request takes it */
    struct peri_http_refusal refusal;
    struct peri_http_request *req; /* being answered */
};

struct peri_http_server {
    struct peri_loop *loop;
    struct peri_log *log;
    struct evhttp *http;
    struct evconnlistener *listener;
    struct event *adopt; /* fires between accept and the first byte */
    struct peri_timer *accept_again;
    struct ssl_ctx_st *tls;
    struct conn *conns, *pending; /* pending: bufferevents that evhttp has not finished setting up */
    struct conn **by_fd;
    size_t by_fd_cap, conn_count;
    struct peri_http_request *requests; /* not answered yet, also those whose peer is gone */
    struct http_linger *lingers;
    size_t linger_count;
    size_t max_body, max_headers;
    struct timeval timeout;
    char *unix_path;
    int port;
    void (*handler)(void *ctx, struct peri_http_request *req);
    bool (*reserved)(const char *path);
    void *ctx;
    size_t max_connections;
    struct peri_metric *m_evicted, *m_requests[6], *m_refused, *m_connections;
};

struct peri_http_request {
    struct peri_http_server *server; /* NULL: the server is gone */
    struct conn *conn;               /* NULL: the peer is gone */
    struct evhttp_request *evreq;
    struct peri_http_head head;
    char *remote;
    const char *body;
    size_t body_len;
    void (*on_close)(void *arg);
    void *on_close_arg;
    struct peri_http_request *prev, *next; /* of the server's open requests */
    bool streaming;
    bool dropped; /* the reader of the stream lags too far behind */
};

/* http_server_conn.c */
struct bufferevent *http_server_new_bufferevent(struct event_base *base, void *server);
void http_server_adopt(int fd, short what, void *server);
struct conn *http_server_conn(struct peri_http_server *server, int fd);
/* The request was answered: the connection goes on with what was pipelined. */
void http_server_conn_next(struct conn *conn);
/* Lets evhttp notice that the peer goes away while the handler works. */
void http_server_conn_serving(struct conn *conn);
/* Closes the connection that has been idle for the longest time; false when none is. */
bool http_server_make_room(struct peri_http_server *server);
void http_server_conn_kill(struct conn *conn);
void http_server_lingers_finish(struct peri_http_server *server);

/* http_server_answer.c */
void http_server_refuse(
    struct peri_http_server *server, struct evhttp_request *evreq, const struct peri_http_refusal *refusal);
/* The server goes before the handler answered: the peer hears 503 now, and the request lives on without connection
 * until its handler is done with it. */
void http_request_orphan(struct peri_http_request *req);
/* What is written already goes out as far as the socket takes it: for the last moment of a server. */
void http_server_flush(struct conn *conn);
void http_request_free(struct peri_http_request *req);
enum peri_status http_problem_body(
    int status, const char *detail, const struct peri_value *extra, struct peri_buf *out);
const char *http_reason(int status);

#endif
