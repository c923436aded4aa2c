/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_HTTP_CLIENT_INTERNAL_H
#define PERI_IO_HTTP_CLIENT_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <curl/curl.h>
#include "base/buf.h"
#include "io/http_client.h"

/* What http_client.c (calls, queue, loop), http_client_http.c and http_client_smtp.c share. */

/* One name that calls go to. */
struct client_host {
    struct client_host *next;
    size_t calls, running;
    char name[];
};

enum call_state { CALL_NEW, CALL_WAITING, CALL_RUNNING };

struct peri_http_call {
    struct peri_http_call *prev, *next; /* in the client's waiting or running list */
    struct peri_http_client *client;
    enum call_state state;
    bool smtp;
    CURL *easy;
    struct client_host *host;
    struct curl_slist *headers, *recipients;
    char *body; /* copy of what is sent */
    size_t body_len, body_sent;
    char *url_host; /* of the first URL, lower case */
    struct peri_timer *timeout;
    int64_t timeout_ms;
    struct peri_mono start;
    peri_http_allow allow;
    void *allow_ctx;
    peri_http_done done;
    void *arg;

    size_t max_response;
    struct peri_buf response;      /* body; for mail the server's last reply */
    struct peri_buf response_head; /* name NUL value NUL ... */
    size_t header_count, header_bytes;
    int reply_code;        /* mail: of the last reply */
    int sockets[4];        /* mail: open ones, -1 for none */
    atomic_bool connected; /* bytes of the request may have left */
    bool repeatable;       /* GET or HEAD */
    bool redirects;        /* may be led to another host */
    bool keeps;            /* its handle holds what no other call may meet: credentials, certificates */
    bool worked;           /* libcurl has ended it well */
    bool sent, unanswered; /* a request is out without any answer so far; one more of it was to be sent */
    bool too_large, nomem;
    bool ended; /* done() is being or was called */
    bool stub;  /* the client's answer() has answered, with `answer` */
    struct peri_error answer;
    int64_t answer_ms; /* after so long */
    struct peri_timer *soon;
    char blocked[64]; /* the address that was refused last, "" for none */
    char text[CURL_ERROR_SIZE];

    /* Mail only. While `threaded`, its thread uses the call; the loop's thread keeps to the fields above
     * `max_response`. */
    bool threaded;
    pthread_t thread;
    CURLcode rc;
    atomic_bool cancelled; /* the thread shall end, its outcome does not matter */
    struct peri_http_call *thread_next, *finished_next, *question_next;
    enum { QUESTION_NONE, QUESTION_ASKED, QUESTION_ALLOWED, QUESTION_DENIED } question_state;
    const char *question_address;
    int question_port;
};

#define PERI_HTTP_SPARE 64 /* some 6 KiB each */

/* A connection's socket that on_open_socket has made, until libcurl closes it. */
struct client_socket {
    struct client_socket *next;
    struct peri_http_client *client;
    int fd;
    struct peri_io *io; /* NULL: not watched */
    int wanted;         /* what io waits for */
    bool rests;         /* libcurl has no use for it now */
};

struct peri_http_client {
    bool started; /* libcurl is set up; with the first call */
    struct peri_loop *loop;
    struct peri_log *log;
    CURLM *multi;
    struct peri_timer *timer;
    char *ca_file;
    size_t max_in_flight, max_per_host;
    struct peri_http_call *running, *waiting, *waiting_last;
    size_t running_count, waiting_count;
    struct client_host *hosts;
    CURL *spare[PERI_HTTP_SPARE]; /* handles of calls that ended well, as new */
    size_t spare_count;
    struct client_socket *sockets;
    bool closing;
    struct peri_http_call *threads; /* all calls that have one */
    size_t thread_count;
    int wake_fd;
    struct peri_io *wake_io;
    pthread_mutex_t lock; /* of questions and finished */
    pthread_cond_t answered;
    struct peri_http_call *questions, *finished;
    peri_http_stub answer;
    void *answer_ctx;
    struct peri_metric *m_calls, *m_failures, *m_running, *m_waiting;
};

/* http_client_curl.c: maps libcurl, once a process; before any other function of it. PERI_EIO "http.library". */
enum peri_status http_curl_load(struct peri_error *err) PERI_MUST_CHECK;
CURLUcode http_curl_url_get(CURLU *url, CURLUPart what, char **ret_part);

/* A call with its easy handle and what is common to both protocols; *host is copied in lower case. */
enum peri_status http_call_new(struct peri_http_client *client, const char *host, bool smtp, const char *ca_file,
    struct peri_http_call **ret, struct peri_error *err) PERI_MUST_CHECK;
/* Queues it. The call is freed on failure. */
enum peri_status http_call_submit(struct peri_http_call *call, struct peri_error *err) PERI_MUST_CHECK;
/* Asks the client's answer(), when it has one. PERI_ENOMEM. */
enum peri_status http_call_answer(struct peri_http_call *call, const struct peri_http_send *request) PERI_MUST_CHECK;
/* With its thread still at work: later. */
void http_call_free(struct peri_http_call *call);
/* Tells the end of a call by libcurl's result, and frees it. */
void http_call_ended(struct peri_http_call *call, CURLcode rc);
/* Asks the call's allow(). Loop thread. */
bool http_call_may_connect(struct peri_http_call *call, const char *address, int port);

/* How a finished transfer is told. Return err->status. */
enum peri_status http_call_error(struct peri_http_call *call, CURLcode rc, struct peri_error *err);
enum peri_status smtp_call_error(struct peri_http_call *call, CURLcode rc, struct peri_error *err);
/* PERI_EDENIED "http.blocked". */
enum peri_status http_call_blocked(const struct peri_http_call *call, struct peri_error *err);

/* http_client_thread.c: mail. */
#define PERI_SMTP_THREADS_MAX 8
bool http_thread_init(struct peri_http_client *client);
void http_thread_finish(struct peri_http_client *client);
bool http_thread_start(struct peri_http_call *call) PERI_MUST_CHECK;
void http_thread_abandon(struct peri_http_call *call);
/* On the mail's thread: waits for the loop's thread to say. */
bool http_thread_may_connect(struct peri_http_call *call, const char *address, int port);

/* http_client_loop.c: libcurl's sockets and timer on the loop. */
bool http_client_loop_init(struct peri_http_client *client);
void http_client_loop_finish(struct peri_http_client *client);
/* Keeps track of a connection's socket, from its making to its end; which close() is ours. False: no memory. */
bool http_client_socket_add(struct peri_http_client *client, int fd);
int http_client_socket_close(struct peri_http_client *client, int fd);
/* Tells the calls that libcurl has finished, and starts waiting ones. */
void http_client_reap(struct peri_http_client *client);

#endif
