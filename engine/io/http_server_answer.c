/* SPDX-License-Identifier: Apache-2.0 */
/* Answers: whole, problem documents, streams. */
#include "io/http_server_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>

#include "base/str.h"
#include "data/json.h"

#define PROBLEM_MAX (256 * 1024)

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *http_reason(int status)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return status < 300 ? "OK" : status < 400 ? "Redirect" : status < 500 ? "Client Error" : "Server Error";
}

static void unlink_request(struct peri_http_request *req)
{
    if (req->conn)
        req->conn->req = NULL;
    if (!req->server)
        return;
    if (req->prev)
        req->prev->next = req->next;
    else if (req->server->requests == req)
        req->server->requests = req->next;
    if (req->next)
        req->next->prev = req->prev;
    req->prev = req->next = NULL;
}

void http_request_free(struct peri_http_request *req)
{
    unlink_request(req);
    peri_http_head_finish(&req->head);
    free(req->remote);
    free(req);
}

enum peri_status peri_http_set_header(struct peri_http_request *req, const char *name, const char *value)
{
    if (!peri_http_is_token(name, strlen(name)) || !peri_http_is_value(value, strlen(value)))
        return PERI_EINVAL;
    struct evkeyvalq *headers = evhttp_request_get_output_headers(req->evreq);
    /* evhttp frames the answer; two opinions about its length would be one too many. */
    if (strcasecmp(name, "Content-Length") == 0 || strcasecmp(name, "Transfer-Encoding") == 0)
        return PERI_EINVAL;
    if (strcasecmp(name, "Set-Cookie") != 0 && strcasecmp(name, "Link") != 0)
        evhttp_remove_header(headers, name);
    return evhttp_add_header(headers, name, value) == 0 ? PERI_OK : PERI_ENOMEM;
}

static void count_answer(struct peri_http_server *server, int status)
{
    int class = status / 100;
    if (server && class >= 1 && class <= 5)
        peri_metric_add(server->m_requests[class], 1);
}

static void log_answer(const struct peri_http_request *req, int status)
{
    /* The path only: queries hold tokens. */
    if (req->server)
        peri_debug(req->server->log, "http", "%s %s from %s: %d", req->head.method, req->head.path,
            peri_http_remote(req), status);
}

/* Hands the answer to evhttp, which frees its request when it is written or when the peer is gone. */
static void reply(
    struct evhttp_request *evreq, bool head, int status, const char *content_type, const void *body, size_t len)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(evreq);
    bool no_body = status == 204 || status == 304;
    if (no_body)
        len = 0;
    else if (content_type && !evhttp_find_header(headers, "Content-Type"))
        evhttp_add_header(headers, "Content-Type", content_type);
    if (head && !no_body) {
        char text[32];
        snprintf(text, sizeof(text), "%zu", len);
        evhttp_add_header(headers, "Content-Length", text);
        len = 0;
    }
    struct evbuffer *out = len ? evbuffer_new() : NULL;
    if (len && (!out || evbuffer_add(out, body, len) < 0))
        status = 500; /* with an empty body */
    evhttp_send_reply(evreq, status, http_reason(status), out);
    if (out)
        evbuffer_free(out);
}

void peri_http_answer(struct peri_http_request *req, int status, const char *content_type, const void *body, size_t len)
{
    if (req->streaming) { /* too late for anything else */
        peri_http_stream_end(req);
        return;
    }
    count_answer(req->server, status);
    log_answer(req, status);
    if (req->server)
        reply(req->evreq, strcmp(req->head.method, "HEAD") == 0, status, content_type, body, len);
    else
        evhttp_request_free(req->evreq);
    http_request_free(req);
}

enum peri_status http_problem_body(int status, const char *detail, const struct peri_value *extra, struct peri_buf *out)
{
    struct peri_value *map = peri_value_map();
    enum peri_status st = map ? peri_map_put_text(map, "type", "about:blank") : PERI_ENOMEM;
    if (st == PERI_OK)
        st = peri_map_put_text(map, "title", http_reason(status));
    if (st == PERI_OK)
        st = peri_map_put_int(map, "status", status);
    if (st == PERI_OK && detail && peri_utf8_valid(detail, strlen(detail), NULL))
        st = peri_map_put_text(map, "detail", detail);
    for (void *it = extra ? peri_map_first(extra) : NULL; it && st == PERI_OK; it = peri_map_next(extra, it))
        st = peri_map_put_ref(map, peri_map_key(it, NULL), peri_map_item(it));
    if (st == PERI_OK)
        st = peri_json_write(out, map, PERI_JSON_COMPACT);
    if (st == PERI_OK)
        st = peri_buf_putc(out, '\n');
    peri_value_unref(map);
    return st;
}

static void add_if_absent(struct evhttp_request *evreq, const char *name, const char *value)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(evreq);
    if (!evhttp_find_header(headers, name))
        evhttp_add_header(headers, name, value);
}

void peri_http_problem(struct peri_http_request *req, int status, const char *detail, const struct peri_value *extra)
{
    struct peri_buf body;
    peri_buf_init(&body, PROBLEM_MAX);
    if (http_problem_body(status, detail, extra, &body) != PERI_OK) {
        peri_buf_reset(&body);
        peri_buf_printf(
            &body, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d}\n", http_reason(status), status);
    }
    if (status == 401)
        add_if_absent(req->evreq, "WWW-Authenticate", "Bearer realm=\"perigee\"");
    if (status == 429 || status == 503)
        add_if_absent(req->evreq, "Retry-After", "1");
    peri_http_answer(req, status, "application/problem+json", peri_buf_text(&body), body.len);
    peri_buf_finish(&body);
}

void http_server_refuse(
    struct peri_http_server *server, struct evhttp_request *evreq, const struct peri_http_refusal *refusal)
{
    struct peri_buf body;
    peri_buf_init(&body, PROBLEM_MAX);
    if (http_problem_body(refusal->status, refusal->detail, NULL, &body) != PERI_OK)
        peri_buf_reset(&body);
    if (refusal->status == 503)
        add_if_absent(evreq, "Retry-After", "1");
    if (refusal->status == 501)
        add_if_absent(evreq, "Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    add_if_absent(evreq, "Connection", "close");
    count_answer(server, refusal->status);
    peri_metric_add(server->m_refused, 1);
    peri_debug(server->log, "http", "refused a request: %d, %s", refusal->status, refusal->detail);
    reply(evreq, evhttp_request_get_command(evreq) == EVHTTP_REQ_HEAD, refusal->status, "application/problem+json",
        peri_buf_text(&body), body.len);
    peri_buf_finish(&body);
}

void http_server_flush(struct conn *conn)
{
    struct evbuffer *out = bufferevent_get_output(conn->bev);
    if (conn->server->tls)
        return;
    evbuffer_unfreeze(out, 1);
    while (evbuffer_get_length(out) > 0 && evbuffer_write(out, conn->fd) > 0)
        continue;
    evbuffer_freeze(out, 1);
}

void http_request_orphan(struct peri_http_request *req)
{
    evhttp_request_own(req->evreq);
    if (req->conn && !req->streaming) {
        struct peri_buf body;
        peri_buf_init(&body, PROBLEM_MAX);
        if (http_problem_body(503, "the service is stopping", NULL, &body) != PERI_OK)
            peri_buf_reset(&body);
        add_if_absent(req->evreq, "Connection", "close");
        add_if_absent(req->evreq, "Retry-After", "1");
        evhttp_request_set_on_complete_cb(req->evreq, NULL, NULL);
        count_answer(req->server, 503);
        reply(req->evreq, strcmp(req->head.method, "HEAD") == 0, 503, "application/problem+json", peri_buf_text(&body),
            body.len);
        peri_buf_finish(&body);
    }
    unlink_request(req);
    req->conn = NULL;
    req->server = NULL;
}

void peri_http_stream_begin(struct peri_http_request *req, int status, const char *content_type)
{
    count_answer(req->server, status);
    log_answer(req, status);
    req->streaming = true;
    if (content_type)
        add_if_absent(req->evreq, "Content-Type", content_type);
    if (req->head.minor == 0)
        add_if_absent(req->evreq, "Connection", "close");
    if (req->conn)
        evhttp_send_reply_start(req->evreq, status, http_reason(status));
}

void peri_http_stream_send(struct peri_http_request *req, const void *data, size_t len)
{
    if (!req->conn || req->dropped || len == 0)
        return;
    struct evbuffer *piece = evbuffer_new();
    if (piece && evbuffer_add(piece, data, len) == 0)
        evhttp_send_reply_chunk(req->evreq, piece);
    if (!piece || evbuffer_get_length(bufferevent_get_output(req->conn->bev)) > PERI_HTTP_STREAM_MAX) {
        /* A stream with a hole is worse than none: the client comes back with Last-Event-ID. */
        req->dropped = true;
        http_server_conn_kill(req->conn);
    }
    if (piece)
        evbuffer_free(piece);
}

void peri_http_stream_end(struct peri_http_request *req)
{
    if (req->server)
        evhttp_send_reply_end(req->evreq);
    else
        evhttp_request_free(req->evreq);
    http_request_free(req);
}
