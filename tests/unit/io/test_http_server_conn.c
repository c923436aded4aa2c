/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of the HTTP server: readers that are slow, peers that are silent, old clients, TLS. */
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
#include <unistd.h>

#include <openssl/ssl.h>

#include "base/buf.h"
#include "base/str.h"
#include "io/http_server.h"

#define BIG (16u << 20) /* more than sockets take */
#define TIMEOUT_S 5
#define H "Host: x\r\n"

struct world {
    struct peri_loop *loop;
    struct peri_http_server *server;
    struct peri_metrics *metrics;
    struct peri_clock_fake fake;
    struct peri_http_request *kept;
    int handled, closed;
    char *big;
};

static void on_close(void *arg)
{
    ((struct world *)arg)->closed++;
}

static void handle(void *ctx, struct peri_http_request *req)
{
    struct world *w = ctx;
    size_t len;
    const char *body = peri_http_body(req, &len), *path = peri_http_path(req);
    w->handled++;
    if (strcmp(path, "/big") == 0) {
        peri_http_answer(req, 200, "text/plain", w->big, BIG);
    } else if (strcmp(path, "/echo") == 0) {
        peri_http_answer(req, 200, "text/plain", body, len);
    } else if (strcmp(path, "/later") == 0) {
        w->kept = req;
        peri_http_on_close(req, on_close, w);
    } else if (strcmp(path, "/stream") == 0) {
        w->kept = req;
        peri_http_on_close(req, on_close, w);
        peri_http_stream_begin(req, 200, "text/event-stream");
        peri_http_stream_send(req, "one", 3);
    } else if (strcmp(path, "/headers") == 0) {
        assert_int_equal(peri_http_set_header(req, "Set-Cookie", "a=1"), PERI_OK);
        assert_int_equal(peri_http_set_header(req, "Set-Cookie", "b=2"), PERI_OK);
        assert_int_equal(peri_http_set_header(req, "X-Kept", "no"), PERI_OK);
        assert_int_equal(peri_http_set_header(req, "x-kept", "yes"), PERI_OK);
        assert_int_equal(peri_http_set_header(req, "content-type", "text/html"), PERI_OK);
        assert_int_equal(peri_http_set_header(req, "Connection", "close"), PERI_OK);
        peri_http_answer(req, 404, "text/plain", "x", 1);
    } else {
        peri_http_answer(req, 200, "text/plain", "hello\n", 6);
    }
}

static struct peri_http_server_options defaults(struct world *w)
{
    return (struct peri_http_server_options){.loop = w->loop,
        .metrics = w->metrics,
        .listen = "127.0.0.1:0",
        .max_body = 1 << 20,
        .max_headers = 4096,
        .timeout_s = TIMEOUT_S,
        .handler = handle,
        .ctx = w};
}

static int setup_loop(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    struct peri_clock clock = peri_clock_fake_init(&w->fake, 1767323045000);
    assert_int_equal(peri_loop_create(&clock, &w->loop, NULL), PERI_OK);
    peri_loop_by_clock(w->loop);
    w->metrics = peri_metrics_create();
    w->big = malloc(BIG);
    assert_non_null(w->big);
    for (size_t i = 0; i < BIG; i++)
        w->big[i] = (char)('a' + i / 977 % 26);
    *state = w;
    return 0;
}

static int setup(void **state)
{
    setup_loop(state);
    struct world *w = *state;
    struct peri_http_server_options options = defaults(w);
    assert_int_equal(peri_http_server_create(&options, &w->server, NULL), PERI_OK);
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    peri_http_server_destroy(w->server);
    peri_loop_destroy(w->loop);
    peri_metrics_destroy(w->metrics);
    free(w->big);
    free(w);
    return 0;
}

static void pump(struct world *w, int rounds)
{
    for (int i = 0; i < rounds; i++)
        peri_loop_once(w->loop, 0);
}

static int connect_to(struct world *w)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
        .sin_port = htons((uint16_t)peri_http_server_port(w->server)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    pump(w, 3);
    return fd;
}

static void put(struct world *w, int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    pump(w, 5);
}

/* All that comes until there is nothing for a while; *ret_closed: the server has hung up. */
static char *get(struct world *w, int fd, size_t *ret_len, bool *ret_closed)
{
    struct peri_buf out;
    char part[65536];
    peri_buf_init(&out, SIZE_MAX / 2);
    *ret_closed = false;
    for (int idle = 0; idle < 50 && !*ret_closed;) {
        peri_loop_once(w->loop, idle < 10 ? 0 : 1);
        ssize_t n = recv(fd, part, sizeof(part), MSG_DONTWAIT);
        *ret_closed = n == 0 || (n < 0 && errno != EAGAIN);
        idle = n > 0 ? 0 : idle + 1;
        if (n > 0)
            assert_int_equal(peri_buf_append(&out, part, (size_t)n), PERI_OK);
    }
    return peri_buf_take(&out, ret_len);
}

static const char *body_of(const char *answer)
{
    const char *end = strstr(answer, "\r\n\r\n");
    return end ? end + 4 : "";
}

static void a_slow_reader_gets_all_of_it_and_the_next_request_waits(void **state)
{
    struct world *w = *state;
    size_t len;
    bool closed;
    int fd = connect_to(w);
    put(w, fd, "GET /big HTTP/1.1\r\n" H "\r\nGET /big HTTP/1.1\r\n" H "\r\nGET / HTTP/1.1\r\n" H "\r\n");
    assert_int_equal(w->handled, 1); /* answers do not pile up */
    char *answer = get(w, fd, &len, &closed);
    const char *body = body_of(answer);
    assert_false(closed);
    assert_int_equal(w->handled, 3);
    assert_memory_equal(body, w->big, BIG);
    body = body_of(body + BIG);
    assert_memory_equal(body, w->big, BIG);
    assert_string_equal(body_of(body + BIG), "hello\n");
    free(answer);
    close(fd);
    pump(w, 3);
}

static void a_stream_is_whole_for_one_who_lags_behind(void **state)
{
    struct world *w = *state;
    size_t sent = 0, len = 0, at = 0;
    bool closed;
    int fd = connect_to(w);
    put(w, fd, "GET /stream HTTP/1.0\r\n\r\n");
    char part[32768];
    while (sent < BIG / 2) { /* more is sent than is read, but never too much */
        peri_http_stream_send(w->kept, w->big + sent, 50000);
        sent += 50000;
        ssize_t n = recv(fd, part, sizeof(part), MSG_DONTWAIT);
        if (len == 0 && n > 0) {
            const char *body = memmem(part, (size_t)n, "\r\n\r\none", 7);
            assert_non_null(body);
            len = (size_t)(body + 7 - part);
            at = 0;
            assert_memory_equal(part + len, w->big, (size_t)n - len);
            at = (size_t)n - len;
        } else if (n > 0) {
            assert_memory_equal(part, w->big + at, (size_t)n);
            at += (size_t)n;
        }
        pump(w, 2);
    }
    peri_http_stream_end(w->kept);
    char *rest = get(w, fd, &len, &closed);
    assert_true(closed); /* how else should HTTP/1.0 tell the end */
    assert_int_equal(at + len, sent);
    assert_memory_equal(rest, w->big + at, len);
    assert_int_equal(w->closed, 0);
    free(rest);
    close(fd);
}

static bool hung_up(struct world *w, int fd)
{
    size_t len;
    bool closed;
    free(get(w, fd, &len, &closed));
    return closed;
}

static void silent_peers_are_cut_off_but_handlers_may_take_their_time(void **state)
{
    struct world *w = *state;
    int idle = connect_to(w), half = connect_to(w), served = connect_to(w), greedy = connect_to(w),
        quick = connect_to(w);
    put(w, half, "POST / HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\nabc");
    put(w, served, "GET /later HTTP/1.1\r\n" H "\r\n");
    put(w, greedy, "GET /big HTTP/1.1\r\n" H "\r\n"); /* and takes nothing of it */
    peri_clock_fake_advance(&w->fake, 1000 * (TIMEOUT_S - 1));
    pump(w, 3);
    put(w, quick, "GET / HTTP/1.1\r\n" H "\r\n");
    assert_false(hung_up(w, idle));
    peri_clock_fake_advance(&w->fake, 1500);
    pump(w, 5);
    assert_true(hung_up(w, idle));
    assert_true(hung_up(w, half));
    assert_false(hung_up(w, served));
    assert_false(hung_up(w, quick));
    size_t len;
    bool closed;
    char *answer = get(w, greedy, &len, &closed);
    assert_true(closed);
    assert_true(len < BIG);
    free(answer);
    peri_clock_fake_advance(&w->fake, 1000 * TIMEOUT_S);
    pump(w, 5);
    assert_true(hung_up(w, quick)); /* each has its own time */
    peri_http_answer(w->kept, 200, "text/plain", "late", 4);
    answer = get(w, served, &len, &closed);
    assert_string_equal(body_of(answer), "late");
    free(answer);
    peri_clock_fake_advance(&w->fake, 1000 * TIMEOUT_S + 500);
    pump(w, 5);
    assert_true(hung_up(w, served));
    assert_int_equal(peri_loop_next_due(w->loop), -1); /* nobody there: nothing wakes the loop */
    close(idle);
    close(half);
    close(served);
    close(greedy);
    close(quick);
}

/* What it sends meanwhile is no sign that it will take its answer. */
static void one_who_sends_but_takes_nothing_is_cut_off(void **state)
{
    struct world *w = *state;
    static const char *const requests[] = {"GET /big HTTP/1.1\r\n" H "\r\n",
        "GET /big HTTP/1.1\r\n" H "Connection: close\r\n\r\n", "GET /stream HTTP/1.1\r\n" H "\r\n"};
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        size_t len;
        bool closed;
        int fd = connect_to(w);
        put(w, fd, requests[i]);
        for (int n = 0; i == 2 && n < 3; n++, pump(w, 20)) /* more than sockets hold */
            peri_http_stream_send(w->kept, w->big, 3u << 20);
        for (int n = 0; n < 3; n++) {
            peri_clock_fake_advance(&w->fake, 1000 * (TIMEOUT_S - 1));
            (void)!send(fd, "G", 1, MSG_NOSIGNAL);
            pump(w, 5);
        }
        char *answer = get(w, fd, &len, &closed);
        assert_true(closed);
        assert_true(len < (i == 2 ? 9u << 20 : BIG));
        free(answer);
        if (i == 2)
            peri_http_stream_end(w->kept);
        close(fd);
        pump(w, 3);
    }
}

static void old_clients_and_heads_are_answered_as_they_can_read(void **state)
{
    struct world *w = *state;
    size_t len;
    bool closed;
    int fd = connect_to(w);
    put(w, fd, "GET / HTTP/1.0\r\n\r\n");
    char *answer = get(w, fd, &len, &closed);
    assert_true(closed);
    assert_true(peri_str_starts(answer, "HTTP/1.0 200 OK\r\nDate: Fri, 02 Jan 2026 03:04:05 GMT\r\n"));
    assert_non_null(strstr(answer, "\r\nConnection: close\r\n"));
    assert_string_equal(body_of(answer), "hello\n");
    free(answer);
    close(fd);
    fd = connect_to(w);
    put(w, fd, "HEAD /stream HTTP/1.1\r\n" H "\r\n");
    peri_http_stream_send(w->kept, "two", 3);
    peri_http_stream_end(w->kept);
    answer = get(w, fd, &len, &closed);
    assert_false(closed);
    assert_string_equal(body_of(answer), "");
    free(answer);
    put(w, fd, "GET /headers HTTP/1.1\r\n" H "\r\nGET / HTTP/1.1\r\n" H "\r\n");
    answer = get(w, fd, &len, &closed);
    assert_true(closed); /* the handler said so */
    assert_non_null(strstr(answer, "\r\nSet-Cookie: a=1\r\n"));
    assert_non_null(strstr(answer, "\r\nSet-Cookie: b=2\r\n"));
    assert_non_null(strstr(answer, "\r\nx-kept: yes\r\n"));
    assert_null(strstr(answer, "X-Kept: no"));
    assert_non_null(strstr(answer, "\r\ncontent-type: text/html\r\n"));
    assert_null(strstr(answer, "text/plain"));
    assert_string_equal(body_of(answer), "x");
    free(answer);
    close(fd);
    assert_int_equal(w->closed, 0);
}

static void many_requests_in_one_piece_are_answered_in_order(void **state)
{
    struct world *w = *state;
    struct peri_buf all;
    size_t len;
    bool closed;
    peri_buf_init(&all, 1 << 20);
    peri_buf_puts(&all, "GET /later HTTP/1.1\r\n" H "\r\n"); /* so that all others wait */
    for (int i = 0; i < 400; i++)
        peri_buf_printf(&all, "POST /echo HTTP/1.1\r\n" H "Content-Length: 6\r\n\r\n<%04d>", i);
    int fd = connect_to(w);
    put(w, fd, all.data);
    assert_int_equal(w->handled, 1);
    peri_http_answer(w->kept, 200, "text/plain", "first", 5);
    char *answer = get(w, fd, &len, &closed);
    assert_int_equal(w->handled, 401);
    const char *at = answer;
    for (int i = 0; i < 400; i++) {
        char wanted[16];
        snprintf(wanted, sizeof(wanted), "<%04d>", i);
        at = strstr(at, "<");
        assert_non_null(at);
        assert_memory_equal(at, wanted, 6);
        at++;
    }
    free(answer);
    peri_buf_finish(&all);
    close(fd);
    pump(w, 3);
}

/* Peers that are gone before their answer, while others are served. */
static void a_peer_that_is_gone_costs_nobody_anything(void **state)
{
    struct world *w = *state;
    size_t len;
    bool closed;
    int fd = connect_to(w);
    for (int i = 0; i < 20; i++) {
        int gone = connect_to(w);
        struct linger reset = {.l_onoff = 1};
        setsockopt(gone, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        assert_true(send(gone, "GET /big HTTP/1.1\r\n" H "\r\n", 31, 0) > 0);
        if (i % 2)
            pump(w, 2);
        close(gone); /* a reset */
        put(w, fd, "GET / HTTP/1.1\r\n" H "\r\n");
        char *answer = get(w, fd, &len, &closed);
        assert_string_equal(body_of(answer), "hello\n");
        free(answer);
    }
    close(fd);
    pump(w, 3);
    assert_int_equal(peri_loop_next_due(w->loop), 5000); /* the sweep finds nobody then */
}

/* --- TLS --- */

static SSL *secure(struct world *w, SSL_CTX *context, int fd)
{
    SSL *ssl = SSL_new(context);
    assert_non_null(ssl);
    SSL_set_fd(ssl, fd);
    SSL_set_connect_state(ssl);
    for (int i = 0; i < 100 && SSL_do_handshake(ssl) != 1; i++)
        pump(w, 2);
    assert_true(SSL_is_init_finished(ssl));
    return ssl;
}

/* Writes all of it while the server's loop turns, and reads until the text has come. */
static void talk(struct world *w, SSL *ssl, const char *out, size_t out_len, const char *until, struct peri_buf *in)
{
    char part[20000];
    for (int idle = 0; idle < 20000 && !(in->len && memmem(in->data, in->len, until, strlen(until))); idle++) {
        int n = out_len ? SSL_write(ssl, out, (int)(out_len < 30000 ? out_len : 30000)) : 0;
        out += n > 0 ? n : 0;
        out_len -= n > 0 ? (size_t)n : 0;
        peri_loop_once(w->loop, 0);
        n = SSL_read(ssl, part, sizeof(part));
        if (n > 0)
            (void)peri_buf_append(in, part, (size_t)n);
    }
    assert_non_null(memmem(in->data, in->len, until, strlen(until)));
}

static void tls_carries_large_bodies_and_several_requests_in_a_record(void **state)
{
    struct world *w = *state;
    char dir[] = "/tmp/perigee-tls-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *cert = peri_asprintf("%s/cert.pem", dir), *key = peri_asprintf("%s/key.pem", dir);
    char *command = peri_asprintf("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
                                  "-subj /CN=localhost -keyout %s -out %s 2>/dev/null",
        key, cert);
    assert_int_equal(system(command), 0);
    struct peri_http_server_options options = defaults(w);
    options.tls_cert = cert;
    options.tls_key = key;
    enum peri_status st = peri_http_server_create(&options, &w->server, NULL);
    unlink(cert);
    unlink(key);
    rmdir(dir);
    assert_int_equal(st, PERI_OK);

    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    int fd = connect_to(w);
    struct timeval soon = {.tv_usec = 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon));
    SSL *ssl = secure(w, context, fd);
    struct peri_buf in, out;
    peri_buf_init(&in, SIZE_MAX / 2);
    peri_buf_init(&out, SIZE_MAX / 2);
    peri_buf_printf(&out, "POST /echo HTTP/1.1\r\n" H "Content-Length: %d\r\n\r\n", 900004);
    peri_buf_append(&out, w->big, 900000);
    peri_buf_puts(&out, "END.");
    talk(w, ssl, out.data, out.len, "END.", &in);
    assert_memory_equal(body_of(in.data), w->big, 900000);
    peri_buf_reset(&in);
    static const char two[] = "GET / HTTP/1.1\r\n" H "\r\nPOST /echo HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nTWO";
    talk(w, ssl, two, sizeof(two) - 1, "TWO", &in);
    assert_int_equal(w->handled, 3);
    peri_buf_reset(&in);
    static const char last[] = "GET /big HTTP/1.1\r\n" H "Connection: close\r\n\r\n";
    talk(w, ssl, last, sizeof(last) - 1, "\r\n\r\n", &in);
    for (int i = 0; i < 200000; i++) {
        char part[20000];
        int n = SSL_read(ssl, part, sizeof(part));
        if (n > 0)
            (void)peri_buf_append(&in, part, (size_t)n);
        else if (SSL_get_error(ssl, n) == SSL_ERROR_ZERO_RETURN)
            break;
        peri_loop_once(w->loop, 0);
    }
    assert_int_equal(SSL_get_shutdown(ssl), SSL_RECEIVED_SHUTDOWN); /* the end is told, nobody can cut it short */
    assert_memory_equal(body_of(in.data), w->big, BIG);
    SSL_free(ssl);
    close(fd);
    fd = connect_to(w);
    assert_int_equal(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, 0), 18); /* no TLS at all */
    pump(w, 5);
    assert_true(hung_up(w, fd));
    close(fd);
    assert_int_equal(w->handled, 4);
    SSL_CTX_free(context);
    peri_buf_finish(&in);
    peri_buf_finish(&out);
    free(command);
    free(cert);
    free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_slow_reader_gets_all_of_it_and_the_next_request_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stream_is_whole_for_one_who_lags_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(silent_peers_are_cut_off_but_handlers_may_take_their_time, setup, teardown),
        cmocka_unit_test_setup_teardown(one_who_sends_but_takes_nothing_is_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(old_clients_and_heads_are_answered_as_they_can_read, setup, teardown),
        cmocka_unit_test_setup_teardown(many_requests_in_one_piece_are_answered_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_peer_that_is_gone_costs_nobody_anything, setup, teardown),
        cmocka_unit_test_setup_teardown(
            tls_carries_large_bodies_and_several_requests_in_a_record, setup_loop, teardown),
    };
    return cmocka_run_group_tests_name("io.http_server_conn", tests, NULL, NULL);
}
