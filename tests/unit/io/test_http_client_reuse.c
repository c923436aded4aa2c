/* SPDX-License-Identifier: Apache-2.0 */
/* Handles and connections are used again, by calls of other plugins too. What a call had of its own may not be seen in
 * the next one: the server compares the bytes of a request with those of a client that never sent anything else. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "io/http_client.h"

#define PEERS 32

struct peer {
    struct world *w;
    struct peri_io *io;
    int fd;
    size_t len;
    char got[300000];
};

struct world {
    struct peri_loop *loop;
    struct peri_http_client *client;
    struct peri_io *io;
    int fd, port, connections, requests;
    struct peer *peers[PEERS];
    char last[4096]; /* the last request, without what is longer */
};

struct result {
    int done;
    enum peri_status st;
    int status;
    char body[64], code[PERI_ERROR_CODE_MAX];
};

/* ---- a server that keeps what it got as it was ---- */

static void drop(struct peer *peer)
{
    peri_io_destroy(peer->io);
    close(peer->fd);
    for (int i = 0; i < PEERS; i++)
        if (peer->w->peers[i] == peer)
            peer->w->peers[i] = NULL;
    free(peer);
}

static void say(const struct peer *peer, const char *text)
{
    assert_int_equal(write(peer->fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* False: the connection is gone. */
static bool answer(struct peer *peer)
{
    bool head = strncmp(peer->got, "HEAD ", 5) == 0;
    if (strstr(peer->got, " /auth ")) {
        say(peer, "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n");
    } else if (strstr(peer->got, " /moved ")) {
        say(peer,
            "HTTP/1.1 302 Found\r\nLocation: /landed\r\nSet-Cookie: moved=1; Path=/\r\nContent-Length: 0\r\n\r\n");
    } else if (strstr(peer->got, " /broken ")) {
        say(peer, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        drop(peer);
        return false;
    } else {
        char text[512]; /* in one piece: two would wait for each other */
        snprintf(text, sizeof(text),
            "HTTP/1.1 200 OK\r\nSet-Cookie: sid=0123456789; Path=/\r\nETag: \"tag\"\r\n"
            "Strict-Transport-Security: max-age=31536000\r\nAlt-Svc: h2=\":443\"\r\nContent-Length: 2\r\n\r\n%s",
            head ? "" : "hi");
        say(peer, text);
    }
    return true;
}

static void on_peer(void *arg, int fd, int what)
{
    struct peer *peer = arg;
    ssize_t n = read(fd, peer->got + peer->len, sizeof(peer->got) - 1 - peer->len);
    if (n <= 0) {
        drop(peer);
        return;
    }
    peer->len += (size_t)n;
    peer->got[peer->len] = '\0';
    const char *end = strstr(peer->got, "\r\n\r\n"), *length = strstr(peer->got, "Content-Length: ");
    if (!end || peer->len < (size_t)(end + 4 - peer->got) + (length ? strtoul(length + 16, NULL, 10) : 0))
        return;
    peer->w->requests++;
    size_t kept = peer->len < sizeof(peer->w->last) ? peer->len : sizeof(peer->w->last) - 1;
    memcpy(peer->w->last, peer->got, kept);
    peer->w->last[kept] = '\0';
    if (!answer(peer))
        return;
    peer->len = 0;
}

static void on_connection(void *arg, int fd, int what)
{
    struct world *w = arg;
    struct peer *peer = calloc(1, sizeof(*peer));
    assert_non_null(peer);
    peer->w = w;
    peer->fd = accept(fd, NULL, NULL);
    w->connections++;
    int i = 0;
    while (i < PEERS && w->peers[i])
        i++;
    assert_true(i < PEERS && peer->fd >= 0);
    w->peers[i] = peer;
    assert_int_equal(peri_loop_io(w->loop, peer->fd, PERI_IO_READ, on_peer, peer, &peer->io), PERI_OK);
}

static void new_client(struct world *w)
{
    struct peri_http_client_options options = {.loop = w->loop, .max_per_host = 1};
    struct peri_error err = {0};
    peri_http_client_destroy(w->client);
    assert_int_equal(peri_http_client_create(&options, &w->client, &err), PERI_OK);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct peri_clock clock = peri_clock_system();
    struct peri_error err = {0};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    assert_int_equal(peri_loop_create(&clock, &w->loop, &err), PERI_OK);
    w->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(w->fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(w->fd, 16), 0);
    assert_int_equal(getsockname(w->fd, (struct sockaddr *)&at, &len), 0);
    w->port = ntohs(at.sin_port);
    assert_int_equal(peri_loop_io(w->loop, w->fd, PERI_IO_READ, on_connection, w, &w->io), PERI_OK);
    new_client(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    peri_http_client_destroy(w->client);
    for (int i = 0; i < PEERS; i++)
        if (w->peers[i])
            drop(w->peers[i]);
    peri_io_destroy(w->io);
    close(w->fd);
    peri_loop_destroy(w->loop);
    free(w);
    return 0;
}

/* ---- calls ---- */

static bool allow_all(void *ctx, const char *host, const char *address, int port, bool is_private)
{
    return true;
}

static void on_done(
    void *arg, enum peri_status st, const struct peri_http_response *response, const struct peri_error *err)
{
    struct result *r = arg;
    r->done++;
    r->st = st;
    r->status = response->status;
    snprintf(r->body, sizeof(r->body), "%s", response->body);
    snprintf(r->code, sizeof(r->code), "%s", st ? err->code : "");
}

static struct result run(struct world *w, const struct peri_http_send *request)
{
    struct result r = {0};
    struct peri_error err = {0};
    enum peri_status st = peri_http_client_send(w->client, request, on_done, &r, NULL, &err);
    if (st != PERI_OK)
        fail_msg("%s: %s", err.code, err.message);
    for (int i = 0; i < 1000 && !r.done; i++)
        peri_loop_once(w->loop, 10);
    assert_int_equal(r.done, 1);
    return r;
}

static char big[200000];
static const struct peri_http_field secrets[] = {{"Authorization", "Bearer of-plugin-a"}, {"Cookie", "sid=of-plugin-a"},
    {"X-Api-Key", "of-plugin-a"}, {"Accept-Encoding", "gzip"}, {"Range", "bytes=0-0"}, {"If-None-Match", "\"tag\""},
    {"Content-Type", "application/secret"}, {"Referer", "http://a/"}, {"Accept", "text/a"}};

/* What a plugin may have done before another one calls. */
static const struct {
    const char *path;
    struct peri_http_send send;
} before[] = {
    {"/", {.method = "GET"}},
    {"/", {.method = "GET", .headers = secrets, .header_count = sizeof(secrets) / sizeof(secrets[0])}},
    {"/", {.method = "POST", .body = "a=1", .body_len = 3, .headers = secrets, .header_count = 9}},
    {"/", {.method = "POST", .body = big, .body_len = sizeof(big)}},
    {"/", {.method = "PUT", .body = "secret", .body_len = 6}},
    {"/", {.method = "DELETE"}},
    {"/", {.method = "PROPFIND", .body = "secret", .body_len = 6}},
    {"/", {.method = "HEAD"}},
    {"/", {.method = "GET", .user = "ada", .password = "hush", .user_agent = "a/1"}},
    {"/auth", {.method = "GET", .user = "ada", .password = "hush"}},
    {"/auth", {.method = "POST", .body = "x", .body_len = 1}},
    {"/moved", {.method = "POST", .body = "x", .body_len = 1, .max_redirects = 3, .user = "ada", .password = "hush"}},
    {"/moved", {.method = "GET", .max_redirects = 3, .headers = secrets, .header_count = 3}},
    {"/moved", {.method = "GET"}},
    {"/broken", {.method = "GET", .user_agent = "a/1"}},
    {"/", {.method = "GET", .max_response = 1, .timeout_ms = 5000, .user_agent = "a/1"}},
};

static const struct {
    const char *path;
    struct peri_http_send send;
    int status;
    const char *body;
} after[] = {
    {"/plain", {.method = "GET"}, 200, "hi"},
    {"/plain", {.method = "POST"}, 200, "hi"},
    {"/plain", {.method = "POST", .body = "{}", .body_len = 2}, 200, "hi"},
    {"/plain", {.method = "HEAD"}, 200, ""},
    {"/plain", {.method = "DELETE"}, 200, "hi"},
    {"/moved", {.method = "GET"}, 302, ""}, /* not followed */
    {"/auth", {.method = "GET"}, 401, ""},
};

static struct result send_to(struct world *w, const char *path, const struct peri_http_send *send)
{
    struct peri_http_send request = *send;
    char *url = peri_asprintf("http://127.0.0.1:%d%s", w->port, path);
    request.url = url;
    request.allow = allow_all;
    struct result r = run(w, &request);
    free(url);
    return r;
}

static void nothing_of_one_call_is_in_the_next(void **state)
{
    struct world *w = *state;
    for (size_t b = 0; b < sizeof(after) / sizeof(after[0]); b++) {
        char want[sizeof(w->last)];
        new_client(w);
        send_to(w, after[b].path, &after[b].send);
        snprintf(want, sizeof(want), "%s", w->last);
        assert_null(strstr(want, "plugin-a"));
        for (size_t a = 0; a < sizeof(before) / sizeof(before[0]); a++) {
            new_client(w);
            send_to(w, before[a].path, &before[a].send);
            send_to(w, before[a].path, &before[a].send);
            struct result r = send_to(w, after[b].path, &after[b].send);
            assert_string_equal(r.code, "");
            assert_int_equal(r.status, after[b].status);
            assert_string_equal(r.body, after[b].body);
            if (strcmp(w->last, want) != 0)
                fail_msg("call %zu after call %zu sent\n%s\nin place of\n%s", b, a, w->last, want);
        }
        /* And after all of them. */
        for (size_t a = 0; a < sizeof(before) / sizeof(before[0]); a++)
            send_to(w, before[a].path, &before[a].send);
        send_to(w, after[b].path, &after[b].send);
        assert_string_equal(w->last, want);
    }
}

/* Who may connect is asked for each call, whatever the one before was allowed. */
static void leave_to_connect_is_not_passed_on(void **state)
{
    struct world *w = *state;
    char *url = peri_asprintf("http://127.0.0.1:%d/", w->port);
    struct peri_http_send open = {.method = "GET", .url = url, .allow = allow_all},
                          closed = {.method = "GET", .url = url};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(run(w, &open).status, 200);
        int seen = w->requests;
        assert_string_equal(run(w, &closed).code, "http.blocked");
        assert_int_equal(w->requests, seen);
    }
    free(url);
}

static void calls_one_after_the_other_share_a_connection(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 50; i++)
        assert_int_equal(send_to(w, "/", &before[i % 9].send).status, 200);
    assert_int_equal(w->connections, 1);
}

/* A server that closes what nobody uses: the next call opens another, and nothing waits for the old one. */
static void a_connection_that_the_server_closed_is_not_used(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(send_to(w, "/", &before[0].send).status, 200);
        for (int k = 0; k < PEERS; k++)
            if (w->peers[k])
                drop(w->peers[k]);
        if (i % 2)
            for (int k = 0; k < 5; k++)
                peri_loop_once(w->loop, 1);
    }
    assert_int_equal(w->connections, 5);
}

int main(void)
{
    memset(big, 'b', sizeof(big));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_of_one_call_is_in_the_next, setup, teardown),
        cmocka_unit_test_setup_teardown(leave_to_connect_is_not_passed_on, setup, teardown),
        cmocka_unit_test_setup_teardown(calls_one_after_the_other_share_a_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(a_connection_that_the_server_closed_is_not_used, setup, teardown),
    };
    return cmocka_run_group_tests_name("io.http_client_reuse", tests, NULL, NULL);
}
