/* SPDX-License-Identifier: Apache-2.0 */
/* Calls, their queue, and libcurl's multi interface on the loop. libcurl tells which sockets and which timer to watch;
 * we tell it what happened. done() is only ever called from here, never from within a libcurl callback. */
#include "io/http_client_internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"

#define WAITING_MAX 10000
#define HEADER_BYTES_MAX (64 * 1024)

/* ---- what curl calls back ---- */

/* The host of the URL that the transfer is at now: redirects change it. */
static void present_host(const struct peri_http_call *call, char *out, size_t size)
{
    const char *url = NULL;
    char *host = NULL;
    CURLU *parts = NULL;
    snprintf(out, size, "%s", call->url_host);
    if (call->redirects && curl_easy_getinfo(call->easy, CURLINFO_EFFECTIVE_URL, &url) == CURLE_OK && url && *url)
        parts = curl_url();
    if (parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
        http_curl_url_get(parts, CURLUPART_HOST, &host) == CURLUE_OK)
        snprintf(out, size, "%s", host);
    for (char *p = out; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    curl_free(host);
    curl_url_cleanup(parts);
}

bool http_call_may_connect(struct peri_http_call *call, const char *address, int port)
{
    char host[256];
    bool is_private = peri_address_is_private(address);
    present_host(call, host, sizeof(host));
    if (call->allow ? call->allow(call->allow_ctx, host, address, port, is_private) : !is_private)
        return true;
    snprintf(call->blocked, sizeof(call->blocked), "%s", address);
    return false;
}

/* Called with each address that DNS gave, before anything is sent there. */
static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    char text[INET6_ADDRSTRLEN];
    const void *bytes = NULL;
    int port = 0;
    if (address->family == AF_INET) {
        const struct sockaddr_in *in = (const void *)&address->addr;
        bytes = &in->sin_addr;
        port = ntohs(in->sin_port);
    } else if (address->family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *)&address->addr;
        bytes = &in->sin6_addr;
        port = ntohs(in->sin6_port);
    }
    struct peri_http_call *call = arg;
    if (!bytes || !inet_ntop(address->family, bytes, text, sizeof(text)))
        return CURL_SOCKET_BAD;
    if (call->smtp ? !http_thread_may_connect(call, text, port) : !http_call_may_connect(call, text, port))
        return CURL_SOCKET_BAD;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd >= 0 && !call->smtp && !http_client_socket_add(call->client, fd)) {
        close(fd);
        return CURL_SOCKET_BAD;
    }
    for (size_t i = 0; call->smtp && i < sizeof(call->sockets) / sizeof(call->sockets[0]); i++) {
        if (call->sockets[i] < 0) {
            call->sockets[i] = fd;
            break;
        }
    }
    return fd;
}

/* Belongs to the connection, which may outlive the call that opened it. */
static int on_close_socket(void *arg, curl_socket_t fd)
{
    return http_client_socket_close(arg, fd);
}

/* Called when the connection stands, new or kept from an earlier call: that one may have been allowed more than this.
 */
static int on_request(void *arg, char *peer, char *local, int peer_port, int local_port)
{
    struct peri_http_call *call = arg;
    if (call->smtp) /* never on a kept connection */
        return CURL_PREREQFUNC_OK;
    if (!http_call_may_connect(call, peer, peer_port))
        return CURL_PREREQFUNC_ABORT;
    call->blocked[0] = '\0';
    /* libcurl sends a request once more by itself when a kept connection ends before the answer. Nobody can tell
     * whether the first one has arrived, so only what changes nothing is repeated that way. */
    call->unanswered = call->sent && !call->repeatable;
    if (call->unanswered)
        return CURL_PREREQFUNC_ABORT;
    call->connected = call->sent = true;
    return CURL_PREREQFUNC_OK;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct peri_http_call *call = arg;
    size_t len = size * count;
    enum peri_status st = peri_buf_append(&call->response, data, len);
    call->too_large |= st == PERI_ELIMIT;
    call->nomem |= st == PERI_ENOMEM;
    return st == PERI_OK ? len : 0;
}

static void take_header(struct peri_http_call *call, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    if (!colon || colon == line)
        return;
    const char *value = colon + 1, *end = line + len;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    for (const char *p = line; p < colon; p++)
        peri_buf_putc(&call->response_head, (char)tolower((unsigned char)*p));
    peri_buf_putc(&call->response_head, '\0');
    peri_buf_append(&call->response_head, value, (size_t)(end - value));
    peri_buf_putc(&call->response_head, '\0');
    call->header_count++;
}

/* HTTP: every line of every header block. SMTP: every line the server says. */
static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct peri_http_call *call = arg;
    size_t len = size * count, n = len;
    call->header_bytes += len;
    if (call->header_bytes > HEADER_BYTES_MAX) {
        call->too_large = true;
        return 0;
    }
    while (n > 0 && (data[n - 1] == '\r' || data[n - 1] == '\n' || data[n - 1] == ' '))
        n--;
    if (call->smtp) {
        peri_buf_reset(&call->response);
        peri_buf_append(&call->response, data, n);
        call->reply_code = n >= 3 ? (int)strtol(peri_buf_text(&call->response), NULL, 10) : 0;
    } else if (n >= 5 && memcmp(data, "HTTP/", 5) == 0) { /* after 100 Continue or a redirect all starts anew */
        peri_buf_reset(&call->response_head);
        call->header_count = 0;
        call->sent = false; /* what follows a redirect is another request */
    } else if (!memchr(data, '\0', n)) {
        take_header(call, data, n);
    }
    call->nomem |= call->response_head.failed == PERI_ENOMEM;
    return call->nomem ? 0 : len;
}

/* ---- calls ---- */

static struct client_host *host_get(struct peri_http_client *client, const char *name)
{
    for (struct client_host *host = client->hosts; host; host = host->next)
        if (strcmp(host->name, name) == 0)
            return host;
    size_t len = strlen(name);
    struct client_host *host = calloc(1, sizeof(*host) + len + 1);
    if (!host)
        return NULL;
    memcpy(host->name, name, len + 1);
    host->next = client->hosts;
    client->hosts = host;
    return host;
}

static void host_put(struct peri_http_client *client, struct client_host *host)
{
    if (!host || --host->calls > 0)
        return;
    struct client_host **link = &client->hosts;
    while (*link != host)
        link = &(*link)->next;
    *link = host->next;
    free(host);
}

/* libcurl and its TLS library take 3 MiB when they are set up: a service that calls nobody does not need them. */
static bool start_library(struct peri_http_client *client)
{
    if (client->multi)
        return true;
    if (!client->started && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return false;
    client->started = true;
    return http_client_loop_init(client);
}

/* Making a handle and dropping it takes as long as everything else that we do for a call. A spare one comes from
 * curl_easy_reset, which forgets all options, but keeps TLS sessions (which no handle has: see set_common_options)
 * and what it guesses to be state of the user. So the handle of a call that had credentials or certificates, was led
 * elsewhere or failed is never anybody else's, and mail, whose handle has a connection of its own, stays apart. */
static CURL *take_handle(struct peri_http_client *client, bool smtp)
{
    if (!smtp && client->spare_count > 0)
        return client->spare[--client->spare_count];
    return curl_easy_init();
}

static void give_handle(struct peri_http_call *call)
{
    struct peri_http_client *client = call->client;
    bool spare = call->worked && !call->smtp && !call->keeps && !call->redirects && !client->closing;
    if (!spare || client->spare_count >= PERI_HTTP_SPARE) {
        curl_easy_cleanup(call->easy);
        return;
    }
    curl_easy_reset(call->easy);
    client->spare[client->spare_count++] = call->easy;
}

static void set_common_options(struct peri_http_call *call, const char *ca_file)
{
    CURL *easy = call->easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->text);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* ending a call does not wait for its DNS thread */
    curl_easy_setopt(easy, CURLOPT_PROXY, "");      /* a proxy would connect for us, past the address check */
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L); /* handles are used again: nobody goes on with the
                                                                session that another plugin's call has begun */
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, call);
    if (!call->smtp) {
        curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
        curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, call->client);
    }
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, call);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    if (ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
}

enum peri_status http_call_new(struct peri_http_client *client, const char *host, bool smtp, const char *ca_file,
    struct peri_http_call **ret, struct peri_error *err)
{
    if (client->closing)
        return peri_error_set(err, PERI_ESTATE, NULL, "the service is stopping");
    if (client->waiting_count >= WAITING_MAX)
        return peri_error_set(err, PERI_EBUSY, NULL, "%d requests are waiting already", WAITING_MAX);
    struct peri_http_call *call = calloc(1, sizeof(*call));
    if (!call)
        return peri_error_nomem(err);
    call->client = client;
    call->smtp = smtp;
    memset(call->sockets, 0xFF, sizeof(call->sockets));
    peri_buf_init(&call->response, 64 * 1024);
    peri_buf_init(&call->response_head, 2 * HEADER_BYTES_MAX);
    call->url_host = peri_strdup(host);
    for (char *p = call->url_host; p && *p; p++)
        *p = (char)tolower((unsigned char)*p);
    call->host = call->url_host ? host_get(client, call->url_host) : NULL;
    if (call->host)
        call->host->calls++;
    call->easy = call->host && start_library(client) ? take_handle(client, smtp) : NULL;
    if (!call->easy) {
        http_call_free(call);
        return peri_error_nomem(err);
    }
    set_common_options(call, ca_file ? ca_file : client->ca_file);
    *ret = call;
    return PERI_OK;
}

static void unlink_call(struct peri_http_call *call)
{
    struct peri_http_client *client = call->client;
    if (call->state == CALL_NEW)
        return;
    bool running = call->state == CALL_RUNNING;
    struct peri_http_call **first = running ? &client->running : &client->waiting;
    *(call->prev ? &call->prev->next : first) = call->next;
    if (call->next)
        call->next->prev = call->prev;
    else if (!running)
        client->waiting_last = call->prev;
    if (running) {
        if (!call->smtp && !call->stub)
            curl_multi_remove_handle(client->multi, call->easy);
        client->running_count--;
        call->host->running--;
    } else {
        client->waiting_count--;
    }
    call->prev = call->next = NULL;
    call->state = CALL_NEW;
    peri_metric_set(client->m_running, (int64_t)client->running_count);
    peri_metric_set(client->m_waiting, (int64_t)client->waiting_count);
}

void http_call_free(struct peri_http_call *call)
{
    if (!call)
        return;
    unlink_call(call);
    peri_timer_cancel(call->timeout);
    peri_timer_cancel(call->soon);
    call->timeout = call->soon = NULL;
    if (call->threaded) {
        http_thread_abandon(call); /* freed when its thread has ended */
        return;
    }
    give_handle(call);
    curl_slist_free_all(call->headers);
    curl_slist_free_all(call->recipients);
    host_put(call->client, call->host);
    if (call->body)
        explicit_bzero(call->body, call->body_len);
    free(call->body);
    free(call->url_host);
    peri_buf_finish(&call->response);
    peri_buf_finish(&call->response_head);
    free(call);
}

static bool fill_headers(const struct peri_http_call *call, struct peri_http_field **ret)
{
    struct peri_http_field *fields = calloc(call->header_count + 1, sizeof(*fields));
    const char *at = peri_buf_text(&call->response_head);
    for (size_t i = 0; fields && i < call->header_count; i++) {
        fields[i].name = at;
        at += strlen(at) + 1;
        fields[i].value = at;
        at += strlen(at) + 1;
    }
    *ret = fields;
    return fields != NULL;
}

/* Tells the end of a call, once, and frees it. */
static void finish(struct peri_http_call *call, enum peri_status st, struct peri_error *err)
{
    struct peri_http_client *client = call->client;
    struct peri_http_response response = {.body = "", .connected = call->connected};
    struct peri_http_field *headers = NULL;
    struct peri_mono now = peri_clock_mono(peri_loop_clock(client->loop));
    response.elapsed_ms = (now.ns - call->start.ns) / 1000000;
    if (st == PERI_OK && !fill_headers(call, &headers))
        st = peri_error_nomem(err);
    if (st == PERI_OK) {
        long code = call->reply_code;
        if (!call->smtp && !call->stub)
            curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &code);
        response.status = (int)code;
        response.headers = headers;
        response.header_count = call->header_count;
        response.body = peri_buf_text(&call->response);
        response.body_len = call->response.len;
    }
    peri_metric_add(client->m_calls, 1);
    if (st)
        peri_metric_add(client->m_failures, 1);
    /* Host and result, nothing of the URL's path: it may hold keys. */
    peri_debug(client->log, "http.client", "%s: %s %d in %lld ms", call->url_host, st ? err->code : "ok",
        response.status, (long long)response.elapsed_ms);
    unlink_call(call);
    call->ended = true;
    call->done(call->arg, st, &response, err);
    free(headers);
    http_call_free(call);
}

void http_call_ended(struct peri_http_call *call, CURLcode rc)
{
    struct peri_error err = {0};
    enum peri_status st = PERI_OK;
    call->worked = rc == CURLE_OK;
    if (rc != CURLE_OK && call->blocked[0] && (rc == CURLE_COULDNT_CONNECT || rc == CURLE_ABORTED_BY_CALLBACK))
        st = http_call_blocked(call, &err);
    else if (call->nomem)
        st = peri_error_nomem(&err);
    else if (call->smtp)
        st = smtp_call_error(call, rc, &err);
    else if (rc != CURLE_OK)
        st = http_call_error(call, rc, &err);
    finish(call, st, &err);
}

enum peri_status http_call_blocked(const struct peri_http_call *call, struct peri_error *err)
{
    char host[256];
    present_host(call, host, sizeof(host));
    return peri_error_set(
        err, PERI_EDENIED, "http.blocked", "connecting to \"%s\" at %s is not allowed", host, call->blocked);
}

static void on_timeout(void *arg)
{
    struct peri_http_call *call = arg;
    struct peri_http_client *client = call->client;
    call->timeout = NULL;
    struct peri_error err = {0};
    peri_error_set(&err, PERI_ETIMEOUT, call->smtp ? "smtp.timeout" : "http.timeout",
        "no answer from \"%s\" within %lld ms%s", call->url_host, (long long)call->timeout_ms,
        call->state == CALL_WAITING ? " (it waited for others all the time)" : "");
    err.outcome_unknown = call->connected;
    finish(call, PERI_ETIMEOUT, &err);
    http_client_reap(client);
}

/* ---- the queue ---- */

static void push(struct peri_http_call **first, struct peri_http_call *last, struct peri_http_call *call)
{
    call->prev = last;
    *(last ? &last->next : first) = call;
}

static void on_answer(void *arg)
{
    struct peri_http_call *call = arg;
    struct peri_http_client *client = call->client;
    call->soon = NULL;
    finish(call, call->answer.status, &call->answer);
    http_client_reap(client);
}

enum peri_status http_call_answer(struct peri_http_call *call, const struct peri_http_send *request)
{
    struct peri_http_client *client = call->client;
    struct peri_http_response response = {0};
    if (!client->answer)
        return PERI_OK;
    call->stub = true;
    enum peri_status st = client->answer(client->answer_ctx, request, &response, &call->answer);
    call->answer.status = st;
    call->connected = st == PERI_OK || call->answer.outcome_unknown;
    call->reply_code = response.status;
    call->answer_ms = response.elapsed_ms;
    if (call->answer_ms > call->timeout_ms) { /* it is not heard any more */
        call->answer_ms = call->timeout_ms;
        call->answer.status = st = PERI_ETIMEOUT;
        peri_error_set(&call->answer, st, call->smtp ? "smtp.timeout" : "http.timeout",
            "no answer from \"%s\" within %lld ms", call->url_host, (long long)call->timeout_ms);
        call->answer.retryable = true;
        call->answer.outcome_unknown = true;
    }
    for (size_t i = 0; st == PERI_OK && i < response.header_count; i++) {
        const char *name = response.headers[i].name, *value = response.headers[i].value;
        (void)peri_buf_append(&call->response_head, name, strlen(name) + 1);
        (void)peri_buf_append(&call->response_head, value, strlen(value) + 1);
        call->header_count++;
    }
    if (st == PERI_OK && response.body_len)
        (void)peri_buf_append(&call->response, response.body, response.body_len);
    return call->response.failed || call->response_head.failed ? PERI_ENOMEM : PERI_OK;
}

static bool begin(struct peri_http_call *call)
{
    struct peri_http_client *client = call->client;
    if (call->stub) /* done() is never called before send has returned */
        return peri_loop_after(client->loop, call->answer_ms, on_answer, call, &call->soon) == PERI_OK;
    if (call->smtp)
        return http_thread_start(call);
    return curl_multi_add_handle(client->multi, call->easy) == CURLM_OK;
}

static enum peri_status start(struct peri_http_call *call)
{
    struct peri_http_client *client = call->client;
    unlink_call(call);
    if (!begin(call))
        return PERI_ENOMEM;
    call->state = CALL_RUNNING;
    call->next = client->running;
    if (call->next)
        call->next->prev = call;
    client->running = call;
    client->running_count++;
    call->host->running++;
    peri_metric_set(client->m_running, (int64_t)client->running_count);
    return PERI_OK;
}

static bool may_start(const struct peri_http_call *call)
{
    const struct peri_http_client *client = call->client;
    if (call->smtp && client->thread_count >= PERI_SMTP_THREADS_MAX)
        return false;
    return client->running_count < client->max_in_flight && call->host->running < client->max_per_host;
}

/* In order, passing over those whose host is busy. */
static void start_waiting(struct peri_http_client *client)
{
    for (struct peri_http_call *call = client->waiting, *next; call && client->running_count < client->max_in_flight;
         call = next) {
        next = call->next;
        if (!may_start(call) || start(call) == PERI_OK)
            continue;
        struct peri_error err = {0};
        finish(call, peri_error_nomem(&err), &err);
        next = client->waiting; /* done() may have changed the queue */
    }
}

enum peri_status http_call_submit(struct peri_http_call *call, struct peri_error *err)
{
    struct peri_http_client *client = call->client;
    call->start = peri_clock_mono(peri_loop_clock(client->loop));
    bool now = may_start(call);
    if (peri_loop_after(client->loop, call->timeout_ms, on_timeout, call, &call->timeout) != PERI_OK ||
        (now && start(call) != PERI_OK)) {
        http_call_free(call);
        return peri_error_nomem(err);
    }
    if (now)
        return PERI_OK;
    push(&client->waiting, client->waiting_last, call);
    client->waiting_last = call;
    client->waiting_count++;
    call->state = CALL_WAITING;
    peri_metric_set(client->m_waiting, (int64_t)client->waiting_count);
    return PERI_OK;
}

void peri_http_call_cancel(struct peri_http_call *call)
{
    if (!call || call->ended)
        return;
    struct peri_http_client *client = call->client;
    http_call_free(call);
    start_waiting(client);
}

/* ---- the client ---- */

void http_client_reap(struct peri_http_client *client)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        struct peri_http_call *call = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode rc = message->data.result; /* the message is gone once its handle is removed */
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        http_call_ended(call, rc);
    }
    start_waiting(client);
}

enum peri_status peri_http_client_create(
    const struct peri_http_client_options *options, struct peri_http_client **ret, struct peri_error *err)
{
    struct peri_http_client *client = calloc(1, sizeof(*client));
    if (!client)
        return peri_error_nomem(err);
    signal(SIGPIPE, SIG_IGN); /* libcurl must not do it for each call */
    client->loop = options->loop;
    client->log = options->log;
    client->max_in_flight = options->max_in_flight ? options->max_in_flight : 256;
    client->max_per_host = options->max_per_host ? options->max_per_host : 8;
    client->m_calls = peri_metrics_counter(
        options->metrics, "http_client_requests_total", NULL, "Outgoing HTTP and SMTP calls that ended.");
    client->m_failures = peri_metrics_counter(
        options->metrics, "http_client_failures_total", NULL, "Outgoing calls that ended without an answer.");
    client->m_running = peri_metrics_gauge(options->metrics, "http_client_running", NULL, "Outgoing calls under way.");
    client->m_waiting =
        peri_metrics_gauge(options->metrics, "http_client_waiting", NULL, "Outgoing calls that wait for their turn.");
    client->ca_file = peri_strdup(options->ca_file);
    client->answer = options->answer;
    client->answer_ctx = options->answer_ctx;
    bool threads = http_thread_init(client);
    if ((options->ca_file && !client->ca_file) || !threads) {
        peri_http_client_destroy(client);
        return peri_error_nomem(err);
    }
    *ret = client;
    return PERI_OK;
}

void peri_http_client_destroy(struct peri_http_client *client)
{
    if (!client)
        return;
    client->closing = true;
    while (client->running || client->waiting) {
        struct peri_http_call *call = client->running ? client->running : client->waiting;
        struct peri_error err = {0};
        peri_error_set(&err, PERI_ESTATE, NULL, "the service stopped before \"%s\" answered", call->url_host);
        err.retryable = true;
        err.outcome_unknown = call->connected;
        finish(call, PERI_ESTATE, &err);
    }
    http_thread_finish(client);
    while (client->spare_count > 0)
        curl_easy_cleanup(client->spare[--client->spare_count]);
    http_client_loop_finish(client);
    if (client->started)
        curl_global_cleanup();
    free(client->ca_file);
    free(client);
}
