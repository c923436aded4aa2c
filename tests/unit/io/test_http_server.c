/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "data/json.h"
#include "io/http_server.h"

#define MAX_BODY (256 * 1024)
#define MAX_HEADERS (32 * 1024)

struct world {
    struct peri_loop *loop;
    struct peri_http_server *server;
    struct peri_metrics *metrics;
    struct peri_clock_fake fake;
    struct peri_http_request *kept; /* for answers given later */
    int handled, closed;
    char seen[512]; /* what the last handler was given */
};

static void on_close(void *arg)
{
    ((struct world *)arg)->closed++;
}

static void add_header(void *arg, const char *name, const char *value)
{
    struct peri_buf *out = arg;
    peri_buf_printf(out, "%s=%s;", name, value);
}

/* Answers what the path asks for. */
static void handle(void *ctx, struct peri_http_request *req)
{
    struct world *w = ctx;
    size_t len;
    const char *body = peri_http_body(req, &len), *path = peri_http_path(req), *q = peri_http_query(req, "q");
    w->handled++;
    snprintf(w->seen, sizeof(w->seen), "%s %s q=%s body=%zu", peri_http_method(req), path, q ? q : "-", len);
    if (strcmp(path, "/echo") == 0) {
        peri_http_answer(req, 200, "text/plain", body, len);
    } else if (strcmp(path, "/headers") == 0) {
        struct peri_buf out;
        peri_buf_init(&out, 4096);
        peri_http_each_header(req, add_header, &out);
        peri_http_answer(req, 200, "text/plain", out.data, out.len);
        peri_buf_finish(&out);
    } else if (strcmp(path, "/later") == 0) {
        w->kept = req;
        peri_http_on_close(req, on_close, w);
    } else if (strcmp(path, "/stop") == 0) {
        peri_http_answer(req, 204, NULL, NULL, 0);
        peri_loop_stop(w->loop);
    } else if (strcmp(path, "/none") == 0) {
        peri_http_answer(req, 204, NULL, NULL, 0);
    } else if (strcmp(path, "/401") == 0) {
        peri_http_problem(req, 401, "who are you?", NULL);
    } else if (strcmp(path, "/503") == 0) {
        struct peri_value *extra = peri_value_map();
        assert_int_equal(peri_map_put_int(extra, "queue", 7), PERI_OK);
        assert_int_equal(peri_http_set_header(req, "Retry-After", "30"), PERI_OK);
        assert_int_equal(peri_http_set_header(req, "X-Bad", "a\r\nSet-Cookie: b"), PERI_EINVAL);
        assert_int_equal(peri_http_set_header(req, "X Bad", "a"), PERI_EINVAL);
        assert_int_equal(peri_http_set_header(req, "Content-Length", "3"), PERI_EINVAL);
        peri_http_problem(req, 503, NULL, extra);
        peri_value_unref(extra);
    } else if (strcmp(path, "/stream") == 0) {
        w->kept = req;
        peri_http_on_close(req, on_close, w);
        peri_http_stream_begin(req, 200, "text/event-stream");
        peri_http_stream_send(req, "id: 1\n\n", 7);
    } else {
        peri_http_answer(req, 200, "text/plain", "hello\n", 6);
    }
}

static struct peri_http_server_options defaults(struct world *w)
{
    return (struct peri_http_server_options){.loop = w->loop,
        .metrics = w->metrics,
        .listen = "127.0.0.1:0",
        .max_body = MAX_BODY,
        .max_headers = MAX_HEADERS,
        .timeout_s = 5,
        .handler = handle,
        .ctx = w};
}

static int setup_loop(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct peri_clock clock = peri_clock_fake_init(&w->fake, 0);
    assert_int_equal(peri_loop_create(&clock, &w->loop, NULL), PERI_OK);
    w->metrics = peri_metrics_create();
    *state = w;
    return 0;
}

static int setup(void **state)
{
    setup_loop(state);
    struct world *w = *state;
    struct peri_http_server_options options = defaults(w);
    struct peri_error err = {0};
    assert_int_equal(peri_http_server_create(&options, &w->server, &err), PERI_OK);
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    peri_http_server_destroy(w->server);
    for (int i = 0; i < 3; i++)
        peri_loop_once(w->loop, 0);
    peri_loop_destroy(w->loop);
    peri_metrics_destroy(w->metrics);
    free(w);
    return 0;
}

static int connect_to(const struct world *w)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
        .sin_port = htons((uint16_t)peri_http_server_port(w->server)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int rc = connect(fd, (struct sockaddr *)&to, sizeof(to));
    assert_true(rc == 0 || errno == EINPROGRESS);
    return fd;
}

static void pump(struct world *w, int rounds)
{
    for (int i = 0; i < rounds; i++)
        peri_loop_once(w->loop, 0);
}

/* Writes all of it while the server's loop turns. False when the server hung up. */
static bool write_all(struct world *w, int fd, const char *data, size_t len)
{
    for (int idle = 0; len > 0 && idle < 20000;) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n > 0) {
            data += n;
            len -= (size_t)n;
            idle = 0;
        } else if (n < 0 && errno != EAGAIN && errno != ENOTCONN) {
            return false;
        }
        peri_loop_once(w->loop, 0);
        idle++;
    }
    assert_int_equal(len, 0);
    return true;
}

/* Reads until the answer is whole, the peer closes, or nothing comes any more. Returns true when closed. */
static bool read_answer(struct world *w, int fd, struct peri_buf *out)
{
    char part[16384];
    for (int idle = 0; idle < 300; idle++) {
        peri_loop_once(w->loop, idle < 20 ? 0 : 2);
        ssize_t n = recv(fd, part, sizeof(part), 0);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return true;
        if (n > 0) {
            peri_buf_append(out, part, (size_t)n);
            idle = 0;
        }
        const char *end = strstr(peri_buf_text(out), "\r\n\r\n"),
                   *length = strstr(peri_buf_text(out), "Content-Length: ");
        if (end && length && length < end && strlen(end + 4) >= strtoul(length + 16, NULL, 10) &&
            !strstr(peri_buf_text(out), "Connection: close"))
            return false;
    }
    return false;
}

/* One request on a connection of its own; the caller frees the answer's text. */
static char *ask_raw(struct world *w, const char *request, size_t len, bool *ret_closed)
{
    int fd = connect_to(w);
    struct peri_buf out;
    peri_buf_init(&out, 1 << 20);
    write_all(w, fd, request, len);
    bool closed = read_answer(w, fd, &out);
    if (ret_closed)
        *ret_closed = closed;
    close(fd);
    pump(w, 3);
    return peri_buf_take(&out, NULL);
}

static char *ask(struct world *w, const char *request)
{
    return ask_raw(w, request, strlen(request), NULL);
}

static int status_of(const char *answer)
{
    return strncmp(answer, "HTTP/1.", 7) == 0 ? (int)strtol(answer + 9, NULL, 10) : 0;
}

static const char *body_of(const char *answer)
{
    const char *end = strstr(answer, "\r\n\r\n");
    return end ? end + 4 : "";
}

#define H "Host: x\r\n"

/* Each refused request: the status, and never a call of the handler. */
static const struct {
    const char *request;
    int status;
    const char *detail; /* part of it */
} refused[] = {
    {"GET / HTTP/1.1\r\n\r\n", 400, "Host"},
    {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "Host"},
    {"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400, "Host"},
    {"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400, "Host"},
    {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "Host"},
    {"GET / HTTP/1.1\r\nHost: user@host\r\n\r\n", 400, "Host"},
    {"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400, "header line"},
    {"GET / HTTP/1.1\r\n" H "A b: c\r\n\r\n", 400, "header line"},
    {"GET / HTTP/1.1\r\n" H ": c\r\n\r\n", 400, "header line"},
    {"GET / HTTP/1.1\r\n" H "no colon\r\n\r\n", 400, "header line"},
    {"GET / HTTP/1.1\r\n" H "N\xc3\xa4me: c\r\n\r\n", 400, "header line"},
    {"GET / HTTP/1.1\r\n" H "A: b\r\n folded\r\n\r\n", 400, "folded"},
    {"GET / HTTP/1.1\r\n folded: a\r\n" H "\r\n", 400, "folded"},
    {"GET / HTTP/1.1\r\n" H "A: b\x01\r\n\r\n", 400, "control"},
    {"GET / HTTP/1.1\r\n" H "A: b\x7f\r\n\r\n", 400, "control"},
    {"GET / HTTP/1.1\n"
     "Host: x\n\n",
        400, "CR LF"},
    {"GET / HTTP/1.1\r\n" H "A: b\rc\r\n\r\n", 400, "CR LF"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400, "Content-Length"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy", 400, "Content-Length"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: +3\r\n\r\nabc", 400, "Content-Length"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n", 400, "Content-Length"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 0x3\r\n\r\nabc", 400, "Content-Length"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 3, 3\r\n\r\nabc", 400, "Content-Length"},
    {"POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n", 400, "Content-Length"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999\r\n\r\n", 400, "Content-Length"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 999999999999\r\n\r\n", 413, "larger"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400, "Transfer-Encoding"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, "Transfer-Encoding"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
        "Transfer-Encoding"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400, "exclude"},
    {"POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "Transfer-Encoding"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", 400, "chunked body"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0x1\r\nA\r\n0\r\n\r\n", 400, "chunked body"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\nA\r\n0\r\n\r\n", 400, "chunked body"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\r\nABC\r\n0\r\n\r\n", 400, "chunked body"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400, "chunked body"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\nC: d\r\n\r\n", 400, "chunked body"},
    {"HEAD / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc", 400, NULL},
    {"GET  / HTTP/1.1\r\n" H "\r\n", 400, "request line"},
    {"GET /\r\n" H "\r\n", 400, "request line"},
    {"GET / HTTP/1.1 x\r\n" H "\r\n", 400, "request line"},
    {"GET /a b HTTP/1.1\r\n" H "\r\n", 400, "request line"},
    {"GET / HTTP/1.\r\n" H "\r\n", 400, "version"},
    {"GET / HTTP/2.0\r\n" H "\r\n", 505, NULL},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, NULL},
    {"TRACE / HTTP/1.1\r\n" H "\r\n", 501, NULL},
    {"CONNECT a:1 HTTP/1.1\r\n" H "\r\n", 501, NULL},
    {"get / HTTP/1.1\r\n" H "\r\n", 501, NULL},
    {"G(T / HTTP/1.1\r\n" H "\r\n", 400, "token"},
    {"GET a HTTP/1.1\r\n" H "\r\n", 400, "slash"},
    {"GET * HTTP/1.1\r\n" H "\r\n", 400, "slash"},
    {"GET /\xff HTTP/1.1\r\n" H "\r\n", 400, "percent-encoded"},
    {"GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n", 400, "percent-encoded"},
    {"GET /#a HTTP/1.1\r\n" H "\r\n", 400, "percent-encoded"},
    {"GET /%ff HTTP/1.1\r\n" H "\r\n", 400, "UTF-8"},
    {"GET /%00 HTTP/1.1\r\n" H "\r\n", 400, "UTF-8"},
    {"GET /%0d%0a HTTP/1.1\r\n" H "\r\n", 400, "UTF-8"},
    {"GET /%zz HTTP/1.1\r\n" H "\r\n", 400, "UTF-8"},
    {"GET /% HTTP/1.1\r\n" H "\r\n", 400, "UTF-8"},
    {"GET /?a=%ff HTTP/1.1\r\n" H "\r\n", 400, "query"},
    {"GET / HTTP/1.1\r\n" H "Expect: magic\r\n\r\n", 417, NULL},
    {"POST / HTTP/1.1\r\n" H "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", 415, NULL},
    {"POST / HTTP/1.1\r\n" H "content-encoding: identity, br\r\nContent-Length: 2\r\n\r\n{}", 415, NULL},
    {"\x16\x03\x01\x02", 400, "control"},
};

static void assert_refused(struct world *w, const char *request, size_t len, int status, const char *detail)
{
    int handled = w->handled;
    bool closed;
    char *answer = ask_raw(w, request, len, &closed);
    if (status_of(answer) != status || !closed)
        fail_msg("%.60s...: wanted %d and close, got %s (closed: %d)", request, status, answer, closed);
    assert_int_equal(w->handled, handled);
    if (strncmp(request, "HEAD", 4) == 0) {
        assert_string_equal(body_of(answer), "");
    } else {
        struct peri_value *problem = NULL;
        assert_non_null(strstr(answer, "Content-Type: application/problem+json\r\n"));
        assert_int_equal(peri_json_parse(body_of(answer), strlen(body_of(answer)), &problem, NULL), PERI_OK);
        assert_int_equal(peri_map_int(problem, "status", 0), status);
        assert_string_equal(peri_map_text(problem, "type"), "about:blank");
        if (detail && !strstr(peri_map_text(problem, "detail"), detail))
            fail_msg("%.60s...: wanted \"%s\" in \"%s\"", request, detail, peri_map_text(problem, "detail"));
        peri_value_unref(problem);
    }
    free(answer);
}

static void malformed_requests_get_a_problem_document_and_a_close(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        assert_refused(w, refused[i].request, strlen(refused[i].request), refused[i].status, refused[i].detail);
    char *answer = ask(w, "GET / HTTP/1.1\r\n" H "\r\n");
    assert_int_equal(status_of(answer), 200);
    free(answer);
}

static void nul_bytes_are_refused_everywhere_in_the_header_block(void **state)
{
    static const char plain[] = "GET /a HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n";
    struct world *w = *state;
    for (size_t at = 0; at < sizeof(plain) - 1; at++) {
        char request[sizeof(plain)];
        memcpy(request, plain, sizeof(plain));
        request[at] = '\0';
        assert_refused(w, request, sizeof(plain) - 1, 400, NULL);
    }
}

static void refused_byte_by_byte_as_well(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i += 3) {
        int fd = connect_to(w);
        struct peri_buf out;
        peri_buf_init(&out, 1 << 20);
        for (const char *p = refused[i].request; *p; p++) {
            if (!write_all(w, fd, p, 1))
                break;
            pump(w, 1);
        }
        read_answer(w, fd, &out);
        if (status_of(peri_buf_text(&out)) != refused[i].status)
            fail_msg("%.60s: got %s", refused[i].request, peri_buf_text(&out));
        peri_buf_finish(&out);
        close(fd);
        pump(w, 3);
    }
    assert_int_equal(w->handled, 0);
}

static void well_formed_requests_reach_the_handler(void **state)
{
    static const struct {
        const char *request;
        int status;
        const char *seen;
    } good[] = {
        {"GET /a%20b%C3%A4?q=1%2B1+x&q=2 HTTP/1.1\r\n" H "\r\n", 200, "GET /a b\xc3\xa4 q=1+1 x body=0"},
        {"\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", 200, "GET / q=- body=0"},
        {"GET http://example.org/abs?q=y HTTP/1.1\r\n" H "\r\n", 200, "GET /abs q=y body=0"},
        {"GET http://example.org HTTP/1.1\r\n" H "\r\n", 200, "GET / q=- body=0"},
        {"GET http://example.org?q=z HTTP/1.1\r\n" H "\r\n", 200, "GET / q=z body=0"},
        {"GET //double//slash HTTP/1.1\r\n" H "\r\n", 200, "GET //double//slash q=- body=0"},
        {"OPTIONS * HTTP/1.1\r\n" H "\r\n", 200, "OPTIONS * q=- body=0"},
        {"GET / HTTP/1.0\r\n\r\n", 200, "GET / q=- body=0"},
        {"PUT /x?q HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc", 200, "PUT /x q= body=3"},
        {"DELETE /x HTTP/1.1\r\n" H "content-length:  0 \r\n\r\n", 200, "DELETE /x q=- body=0"},
        {"PATCH /x HTTP/1.1\r\nHost: [::1]:80\r\nTransfer-Encoding: "
         "Chunked\r\n\r\n3;ext=\"1\"\r\nabc\r\n2\r\nde\r\n0\r\nTrail: er\r\n\r\n",
            200, "PATCH /x q=- body=5"},
    };
    struct world *w = *state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char *answer = ask(w, good[i].request);
        if (status_of(answer) != good[i].status)
            fail_msg("%s: %s", good[i].request, answer);
        assert_string_equal(w->seen, good[i].seen);
        free(answer);
    }
    char *answer = ask(w, "GET /headers HTTP/1.1\r\nhost: x\r\nX-One:\t a\tb \t\r\nX-Latin: \xe9\r\n\r\n");
    assert_string_equal(body_of(answer), "host=x;X-One=a\tb;X-Latin=\xe9;");
    free(answer);
}

static void answers_are_framed_for_every_method_and_status(void **state)
{
    struct world *w = *state;
    char *answer = ask(w, "HEAD /hello HTTP/1.1\r\n" H "\r\n");
    assert_int_equal(status_of(answer), 200);
    assert_non_null(strstr(answer, "Content-Length: 6\r\n"));
    assert_string_equal(body_of(answer), "");
    free(answer);
    answer = ask(w, "GET /none HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
    assert_int_equal(status_of(answer), 204);
    assert_null(strstr(answer, "Content-Length"));
    assert_null(strstr(answer, "Content-Type"));
    free(answer);
    answer = ask(w, "GET /401 HTTP/1.1\r\n" H "\r\n");
    assert_non_null(strstr(answer, "HTTP/1.1 401 Unauthorized\r\n"));
    assert_non_null(strstr(answer, "WWW-Authenticate: Bearer"));
    assert_non_null(strstr(answer, "\"detail\":\"who are you?\""));
    free(answer);
    answer = ask(w, "GET /503 HTTP/1.1\r\n" H "\r\n");
    assert_non_null(strstr(answer, "Retry-After: 30\r\n"));
    assert_null(strstr(answer, "Set-Cookie"));
    assert_non_null(strstr(answer, "\"queue\":7"));
    free(answer);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct world *w = *state;
    char *answer = ask(w, "POST /echo HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nONE"
                          "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nTWO\r\n0\r\n\r\n"
                          "GET /echo HTTP/1.1\r\nBad\r\n\r\n"
                          "GET /never HTTP/1.1\r\n" H "\r\n");
    const char *one = strstr(answer, "ONE"), *two = strstr(answer, "TWO"), *bad = strstr(answer, "HTTP/1.1 400");
    assert_true(one && two && bad && one < two && two < bad);
    assert_int_equal(w->handled, 2);
    free(answer);
}

static void bodies_and_header_blocks_have_limits(void **state)
{
    struct world *w = *state;
    static char body[MAX_BODY + 1];
    memset(body, 'x', sizeof(body));
    for (int chunked = 0; chunked < 2; chunked++) {
        for (size_t size = MAX_BODY; size <= MAX_BODY + 1; size++) {
            struct peri_buf request;
            peri_buf_init(&request, 2 * MAX_BODY);
            peri_buf_printf(&request, "POST /x HTTP/1.1\r\n" H);
            if (chunked)
                peri_buf_printf(&request, "Transfer-Encoding: chunked\r\n\r\n%zx\r\n", size);
            else
                peri_buf_printf(&request, "Content-Length: %zu\r\n\r\n", size);
            peri_buf_append(&request, body, size);
            peri_buf_puts(&request, chunked ? "\r\n0\r\n\r\n" : "");
            if (size > MAX_BODY) {
                assert_refused(w, request.data, request.len, 413, "larger");
            } else {
                char *answer = ask_raw(w, request.data, request.len, NULL);
                assert_int_equal(status_of(answer), 200);
                free(answer);
            }
            peri_buf_finish(&request);
        }
    }

    struct peri_buf many;
    peri_buf_init(&many, 1 << 20);
    peri_buf_puts(&many, "GET / HTTP/1.1\r\n" H);
    for (int i = 0; i < 10000; i++)
        peri_buf_printf(&many, "X-%d: y\r\n", i);
    peri_buf_puts(&many, "\r\n");
    assert_refused(w, many.data, many.len, 431, "large");
    peri_buf_reset(&many);
    peri_buf_puts(&many, "GET / HTTP/1.1\r\n" H);
    for (int i = 0; i < 300; i++)
        peri_buf_puts(&many, "A: b\r\n");
    peri_buf_puts(&many, "\r\n");
    assert_refused(w, many.data, many.len, 431, "many");
    peri_buf_reset(&many);
    peri_buf_puts(&many, "GET /");
    for (int i = 0; i < 9000; i++)
        peri_buf_putc(&many, 'a');
    peri_buf_puts(&many, " HTTP/1.1\r\n" H "\r\n");
    assert_refused(w, many.data, many.len, 414, "long");
    peri_buf_finish(&many);
}

/* A client that sends all of a huge body before it reads still gets to see the 413. */
static void a_hundred_megabytes_get_413(void **state)
{
    struct world *w = *state;
    size_t total = 100 * 1000 * 1000, size = 1 << 20;
    char *block = calloc(1, size);
    int fd = connect_to(w);
    char head[128];
    int n = snprintf(head, sizeof(head), "POST /x HTTP/1.1\r\n" H "Content-Length: %zu\r\n\r\n", total);
    assert_true(write_all(w, fd, head, (size_t)n));
    for (size_t sent = 0; sent < total; sent += size)
        assert_true(write_all(w, fd, block, size));
    struct peri_buf out;
    peri_buf_init(&out, 1 << 20);
    read_answer(w, fd, &out);
    assert_int_equal(status_of(peri_buf_text(&out)), 413);
    peri_buf_finish(&out);
    close(fd);
    free(block);
    pump(w, 3);
}

static void an_expecting_client_is_told_to_continue_or_not(void **state)
{
    struct world *w = *state;
    int fd = connect_to(w);
    struct peri_buf out;
    peri_buf_init(&out, 1 << 20);
    const char *head = "POST /echo HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    assert_true(write_all(w, fd, head, strlen(head)));
    read_answer(w, fd, &out);
    assert_string_equal(peri_buf_text(&out), "HTTP/1.1 100 Continue\r\n\r\n");
    peri_buf_reset(&out);
    assert_true(write_all(w, fd, "abc", 3));
    read_answer(w, fd, &out);
    assert_int_equal(status_of(peri_buf_text(&out)), 200);
    assert_string_equal(body_of(peri_buf_text(&out)), "abc");
    peri_buf_finish(&out);
    close(fd);
    pump(w, 3);
    const char *big = "POST /echo HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 999999999\r\n\r\n";
    assert_refused(w, big, strlen(big), 413, "larger");
}

static void slow_senders_are_cut_off(void **state)
{
    struct world *w = *state;
    int fd = connect_to(w);
    struct peri_buf out;
    peri_buf_init(&out, 1 << 20);
    assert_true(write_all(w, fd, "GET / HT", 8));
    pump(w, 3);
    peri_clock_fake_advance(&w->fake, 6000);
    assert_true(write_all(w, fd, "TP", 2));
    assert_true(read_answer(w, fd, &out));
    assert_int_equal(status_of(peri_buf_text(&out)), 408);
    close(fd);

    fd = connect_to(w);
    peri_buf_reset(&out);
    const char *head = "POST / HTTP/1.1\r\n" H "Content-Length: 100\r\n\r\nabc";
    assert_true(write_all(w, fd, head, strlen(head)));
    pump(w, 3);
    peri_clock_fake_advance(&w->fake, 60000);
    write_all(w, fd, "d", 1);
    assert_true(read_answer(w, fd, &out));
    assert_int_equal(out.len, 0);
    peri_buf_finish(&out);
    close(fd);
    pump(w, 3);
}

static void wait_for(struct world *w, const int *flag, int want)
{
    for (int i = 0; i < 500 && *flag < want; i++)
        peri_loop_once(w->loop, 10);
    assert_int_equal(*flag, want);
}

static void a_late_answer_arrives_and_a_gone_peer_is_noticed(void **state)
{
    struct world *w = *state;
    int fd = connect_to(w);
    const char *request = "GET /later HTTP/1.1\r\n" H "\r\n";
    assert_true(write_all(w, fd, request, strlen(request)));
    wait_for(w, &w->handled, 1);
    /* More bytes while the handler works must not disturb it. */
    const char *next = "GET /next HTTP/1.1\r\n" H "\r\n";
    assert_true(write_all(w, fd, next, strlen(next)));
    pump(w, 5);
    assert_int_equal(w->handled, 1);
    peri_http_answer(w->kept, 200, "text/plain", "late", 4);
    wait_for(w, &w->handled, 2);
    struct peri_buf out;
    peri_buf_init(&out, 1 << 20);
    read_answer(w, fd, &out);
    assert_non_null(strstr(peri_buf_text(&out), "late"));
    peri_buf_finish(&out);

    assert_true(write_all(w, fd, request, strlen(request)));
    wait_for(w, &w->handled, 3);
    close(fd);
    wait_for(w, &w->closed, 1);
    peri_http_answer(w->kept, 200, "text/plain", "nobody", 6); /* dropped */
    pump(w, 3);
}

static void a_flood_behind_an_open_request_ends_the_connection(void **state)
{
    struct world *w = *state;
    static const char junk[256 * 1024];
    int fd = connect_to(w);
    const char *request = "GET /later HTTP/1.1\r\n" H "\r\n";
    assert_true(write_all(w, fd, request, strlen(request)));
    wait_for(w, &w->handled, 1);
    write_all(w, fd, junk, sizeof(junk));
    wait_for(w, &w->closed, 1);
    peri_http_answer(w->kept, 200, "text/plain", "nobody", 6);
    close(fd);
    pump(w, 3);
}

static void streams_flow_and_end(void **state)
{
    struct world *w = *state;
    int fd = connect_to(w);
    const char *request = "GET /stream HTTP/1.1\r\n" H "Connection: close\r\n\r\n";
    assert_true(write_all(w, fd, request, strlen(request)));
    wait_for(w, &w->handled, 1);
    peri_http_stream_send(w->kept, ": tick\n\n", 8);
    peri_http_stream_end(w->kept);
    struct peri_buf out;
    peri_buf_init(&out, 1 << 20);
    assert_true(read_answer(w, fd, &out));
    assert_non_null(strstr(peri_buf_text(&out), "Content-Type: text/event-stream\r\n"));
    assert_non_null(strstr(peri_buf_text(&out), "id: 1\n\n"));
    assert_non_null(strstr(peri_buf_text(&out), ": tick\n\n"));
    assert_true(peri_str_ends(peri_buf_text(&out), "0\r\n\r\n"));
    peri_buf_finish(&out);
    close(fd);

    /* A reader that takes nothing is dropped before it costs memory without bound. */
    fd = connect_to(w);
    assert_true(write_all(w, fd, request, strlen(request)));
    wait_for(w, &w->handled, 2);
    static const char block[65536];
    for (int i = 0; i < 2000 && !w->closed; i++) {
        peri_http_stream_send(w->kept, block, sizeof(block));
        peri_loop_once(w->loop, 0);
    }
    assert_int_equal(w->closed, 1);
    peri_http_stream_end(w->kept);
    close(fd);
    pump(w, 3);
}

static void open_requests_get_503_when_the_server_goes(void **state)
{
    struct world *w = *state;
    int fd = connect_to(w), stream = connect_to(w);
    const char *request = "GET /stream HTTP/1.1\r\n" H "\r\n";
    assert_true(write_all(w, stream, request, strlen(request)));
    wait_for(w, &w->handled, 1);
    struct peri_http_request *streaming = w->kept;
    int gone = connect_to(w); /* its peer leaves before the server does */
    request = "GET /later HTTP/1.1\r\n" H "\r\n";
    assert_true(write_all(w, gone, request, strlen(request)));
    wait_for(w, &w->handled, 2);
    struct peri_http_request *alone = w->kept;
    close(gone);
    wait_for(w, &w->closed, 1);
    request = "GET /later?q=1 HTTP/1.1\r\n" H "\r\n";
    assert_true(write_all(w, fd, request, strlen(request)));
    wait_for(w, &w->handled, 3);
    peri_http_server_destroy(w->server);
    w->server = NULL;
    assert_int_equal(w->closed, 3);
    struct peri_buf out;
    peri_buf_init(&out, 1 << 20);
    assert_true(read_answer(w, fd, &out));
    assert_int_equal(status_of(peri_buf_text(&out)), 503);
    peri_buf_finish(&out);
    assert_string_equal(peri_http_query(w->kept, "q"), "1"); /* still readable */
    peri_http_answer(w->kept, 200, "text/plain", "x", 1);
    peri_http_stream_send(streaming, "x", 1);
    peri_http_stream_end(streaming);
    peri_http_answer(alone, 200, "text/plain", "x", 1);
    close(fd);
    close(stream);
}

static void metrics_count_answers_refusals_and_connections(void **state)
{
    struct world *w = *state;
    free(ask(w, "GET / HTTP/1.1\r\n" H "\r\n"));
    free(ask(w, "GET / HTTP/1.1\r\n\r\n"));
    int fd = connect_to(w);
    pump(w, 5);
    struct peri_buf text;
    peri_buf_init(&text, 1 << 16);
    assert_int_equal(peri_metrics_render(w->metrics, &text), PERI_OK);
    assert_non_null(strstr(text.data, "perigee_http_requests_total{code=\"2xx\"} 1\n"));
    assert_non_null(strstr(text.data, "perigee_http_requests_total{code=\"4xx\"} 1\n"));
    assert_non_null(strstr(text.data, "perigee_http_refused_total 1\n"));
    assert_non_null(strstr(text.data, "perigee_http_connections 1\n"));
    peri_buf_finish(&text);
    close(fd);
    pump(w, 5);
}

static void bad_addresses_are_explained(void **state)
{
    static const char *const bad[] = {"", "8420", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", ":80",
        "unix:", "unix:/nonexistent/dir/s", "300.1.1.1:80"};
    struct world *w = *state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct peri_http_server_options options = defaults(w);
        struct peri_http_server *server = NULL;
        struct peri_error err = {0};
        options.listen = bad[i];
        assert_int_not_equal(peri_http_server_create(&options, &server, &err), PERI_OK);
        assert_string_equal(err.code, "http.listen");
        assert_non_null(strstr(err.message, bad[i]));
    }
    /* A port in use says so. */
    struct peri_http_server_options options = defaults(w);
    struct peri_http_server *first = NULL, *second = NULL;
    assert_int_equal(peri_http_server_create(&options, &first, NULL), PERI_OK);
    char text[64];
    snprintf(text, sizeof(text), "127.0.0.1:%d", peri_http_server_port(first));
    options.listen = text;
    struct peri_error err = {0};
    assert_int_equal(peri_http_server_create(&options, &second, &err), PERI_EIO);
    assert_non_null(strstr(err.message, "in use"));
    peri_http_server_destroy(first);
    options.tls_cert = "/nonexistent.pem";
    assert_int_equal(peri_http_server_create(&options, &second, &err), PERI_EINVAL);
    options.tls_key = "/nonexistent.key";
    assert_int_equal(peri_http_server_create(&options, &second, &err), PERI_EINVAL);
    assert_non_null(strstr(err.message, "/nonexistent.pem"));
}

static void a_unix_socket_serves_and_leaves_nothing_behind(void **state)
{
    struct world *w = *state;
    char dir[] = "/tmp/perigee-http-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *listen = peri_asprintf("unix:%s/s", dir);
    struct peri_http_server_options options = defaults(w);
    options.listen = listen;
    assert_int_equal(peri_http_server_create(&options, &w->server, NULL), PERI_OK);
    assert_int_equal(peri_http_server_port(w->server), 0);
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof(to.sun_path), "%s/s", dir);
    struct stat st;
    assert_int_equal(stat(to.sun_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    struct peri_buf out;
    peri_buf_init(&out, 1 << 20);
    const char *request = "GET / HTTP/1.1\r\n" H "\r\n";
    assert_true(write_all(w, fd, request, strlen(request)));
    read_answer(w, fd, &out);
    assert_int_equal(status_of(peri_buf_text(&out)), 200);
    peri_buf_finish(&out);
    close(fd);
    pump(w, 3);
    peri_http_server_destroy(w->server);
    w->server = NULL;
    assert_int_equal(rmdir(dir), 0);
    free(listen);
}

static void the_server_goes_in_the_moment_of_an_accept(void **state)
{
    static const char first[] = "GET /stop HTTP/1.1\r\nHost: x\r\n\r\n", second[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    struct world *w = *state;
    int a = connect_to(w);
    pump(w, 3);
    int b = connect_to(w); /* accepted in the very round in which the handler of the other one stops the loop */
    assert_int_equal(send(b, second, sizeof(second) - 1, 0), sizeof(second) - 1);
    assert_int_equal(send(a, first, sizeof(first) - 1, 0), sizeof(first) - 1);
    peri_loop_once(w->loop, 0);
    peri_http_server_destroy(w->server);
    w->server = NULL;
    pump(w, 5);
    assert_int_equal(w->handled, 1);
    close(a);
    close(b);
}

static bool is_health(const char *path)
{
    return strcmp(path, "/health") == 0;
}

static void make_small(struct world *w)
{
    struct peri_http_server_options options = defaults(w);
    options.max_connections = 4;
    options.reserved = is_health;
    assert_int_equal(peri_http_server_create(&options, &w->server, NULL), PERI_OK);
}

static bool is_closed(struct world *w, int fd)
{
    char c;
    pump(w, 3);
    return recv(fd, &c, 1, 0) == 0;
}

static void the_longest_idle_connection_makes_room(void **state)
{
    struct world *w = *state;
    int fds[4];
    make_small(w);
    for (int i = 0; i < 4; i++) {
        fds[i] = connect_to(w);
        pump(w, 3);
        peri_clock_fake_advance(&w->fake, 1000);
    }
    struct peri_buf out;
    peri_buf_init(&out, 1 << 16);
    const char *request = "GET / HTTP/1.1\r\n" H "\r\n";
    assert_true(write_all(w, fds[0], request, strlen(request))); /* no longer the longest idle one */
    read_answer(w, fds[0], &out);
    assert_int_equal(status_of(peri_buf_text(&out)), 200);
    peri_buf_finish(&out);
    for (int i = 0; i < 2; i++) {
        char *answer = ask(w, "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
        assert_int_equal(status_of(answer), 200);
        free(answer);
    }
    assert_true(is_closed(w, fds[1]));
    assert_false(is_closed(w, fds[2]));
    assert_false(is_closed(w, fds[0]));
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    pump(w, 5);
}

static void health_is_reached_when_every_connection_is_busy(void **state)
{
    struct world *w = *state;
    int busy[4], slow[64];
    make_small(w);
    for (int i = 0; i < 4; i++) {
        busy[i] = connect_to(w);
        assert_true(write_all(w, busy[i], "GET /", 5)); /* and never more */
    }
    char *answer = ask(w, "GET /health HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
    assert_int_equal(status_of(answer), 200);
    free(answer);
    answer = ask(w, "GET / HTTP/1.1\r\n" H "\r\n");
    assert_int_equal(status_of(answer), 503);
    assert_non_null(strstr(answer, "Retry-After: "));
    assert_non_null(strstr(answer, "all connections are in use"));
    free(answer);
    for (int i = 0; i < 64; i++) { /* more than are reserved */
        slow[i] = connect_to(w);
        assert_true(write_all(w, slow[i], "GET /", 5));
        peri_clock_fake_advance(&w->fake, 1);
    }
    answer = ask(w, "GET /health HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
    assert_int_equal(status_of(answer), 200);
    free(answer);
    for (int i = 0; i < 4; i++) {
        assert_false(is_closed(w, busy[i]));
        close(busy[i]);
    }
    for (int i = 0; i < 64; i++)
        close(slow[i]);
    pump(w, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(malformed_requests_get_a_problem_document_and_a_close, setup, teardown),
        cmocka_unit_test_setup_teardown(nul_bytes_are_refused_everywhere_in_the_header_block, setup, teardown),
        cmocka_unit_test_setup_teardown(refused_byte_by_byte_as_well, setup, teardown),
        cmocka_unit_test_setup_teardown(well_formed_requests_reach_the_handler, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_are_framed_for_every_method_and_status, setup, teardown),
        cmocka_unit_test_setup_teardown(pipelined_requests_are_answered_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(bodies_and_header_blocks_have_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(a_hundred_megabytes_get_413, setup, teardown),
        cmocka_unit_test_setup_teardown(an_expecting_client_is_told_to_continue_or_not, setup, teardown),
        cmocka_unit_test_setup_teardown(slow_senders_are_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(a_late_answer_arrives_and_a_gone_peer_is_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_flood_behind_an_open_request_ends_the_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(streams_flow_and_end, setup, teardown),
        cmocka_unit_test_setup_teardown(open_requests_get_503_when_the_server_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(the_server_goes_in_the_moment_of_an_accept, setup, teardown),
        cmocka_unit_test_setup_teardown(metrics_count_answers_refusals_and_connections, setup, teardown),
        cmocka_unit_test_setup_teardown(the_longest_idle_connection_makes_room, setup_loop, teardown),
        cmocka_unit_test_setup_teardown(health_is_reached_when_every_connection_is_busy, setup_loop, teardown),
        cmocka_unit_test_setup_teardown(bad_addresses_are_explained, setup_loop, teardown),
        cmocka_unit_test_setup_teardown(a_unix_socket_serves_and_leaves_nothing_behind, setup_loop, teardown),
    };
    return cmocka_run_group_tests_name("io.http_server", tests, NULL, NULL);
}
