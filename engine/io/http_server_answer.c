/* SPDX-License-Identifier: Apache-2.0 */
/* Answers: whole, problem documents, streams. */
#include "io/http_server_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/pool.h"
#include "base/str.h"
#include "base/timefmt.h"
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

/* ---- headers ---- */

struct http_header {
    struct http_header *next;
    char *name, *value; /* behind it */
};

static struct http_header **find_header(struct http_header **link, const char *name)
{
    while (*link && strcasecmp((*link)->name, name) != 0)
        link = &(*link)->next;
    return link;
}

static bool put_header(struct http_header **headers, const char *name, const char *value, bool replace)
{
    size_t name_size = strlen(name) + 1, value_size = strlen(value) + 1;
    struct http_header *header = malloc(sizeof(*header) + name_size + value_size), **link;
    if (!header)
        return false;
    header->name = memcpy(header + 1, name, name_size);
    header->value = memcpy(header->name + name_size, value, value_size);
    while (replace && *(link = find_header(headers, name))) {
        struct http_header *old = *link;
        *link = old->next;
        free(old);
    }
    for (link = headers; *link; link = &(*link)->next)
        continue;
    header->next = NULL;
    *link = header;
    return true;
}

static void add_if_absent(struct peri_http_request *req, const char *name, const char *value)
{
    if (!*find_header(&req->headers, name))
        (void)put_header(&req->headers, name, value, false);
}

enum peri_status peri_http_set_header(struct peri_http_request *req, const char *name, const char *value)
{
    if (!peri_http_is_token(name, strlen(name)) || !peri_http_is_value(value, strlen(value)))
        return PERI_EINVAL;
    /* We frame the answer; two opinions about its length would be one too many. */
    if (strcasecmp(name, "Content-Length") == 0 || strcasecmp(name, "Transfer-Encoding") == 0)
        return PERI_EINVAL;
    bool replace = strcasecmp(name, "Set-Cookie") != 0 && strcasecmp(name, "Link") != 0;
    return put_header(&req->headers, name, value, replace) ? PERI_OK : PERI_ENOMEM;
}

/* ---- requests ---- */

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
    while (req->headers) {
        struct http_header *header = req->headers;
        req->headers = header->next;
        free(header);
    }
    peri_http_head_finish(&req->head);
    free(req->body);
    peri_pool_free(req);
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

/* ---- answers ---- */

/* "Fri, 02 Jan 2026 03:04:05 GMT" */
static const char *date_of(struct peri_http_server *server)
{
    int64_t now_s = peri_clock_wall_ms(peri_loop_clock(server->loop)) / 1000;
    if (now_s == server->date_s && server->date[0])
        return server->date;
    peri_time_format_mail(now_s * 1000, server->date);
    memcpy(server->date + strlen(server->date) - sizeof("+0000") + 1, "GMT", sizeof("GMT"));
    server->date_s = now_s;
    return server->date;
}

static void put_number(struct peri_buf *out, size_t n)
{
    char digits[20], *first = digits + sizeof(digits);
    do
        *--first = (char)('0' + n % 10);
    while (n /= 10);
    (void)peri_buf_append(out, first, (size_t)(digits + sizeof(digits) - first));
}

static void put_text(struct peri_buf *out, const char *text)
{
    (void)peri_buf_puts(out, text);
}

/* What an answer is made of. */
struct answer {
    int minor, status;
    const char *content_type;          /* or NULL */
    const struct http_header *headers; /* they win */
    bool close;
    bool chunked;
    bool sized; /* its length is told */
    size_t len;
};

static void put_head(struct conn *conn, const struct answer *a)
{
    struct peri_buf *out = &conn->out;
    bool typed = false;
    char code[4] = {
        (char)('0' + a->status / 100 % 10), (char)('0' + a->status / 10 % 10), (char)('0' + a->status % 10)};
    (void)peri_buf_reserve(out, 256);
    put_text(out, a->minor == 0 ? "HTTP/1.0 " : "HTTP/1.1 ");
    (void)peri_buf_append(out, code, 3);
    (void)peri_buf_putc(out, ' ');
    put_text(out, http_reason(a->status));
    put_text(out, "\r\nDate: ");
    put_text(out, date_of(conn->server));
    for (const struct http_header *h = a->headers; h; h = h->next) {
        if (strcasecmp(h->name, "Connection") == 0) /* ours says it */
            continue;
        typed |= strcasecmp(h->name, "Content-Type") == 0;
        put_text(out, "\r\n");
        put_text(out, h->name);
        put_text(out, ": ");
        put_text(out, h->value);
    }
    if (a->content_type && !typed) {
        put_text(out, "\r\nContent-Type: ");
        put_text(out, a->content_type);
    }
    if (a->sized) {
        put_text(out, "\r\nContent-Length: ");
        put_number(out, a->len);
    }
    if (a->chunked)
        put_text(out, "\r\nTransfer-Encoding: chunked");
    put_text(out, a->close ? "\r\nConnection: close\r\n\r\n" : "\r\n\r\n");
}

/* body may be NULL: it is not sent, to HEAD. */
static void put_answer(struct conn *conn, struct answer *a, const void *body)
{
    bool none = a->status == 204 || a->status == 304;
    a->sized = !none;
    if (none)
        a->content_type = NULL;
    put_head(conn, a);
    if (body && !none)
        (void)peri_buf_append(&conn->out, body, a->len);
}

static bool wants_close(const struct peri_http_request *req)
{
    struct peri_http_request *r = (struct peri_http_request *)(uintptr_t)req;
    const struct http_header *header = *find_header(&r->headers, "Connection");
    return req->head.close || (header && strcasecmp(header->value, "close") == 0);
}

static bool is_head(const struct peri_http_request *req)
{
    return strcmp(req->head.method, "HEAD") == 0;
}

/* The request is answered; the rest is the connection's. */
static void end_request(struct peri_http_request *req, bool close)
{
    struct conn *conn = req->conn;
    http_request_free(req);
    if (!conn || conn->phase == CONN_DEAD)
        return;
    if (close)
        conn->phase = CONN_CLOSING;
    if (conn->out.len > 0 || conn->out.failed)
        http_wire_write(conn);
    else
        http_conn_written(conn);
}

void peri_http_answer(struct peri_http_request *req, int status, const char *content_type, const void *body, size_t len)
{
    if (req->streaming) { /* too late for anything else */
        peri_http_stream_end(req);
        return;
    }
    count_answer(req->server, status);
    log_answer(req, status);
    bool close = wants_close(req);
    struct answer a = {.minor = req->head.minor,
        .status = status,
        .content_type = content_type,
        .headers = req->headers,
        .close = close,
        .len = len};
    if (req->conn && req->conn->phase != CONN_DEAD)
        put_answer(req->conn, &a, is_head(req) ? NULL : len ? body : "");
    end_request(req, close);
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
        add_if_absent(req, "WWW-Authenticate", "Bearer realm=\"perigee\"");
    if (status == 429 || status == 503)
        add_if_absent(req, "Retry-After", "1");
    peri_http_answer(req, status, "application/problem+json", peri_buf_text(&body), body.len);
    peri_buf_finish(&body);
}

/* A problem document of the server's own, after which the connection is closed. */
static void put_refusal(struct conn *conn, bool head, int minor, int status, const char *detail)
{
    struct peri_buf body;
    struct http_header *headers = NULL;
    peri_buf_init(&body, PROBLEM_MAX);
    if (http_problem_body(status, detail, NULL, &body) != PERI_OK)
        peri_buf_reset(&body);
    if (status == 503)
        (void)put_header(&headers, "Retry-After", "1", false);
    if (status == 501)
        (void)put_header(&headers, "Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS", false);
    struct answer a = {.minor = minor,
        .status = status,
        .content_type = "application/problem+json",
        .headers = headers,
        .close = true,
        .len = body.len};
    count_answer(conn->server, status);
    put_answer(conn, &a, head ? NULL : peri_buf_text(&body));
    peri_buf_finish(&body);
    free(headers);
}

void http_server_refuse(struct conn *conn, bool head, const struct peri_http_refusal *refusal)
{
    peri_metric_add(conn->server->m_refused, 1);
    peri_debug(conn->server->log, "http", "refused a request: %d, %s", refusal->status, refusal->detail);
    put_refusal(conn, head, 1, refusal->status, refusal->detail);
    conn->refused = true;
    conn->phase = CONN_CLOSING;
    http_wire_write(conn);
}

void http_request_orphan(struct peri_http_request *req)
{
    struct conn *conn = req->conn;
    if (conn && !req->streaming && conn->phase != CONN_DEAD)
        put_refusal(conn, is_head(req), req->head.minor, 503, "the service is stopping");
    if (conn && conn->phase != CONN_DEAD)
        conn->phase = CONN_CLOSING;
    unlink_request(req);
    req->conn = NULL;
    req->server = NULL;
}

/* ---- streams ---- */

void peri_http_stream_begin(struct peri_http_request *req, int status, const char *content_type)
{
    count_answer(req->server, status);
    log_answer(req, status);
    req->streaming = true;
    req->chunked = req->head.minor > 0;
    struct answer a = {.minor = req->head.minor,
        .status = status,
        .content_type = content_type,
        .headers = req->headers,
        .close = wants_close(req) || !req->chunked,
        .chunked = req->chunked};
    if (!req->conn || req->conn->phase == CONN_DEAD)
        return;
    put_head(req->conn, &a);
    http_wire_write(req->conn);
}

void peri_http_stream_send(struct peri_http_request *req, const void *data, size_t len)
{
    struct conn *conn = req->conn;
    if (!conn || conn->phase == CONN_DEAD || len == 0 || is_head(req))
        return;
    char size[24];
    if (req->chunked) {
        snprintf(size, sizeof(size), "%zx\r\n", len);
        put_text(&conn->out, size);
    }
    (void)peri_buf_append(&conn->out, data, len);
    if (req->chunked)
        put_text(&conn->out, "\r\n");
    http_wire_write(conn);
    /* A stream with a hole is worse than none: the client comes back with Last-Event-ID. */
    if (conn->phase != CONN_DEAD && conn->out.len - conn->out_at > PERI_HTTP_STREAM_MAX)
        http_conn_doom(conn);
}

void peri_http_stream_end(struct peri_http_request *req)
{
    struct conn *conn = req->conn;
    if (conn && conn->phase != CONN_DEAD && req->chunked && !is_head(req))
        put_text(&conn->out, "0\r\n\r\n");
    end_request(req, wants_close(req) || !req->chunked);
}
