/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_HTTP_SERVER_INTERNAL_H
#define PERI_IO_HTTP_SERVER_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/buf.h"
#include "io/http_server.h"
#include "io/http_server_check.h"

/* What the files of http_server*.c share. */

#define PERI_HTTP_CONNECTIONS_MAX 1024
#define PERI_HTTP_CONNECTIONS_RESERVED 32      /* beyond them, for the paths of options.reserved */
#define PERI_HTTP_PIPELINE_MAX (64 * 1024)     /* bytes kept behind a request that is being answered */
#define PERI_HTTP_STREAM_MAX (4 * 1024 * 1024) /* bytes a stream's reader may lag behind */
#define PERI_HTTP_PIECE (64 * 1024)            /* bytes read at once */
#define PERI_HTTP_REMOTE 64                    /* bytes of a peer's address as text */

struct ssl_st;
struct ssl_ctx_st;

enum conn_phase {
    CONN_HEAD,    /* reading a header block */
    CONN_BODY,    /* reading a body of known length */
    CONN_CHUNKED, /* reading a chunked body */
    CONN_SERVED,  /* the request is whole; what follows waits until it is answered */
    CONN_CLOSING, /* ends when the answer is written; whatever comes is dropped */
    CONN_DEAD     /* is freed in the next round of the loop */
};

struct conn {
    struct conn *prev, *next;
    struct conn *doomed; /* the next dead one */
    struct peri_http_server *server;
    int fd;
    struct ssl_st *tls; /* NULL: plain */
    struct peri_io *io;
    int watched; /* PERI_IO_...: what io waits for */
    enum conn_phase phase;
    bool busy;                   /* bytes are being read: it must not be freed */
    bool whole;                  /* the request is read, its handler not called yet */
    bool refused;                /* and closes slowly, so that the peer sees the answer */
    bool reserved;               /* beyond the usual number: serves only some paths */
    bool pending;                /* the socket did not take all that is to be written */
    bool tls_crossed;            /* TLS waits for the other direction than the one that was asked for */
    bool started;                /* the first byte of this request was seen at `start` */
    struct peri_mono idle_since; /* when the last answer ended, or it was accepted */
    struct peri_mono moved;      /* when bytes last came, or an answer was through */
    struct peri_mono taken;      /* when the peer last took bytes of what waits to be written */
    struct peri_mono start;
    uint64_t received; /* bytes of this request so far */
    uint64_t left;     /* CONN_BODY: bytes still to come */
    char remote[PERI_HTTP_REMOTE];
    struct peri_buf head_text;
    struct peri_http_head_scan scan;
    struct peri_http_chunks chunks;
    struct peri_http_head head; /* until the request takes it */
    struct peri_buf body;       /* the same */
    struct peri_buf ahead;      /* what came behind the request being answered, from ahead_at on */
    size_t ahead_at;
    struct peri_buf out; /* to be written, from out_at on */
    size_t out_at;
    struct peri_http_request *req; /* being answered */
};

struct peri_http_server {
    struct peri_loop *loop;
    struct peri_log *log;
    int fd; /* listens */
    struct peri_io *io;
    struct peri_timer *accept_again, *reaper, *sweeper;
    bool posted; /* reaps in the next round, for want of memory */
    struct ssl_ctx_st *tls;
    struct conn *conns, *doomed;
    size_t conn_count;
    struct peri_http_request *requests; /* not answered yet, also those whose peer is gone */
    struct http_linger *lingers;
    size_t linger_count;
    size_t max_body, max_headers;
    int64_t timeout_ms;
    char *unix_path;
    int port;
    void (*handler)(void *ctx, struct peri_http_request *req);
    bool (*reserved)(const char *path);
    void *ctx;
    size_t max_connections;
    int64_t date_s; /* the second that `date` tells */
    char date[40];
    char input[PERI_HTTP_PIECE];
    struct peri_metric *m_evicted, *m_requests[6], *m_refused, *m_connections;
};

struct http_header;

struct peri_http_request {
    struct peri_http_server *server; /* NULL: the server is gone */
    struct conn *conn;               /* NULL: the peer is gone */
    struct peri_http_head head;
    char *body; /* NULL: empty */
    size_t body_len;
    struct http_header *headers; /* of the answer */
    void (*on_close)(void *arg);
    void *on_close_arg;
    struct peri_http_request *prev, *next; /* of the server's open requests */
    bool streaming;
    bool chunked; /* the stream */
    char remote[PERI_HTTP_REMOTE];
};

/* http_server_accept.c */
enum peri_status http_server_listen(struct peri_http_server *server, const char *listen, struct peri_error *err);
void http_server_listen_end(struct peri_http_server *server);

/* http_server_conn.c */
/* A new connection. take fd */
void http_conn_open(struct peri_http_server *server, int fd, const char *remote);
/* Closes the connection that has been idle for the longest time; false when none is. */
bool http_server_make_room(struct peri_http_server *server);
/* At once: its request, if there is one, hears that the peer is gone. Not while it is busy. */
void http_conn_free(struct conn *conn);
/* In the next round. */
void http_conn_doom(struct conn *conn);
/* What was to be written is: goes on with what was pipelined, or closes. */
void http_conn_written(struct conn *conn);

/* http_server_wire.c */
/* Up to size bytes; 0: none now, -1: the peer is gone. */
ssize_t http_wire_read(struct conn *conn, char *data, size_t size);
/* Writes what is to be written as far as the socket takes it, the rest when it takes more. */
void http_wire_write(struct conn *conn);
/* Closes the socket, or leaves it to be read for a while. */
void http_wire_close(struct conn *conn);
void http_server_lingers_finish(struct peri_http_server *server);

/* http_server_answer.c */
/* The connection's present request is not served, and it is closed after this answer. head: it has no body. */
void http_server_refuse(struct conn *conn, bool head, const struct peri_http_refusal *refusal);
/* The server goes before the handler answered: the peer hears 503 now, and the request lives on without connection
 * until its handler is done with it. */
void http_request_orphan(struct peri_http_request *req);
void http_request_free(struct peri_http_request *req);
enum peri_status http_problem_body(
    int status, const char *detail, const struct peri_value *extra, struct peri_buf *out);
const char *http_reason(int status);

#endif
