/* SPDX-License-Identifier: Apache-2.0 */
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

#include "base/buf.h"
#include "base/str.h"
#include "io/http_client.h"
#include "io/http_server.h"

struct world {
    struct peri_loop *loop;
    struct peri_http_server *server;
    struct peri_http_client *client;
    struct peri_http_request *kept[64];
    int kept_count, handled, port;
    char seen[1024];
};

struct result {
    int done;
    int *total; /* counts over several calls */
    enum peri_status st;
    int status;
    bool connected;
    char body[256];
    size_t body_len;
    char header[256];
    char code[PERI_ERROR_CODE_MAX], message[PERI_ERROR_MESSAGE_MAX];
    bool retryable, outcome_unknown;
};

static void on_done(
    void *arg, enum peri_status st, const struct peri_http_response *response, const struct peri_error *err)
{
    struct result *r = arg;
    r->done++;
    if (r->total)
        ++*r->total;
    r->st = st;
    r->status = response->status;
    r->connected = response->connected;
    r->body_len = response->body_len;
    snprintf(r->body, sizeof(r->body), "%s", response->body);
    for (size_t i = 0; i < response->header_count; i++)
        if (strcmp(response->headers[i].name, "x-answer") == 0)
            snprintf(r->header, sizeof(r->header), "%s", response->headers[i].value);
    if (st) {
        snprintf(r->code, sizeof(r->code), "%s", err->code);
        snprintf(r->message, sizeof(r->message), "%s", err->message);
        r->retryable = err->retryable;
        r->outcome_unknown = err->outcome_unknown;
    }
}

static const char *header_or(struct peri_http_request *req, const char *name)
{
    const char *value = peri_http_header(req, name);
    return value ? value : "-";
}

static void redirect(struct peri_http_request *req, const char *to)
{
    assert_int_equal(peri_http_set_header(req, "Location", to), PERI_OK);
    peri_http_answer(req, 302, NULL, NULL, 0);
}

static void handle(void *ctx, struct peri_http_request *req)
{
    struct world *w = ctx;
    const char *path = peri_http_path(req);
    size_t len;
    const char *body = peri_http_body(req, &len);
    w->handled++;
    snprintf(w->seen, sizeof(w->seen), "%s %s type=%s auth=%s agent=%s expect=%s body=%.*s", peri_http_method(req),
        peri_http_target(req), header_or(req, "Content-Type"), header_or(req, "Authorization"),
        header_or(req, "User-Agent"), header_or(req, "Expect"), (int)len, body);
    if (strcmp(path, "/hold") == 0) {
        w->kept[w->kept_count++] = req;
    } else if (strcmp(path, "/big") == 0) {
        static char big[100000];
        peri_http_answer(req, 200, "text/plain", big, sizeof(big));
    } else if (strcmp(path, "/headers") == 0) {
        for (int i = 0; i < 70; i++) {
            char name[32], value[1025];
            snprintf(name, sizeof(name), "X-%d", i);
            memset(value, 'a', sizeof(value) - 1);
            value[sizeof(value) - 1] = '\0';
            assert_int_equal(peri_http_set_header(req, name, value), PERI_OK);
        }
        peri_http_answer(req, 200, NULL, NULL, 0);
    } else if (strcmp(path, "/redirect") == 0) {
        redirect(req, peri_http_query(req, "to"));
    } else if (strcmp(path, "/status") == 0) {
        assert_int_equal(peri_http_set_header(req, "X-Answer", "Yes"), PERI_OK);
        peri_http_answer(req, 418, "text/plain", "teapot", 6);
    } else {
        peri_http_answer(req, 200, "text/plain", "hello", 5);
    }
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct peri_clock clock = peri_clock_system();
    struct peri_error err = {0};
    assert_int_equal(peri_loop_create(&clock, &w->loop, &err), PERI_OK);
    struct peri_http_server_options server = {
        .loop = w->loop, .listen = "127.0.0.1:0", .timeout_s = 20, .max_headers = 100000, .handler = handle, .ctx = w};
    assert_int_equal(peri_http_server_create(&server, &w->server, &err), PERI_OK);
    w->port = peri_http_server_port(w->server);
    struct peri_http_client_options client = {.loop = w->loop, .max_in_flight = 4, .max_per_host = 2};
    assert_int_equal(peri_http_client_create(&client, &w->client, &err), PERI_OK);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    peri_http_client_destroy(w->client);
    peri_http_server_destroy(w->server);
    for (int i = 0; i < w->kept_count; i++)
        peri_http_answer(w->kept[i], 200, NULL, NULL, 0);
    for (int i = 0; i < 3; i++)
        peri_loop_once(w->loop, 0);
    peri_loop_destroy(w->loop);
    free(w);
    return 0;
}

static bool allow_all(void *ctx, const char *host, const char *address, int port, bool is_private)
{
    return true;
}

/* Notes what it was asked; allows all but a forbidden host. */
struct gate {
    const char *forbidden;
    char asked[1024];
    bool saw_public;
};

static bool ask_gate(void *ctx, const char *host, const char *address, int port, bool is_private)
{
    struct gate *gate = ctx;
    size_t len = strlen(gate->asked);
    snprintf(gate->asked + len, sizeof(gate->asked) - len, "%s=%s;", host, address);
    gate->saw_public |= !is_private;
    return !gate->forbidden || strcmp(host, gate->forbidden) != 0;
}

static struct peri_http_send get(const char *url)
{
    return (struct peri_http_send){.method = "GET", .url = url, .allow = allow_all};
}

static void wait_for(struct world *w, const int *flag, int want)
{
    for (int i = 0; i < 1000 && *flag < want; i++)
        peri_loop_once(w->loop, 10);
    assert_true(*flag >= want);
}

static struct result run(struct world *w, const struct peri_http_send *request)
{
    struct result r = {0};
    struct peri_error err = {0};
    enum peri_status st = peri_http_client_send(w->client, request, on_done, &r, NULL, &err);
    if (st != PERI_OK)
        fail_msg("%s: %s", err.code, err.message);
    assert_int_equal(r.done, 0); /* never before it returns */
    wait_for(w, &r.done, 1);
    return r;
}

static char *url_of(const struct world *w, const char *host, const char *path)
{
    return peri_asprintf("http://%s:%d%s", host, w->port, path);
}

static void any_status_is_an_answer(void **state)
{
    struct world *w = *state;
    char *url = url_of(w, "127.0.0.1", "/status?a=1");
    struct peri_http_send request = get(url);
    struct result r = run(w, &request);
    assert_int_equal(r.st, PERI_OK);
    assert_int_equal(r.status, 418);
    assert_string_equal(r.body, "teapot");
    assert_string_equal(r.header, "Yes");
    assert_true(r.connected);
    assert_string_equal(w->seen, "GET /status?a=1 type=- auth=- agent=perigee/" PERIGEE_VERSION " expect=- body=");
    free(url);
}

static void methods_bodies_headers_and_credentials_arrive(void **state)
{
    struct world *w = *state;
    char *url = url_of(w, "127.0.0.1", "/x");
    struct peri_http_field headers[] = {{"Content-Type", "application/json"}, {"X-Empty", ""}};
    struct peri_http_send request = get(url);
    request.method = "POST";
    request.body = "{\"a\":1}";
    request.body_len = 7;
    request.headers = headers;
    request.header_count = 2;
    request.user = "alice";
    request.password = "secret";
    request.user_agent = "test/1";
    assert_int_equal(run(w, &request).status, 200);
    assert_string_equal(
        w->seen, "POST /x type=application/json auth=Basic YWxpY2U6c2VjcmV0 agent=test/1 expect=- body={\"a\":1}");

    request = get(url);
    request.method = "PUT";
    assert_int_equal(run(w, &request).status, 200);
    assert_true(peri_str_starts(w->seen, "PUT /x type=- auth=- "));
    request.method = "DELETE";
    assert_int_equal(run(w, &request).status, 200);
    assert_true(peri_str_starts(w->seen, "DELETE /x type=- "));
    request.method = "HEAD";
    struct result r = run(w, &request);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.body_len, 0);
    assert_true(peri_str_starts(w->seen, "HEAD /x "));
    free(url);
}

static void private_addresses_are_refused_in_every_spelling(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "[::1]", "2130706433", "0x7f000001", "0177.0.0.1", "127.1",
        "[::ffff:127.0.0.1]", "localhost", "0.0.0.0", "[::]", "10.0.0.1", "192.168.1.1", "169.254.169.254", "[fe80::1]",
        "[fd00::1]"};
    struct world *w = *state;
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        char *url = url_of(w, hosts[i], "/");
        struct peri_http_send request = get(url);
        request.allow = NULL;
        struct result r = run(w, &request);
        if (strcmp(r.code, "http.blocked") != 0)
            fail_msg("%s: %s %s", hosts[i], r.code, r.message);
        assert_int_equal(r.st, PERI_EDENIED);
        assert_false(r.connected);
        assert_false(r.retryable);
        free(url);
    }
    assert_int_equal(w->handled, 0);
}

static void a_kept_connection_does_not_open_the_way_for_others(void **state)
{
    struct world *w = *state;
    char *url = url_of(w, "127.0.0.1", "/");
    struct peri_http_send request = get(url);
    assert_int_equal(run(w, &request).status, 200); /* its connection is kept */
    request.allow = NULL;
    struct result r = run(w, &request);
    assert_string_equal(r.code, "http.blocked");
    assert_int_equal(w->handled, 1);
    free(url);
}

static void redirects_are_followed_only_as_told_and_checked_again(void **state)
{
    struct world *w = *state;
    char *target = url_of(w, "localhost", "/final"), *path = peri_asprintf("/redirect?to=%s", target);
    char *url = url_of(w, "127.0.0.1", path);
    struct peri_http_send request = get(url);
    struct result r = run(w, &request);
    assert_int_equal(r.status, 302);

    struct gate gate = {0};
    request.max_redirects = 2;
    request.allow = ask_gate;
    request.allow_ctx = &gate;
    r = run(w, &request);
    assert_int_equal(r.st, PERI_OK);
    assert_int_equal(r.status, 200);
    assert_string_equal(r.body, "hello");
    assert_non_null(strstr(gate.asked, "127.0.0.1=127.0.0.1;"));
    assert_non_null(strstr(gate.asked, "localhost="));
    assert_false(gate.saw_public);

    gate = (struct gate){.forbidden = "localhost"};
    int handled = w->handled;
    r = run(w, &request);
    assert_string_equal(r.code, "http.blocked");
    assert_non_null(strstr(r.message, "localhost"));
    assert_int_equal(w->handled, handled + 1);

    /* Other schemes and endless rounds. */
    static const char *const bad[][2] = {{"/redirect?to=file:///etc/passwd", "http.url"},
        {"/redirect?to=ftp://127.0.0.1/", "http.url"},
        {"/redirect?to=/redirect?to=/redirect?to=/redirect?to=/final", "http.protocol"}};
    for (size_t i = 0; i < 3; i++) {
        char *from = url_of(w, "127.0.0.1", bad[i][0]);
        struct peri_http_send other = get(from);
        other.max_redirects = 2;
        r = run(w, &other);
        assert_string_equal(r.code, bad[i][1]);
        free(from);
    }
    free(url);
    free(path);
    free(target);
}

static void answers_have_limits(void **state)
{
    struct world *w = *state;
    char *url = url_of(w, "127.0.0.1", "/big");
    struct peri_http_send request = get(url);
    request.max_response = 100000;
    struct result r = run(w, &request);
    assert_int_equal(r.st, PERI_OK);
    assert_int_equal(r.body_len, 100000);
    request.max_response = 99999;
    r = run(w, &request);
    assert_int_equal(r.st, PERI_ELIMIT);
    assert_string_equal(r.code, "http.too_large");
    assert_true(r.outcome_unknown);
    free(url);
    url = url_of(w, "127.0.0.1", "/headers");
    request = get(url);
    assert_string_equal(run(w, &request).code, "http.too_large");
    free(url);
}

static void a_silent_server_ends_in_a_timeout_of_unknown_outcome(void **state)
{
    struct world *w = *state;
    char *url = url_of(w, "127.0.0.1", "/hold");
    struct peri_http_send request = get(url);
    request.timeout_ms = 60;
    struct result r = run(w, &request);
    assert_int_equal(r.st, PERI_ETIMEOUT);
    assert_string_equal(r.code, "http.timeout");
    assert_true(r.connected && r.outcome_unknown && r.retryable);
    free(url);
}

static int closed_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void failures_have_stable_codes(void **state)
{
    struct world *w = *state;
    char *url = peri_asprintf("http://127.0.0.1:%d/", closed_port());
    struct peri_http_send request = get(url);
    struct result r = run(w, &request);
    assert_int_equal(r.st, PERI_EIO);
    assert_string_equal(r.code, "http.connect");
    assert_true(r.retryable);
    assert_false(r.connected || r.outcome_unknown);
    free(url);
    request = get("http://host.invalid/");
    r = run(w, &request);
    assert_string_equal(r.code, "http.dns");
    assert_true(r.retryable);
    /* TLS to a server that speaks none. */
    url = peri_asprintf("https://127.0.0.1:%d/", w->port);
    request = get(url);
    r = run(w, &request);
    assert_string_equal(r.code, "http.tls");
    assert_false(r.connected);
    free(url);
}

static void unusable_requests_are_refused_at_once(void **state)
{
    static const struct {
        const char *method, *url, *name, *value, *code;
    } bad[] = {
        {"GET", "ftp://example.org/", NULL, NULL, "http.url"},
        {"GET", "file:///etc/passwd", NULL, NULL, "http.url"},
        {"GET", "example.org", NULL, NULL, "http.url"},
        {"GET", "", NULL, NULL, "http.url"},
        {"GET", "http://", NULL, NULL, "http.url"},
        {"GET", "http://a b/", NULL, NULL, "http.url"},
        {"GET", "http://a/\r\nX: y", NULL, NULL, "http.url"},
        {"GET", "http://user:pw@example.org/", NULL, NULL, "http.url"},
        {"GET", "http://example.org:99999/", NULL, NULL, "http.url"},
        {"G T", "http://example.org/", NULL, NULL, "http.method"},
        {"CONNECT", "http://example.org/", NULL, NULL, "http.method"},
        {"", "http://example.org/", NULL, NULL, "http.method"},
        {"GET", "http://example.org/", "Host", "other", "http.header"},
        {"GET", "http://example.org/", "content-length", "3", "http.header"},
        {"GET", "http://example.org/", "X", "a\r\nY: b", "http.header"},
        {"GET", "http://example.org/", "X Y", "a", "http.header"},
        {"GET", "http://example.org/", "", "a", "http.header"},
    };
    struct world *w = *state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct peri_http_field field = {bad[i].name, bad[i].value};
        struct peri_http_send request = get(bad[i].url);
        request.method = bad[i].method;
        request.headers = &field;
        request.header_count = bad[i].name ? 1 : 0;
        struct peri_error err = {0};
        struct result r = {0};
        assert_int_equal(peri_http_client_send(w->client, &request, on_done, &r, NULL, &err), PERI_EINVAL);
        if (strcmp(err.code, bad[i].code) != 0)
            fail_msg("%s %s: %s", bad[i].method, bad[i].url, err.code);
        assert_int_equal(r.done, 0);
    }
}

static void calls_wait_for_their_turn_in_order(void **state)
{
    struct world *w = *state;
    struct result r[6] = {0};
    int total = 0;
    char *urls[6];
    for (int i = 0; i < 6; i++) {
        char path[32];
        snprintf(path, sizeof(path), "/hold?%d", i);
        urls[i] = url_of(w, "127.0.0.1", path);
        r[i].total = &total;
        struct peri_http_send request = get(urls[i]);
        assert_int_equal(peri_http_client_send(w->client, &request, on_done, &r[i], NULL, NULL), PERI_OK);
    }
    wait_for(w, &w->kept_count, 2); /* per host */
    for (int i = 0; i < 20; i++)
        peri_loop_once(w->loop, 1);
    assert_int_equal(w->kept_count, 2);
    /* Another name for the same machine has its own share. */
    char *other = url_of(w, "localhost", "/status");
    struct peri_http_send request = get(other);
    assert_int_equal(run(w, &request).status, 418);
    for (int answered = 0; answered < 6; answered++) {
        wait_for(w, &w->kept_count, 1);
        struct peri_http_request *first = w->kept[0];
        w->kept_count--;
        memmove(w->kept, w->kept + 1, sizeof(w->kept) - sizeof(w->kept[0]));
        peri_http_answer(first, 200, NULL, NULL, 0);
        wait_for(w, &total, answered + 1);
    }
    for (int i = 0; i < 6; i++) {
        assert_int_equal(r[i].st, PERI_OK);
        free(urls[i]);
    }
    free(other);
}

static void a_cancelled_call_is_never_heard_of_again(void **state)
{
    struct world *w = *state;
    struct result running = {0}, waiting = {0}, last = {0};
    struct peri_http_call *calls[3];
    char *url = url_of(w, "127.0.0.1", "/hold"), *quick = url_of(w, "127.0.0.1", "/");
    struct peri_http_send request = get(url);
    assert_int_equal(peri_http_client_send(w->client, &request, on_done, &running, &calls[0], NULL), PERI_OK);
    assert_int_equal(peri_http_client_send(w->client, &request, on_done, &running, &calls[1], NULL), PERI_OK);
    assert_int_equal(peri_http_client_send(w->client, &request, on_done, &waiting, &calls[2], NULL), PERI_OK);
    struct peri_http_send after = get(quick);
    assert_int_equal(peri_http_client_send(w->client, &after, on_done, &last, NULL, NULL), PERI_OK);
    wait_for(w, &w->kept_count, 2);
    peri_http_call_cancel(calls[2]);
    peri_http_call_cancel(calls[0]);
    peri_http_call_cancel(NULL);
    wait_for(w, &last.done, 1);
    peri_http_call_cancel(calls[1]);
    for (int i = 0; i < 10; i++)
        peri_loop_once(w->loop, 1);
    assert_int_equal(running.done + waiting.done, 0);
    free(url);
    free(quick);
}

/* Whoever asks for more hears so at once, and can try again: nothing is taken and forgotten. */
static void no_more_requests_wait_than_there_is_room_for(void **state)
{
    struct world *w = *state;
    static struct result r, last; /* most of them end with the client */
    struct peri_http_call *first = NULL;
    struct peri_error err = {0};
    char *url = url_of(w, "127.0.0.1", "/hold"), *quick = url_of(w, "127.0.0.1", "/");
    struct peri_http_send hold = get(url), request = get(quick);
    enum peri_status st = PERI_OK;
    int taken = 0;
    assert_int_equal(peri_http_client_send(w->client, &hold, on_done, &last, &first, NULL), PERI_OK);
    assert_int_equal(peri_http_client_send(w->client, &hold, on_done, &last, NULL, NULL), PERI_OK);
    wait_for(w, &w->kept_count, 2); /* all that the host may have */
    while (taken < 20000 && (st = peri_http_client_send(w->client, &request, on_done, &r, NULL, &err)) == PERI_OK)
        taken++;
    assert_int_equal(st, PERI_EBUSY);
    assert_int_equal(taken, 10000);
    assert_string_equal(err.message, "10000 requests are waiting already");
    peri_http_call_cancel(first);
    wait_for(w, &r.done, 5); /* it goes on */
    assert_int_equal(peri_http_client_send(w->client, &request, on_done, &r, NULL, &err), PERI_OK);
    free(url);
    free(quick);
}

static void destroying_the_client_ends_open_calls(void **state)
{
    struct world *w = *state;
    struct result r[4] = {0};
    char *url = url_of(w, "127.0.0.1", "/hold");
    struct peri_http_send request = get(url);
    for (int i = 0; i < 4; i++)
        assert_int_equal(peri_http_client_send(w->client, &request, on_done, &r[i], NULL, NULL), PERI_OK);
    wait_for(w, &w->kept_count, 2);
    peri_http_client_destroy(w->client);
    w->client = NULL;
    int unknown = 0;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(r[i].done, 1);
        assert_int_equal(r[i].st, PERI_ESTATE);
        unknown += r[i].outcome_unknown;
    }
    assert_int_equal(unknown, 2);
    free(url);
}

/* The server's TLS and the client's check of it. */
static void tls_works_and_strangers_are_refused(void **state)
{
    struct world *w = *state;
    char dir[] = "/tmp/perigee-tls-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *cert = peri_asprintf("%s/cert.pem", dir), *key = peri_asprintf("%s/key.pem", dir);
    char *command = peri_asprintf(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost "
        "-addext subjectAltName=IP:127.0.0.1 -keyout %s -out %s 2>/dev/null",
        key, cert);
    assert_int_equal(system(command), 0);
    struct peri_error err = {0};
    struct peri_http_server *server = NULL;
    struct peri_http_server_options options = {
        .loop = w->loop, .listen = "127.0.0.1:0", .tls_cert = cert, .tls_key = key, .handler = handle, .ctx = w};
    assert_int_equal(peri_http_server_create(&options, &server, &err), PERI_OK);
    char *url = peri_asprintf("https://127.0.0.1:%d/status", peri_http_server_port(server));
    struct peri_http_send request = get(url);
    struct result r = run(w, &request); /* nobody vouches for it */
    assert_string_equal(r.code, "http.tls");
    assert_false(r.retryable);
    assert_int_equal(w->handled, 0);

    /* Whom one call trusts is no matter of the next one. */
    char pem[4096] = "";
    FILE *in = fopen(cert, "re");
    assert_non_null(in);
    assert_true(fread(pem, 1, sizeof(pem) - 1, in) > 100);
    fclose(in);
    for (int i = 0; i < 3; i++) {
        request.ca = pem;
        r = run(w, &request);
        assert_int_equal(r.status, 418);
        request.ca = NULL;
        r = run(w, &request);
        assert_string_equal(r.code, "http.tls");
        assert_int_equal(w->handled, i + 1);
    }

    struct peri_http_client_options trusting = {.loop = w->loop, .ca_file = cert};
    struct peri_http_client *client = w->client, *trusts = NULL;
    assert_int_equal(peri_http_client_create(&trusting, &trusts, &err), PERI_OK);
    w->client = trusts;
    r = run(w, &request);
    assert_int_equal(r.status, 418);
    static char big[200000];
    request.method = "POST";
    request.body = big;
    request.body_len = sizeof(big);
    r = run(w, &request);
    assert_int_equal(r.status, 418);
    w->client = client;
    peri_http_client_destroy(trusts);
    peri_http_server_destroy(server);
    /* A key that belongs to another certificate. */
    options.tls_key = cert;
    assert_int_equal(peri_http_server_create(&options, &server, &err), PERI_EINVAL);
    assert_string_equal(err.code, "http.tls");
    unlink(cert);
    unlink(key);
    assert_int_equal(rmdir(dir), 0);
    free(url);
    free(command);
    free(cert);
    free(key);
}

static void special_addresses_are_told_from_public_ones(void **state)
{
    static const char *const inside[] = {"0.0.0.0", "0.1.2.3", "10.255.255.255", "100.64.0.1", "100.127.255.255",
        "127.0.0.1", "127.255.255.255", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.168.0.1",
        "198.18.0.1", "198.19.255.255", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16",
        "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a00:1", "64:ff9b::10.0.0.1",
        "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1", "2001::1", "2001:db8::1", "fe80::1", "fe80::1%eth0",
        "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "100::1", "5f00::1", "", "localhost", "127.1", "2130706433",
        "x"};
    static const char *const outside[] = {"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255",
        "100.128.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255", "172.15.255.255", "172.32.0.0",
        "192.167.255.255", "192.169.0.0", "223.255.255.255", "2606:4700::1111", "2a00:1450::1", "2001:4860:4860::8888",
        "2002:808:808::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2620:fe::fe"};
    for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++)
        if (!peri_address_is_private(inside[i]))
            fail_msg("%s counts as public", inside[i]);
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
        if (peri_address_is_private(outside[i]))
            fail_msg("%s counts as private", outside[i]);
    assert_true(peri_address_is_private(NULL));
}

int main(void)
{
    /* A proxy in the environment must not be used. */
    setenv("http_proxy", "http://127.0.0.1:1/", 1);
    setenv("https_proxy", "http://127.0.0.1:1/", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(any_status_is_an_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(methods_bodies_headers_and_credentials_arrive, setup, teardown),
        cmocka_unit_test_setup_teardown(private_addresses_are_refused_in_every_spelling, setup, teardown),
        cmocka_unit_test_setup_teardown(a_kept_connection_does_not_open_the_way_for_others, setup, teardown),
        cmocka_unit_test_setup_teardown(redirects_are_followed_only_as_told_and_checked_again, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_have_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(a_silent_server_ends_in_a_timeout_of_unknown_outcome, setup, teardown),
        cmocka_unit_test_setup_teardown(failures_have_stable_codes, setup, teardown),
        cmocka_unit_test_setup_teardown(unusable_requests_are_refused_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(calls_wait_for_their_turn_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cancelled_call_is_never_heard_of_again, setup, teardown),
        cmocka_unit_test_setup_teardown(no_more_requests_wait_than_there_is_room_for, setup, teardown),
        cmocka_unit_test_setup_teardown(destroying_the_client_ends_open_calls, setup, teardown),
        cmocka_unit_test_setup_teardown(tls_works_and_strangers_are_refused, setup, teardown),
        cmocka_unit_test(special_addresses_are_told_from_public_ones),
    };
    return cmocka_run_group_tests_name("io.http_client", tests, NULL, NULL);
}
