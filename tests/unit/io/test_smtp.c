/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "io/http_client.h"

/* A mail server that follows a script: "S text" is said, "C prefix" is a line that must come, "D" reads a mail up to
 * its final dot, "X" hangs up, "H" stays silent until the client goes. */
struct server {
    const char *const *script;
    int listener, port;
    pthread_t thread;
    struct peri_buf heard;
    char problem[256];
};

struct result {
    int done;
    enum peri_status st;
    int status;
    bool connected, retryable, outcome_unknown;
    char body[256], code[PERI_ERROR_CODE_MAX], message[PERI_ERROR_MESSAGE_MAX];
};

struct world {
    struct peri_loop *loop;
    struct peri_http_client *client;
};

static bool read_line(int fd, char *line, size_t size)
{
    size_t len = 0;
    while (len + 1 < size && recv(fd, line + len, 1, 0) == 1)
        if (line[len++] == '\n')
            break;
    line[len] = '\0';
    return len > 0 && line[len - 1] == '\n';
}

static void say(int fd, const char *text)
{
    char line[512];
    int n = snprintf(line, sizeof(line), "%s\r\n", text);
    (void)!send(fd, line, (size_t)n, MSG_NOSIGNAL);
}

static void *serve(void *arg)
{
    struct server *s = arg;
    char line[2048];
    struct pollfd waiting = {.fd = s->listener, .events = POLLIN};
    int fd = poll(&waiting, 1, 5000) == 1 ? accept(s->listener, NULL, NULL) : -1;
    struct timeval patience = {.tv_sec = 5};
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    for (const char *const *step = s->script; fd >= 0 && *step; step++) {
        if (**step == 'S') {
            say(fd, *step + 2);
        } else if (**step == 'C') {
            if (!read_line(fd, line, sizeof(line)) || strncmp(line, *step + 2, strlen(*step + 2)) != 0)
                snprintf(s->problem, sizeof(s->problem), "wanted \"%s\", got \"%.100s\"", *step + 2, line);
            peri_buf_puts(&s->heard, line);
        } else if (**step == 'D') {
            while (read_line(fd, line, sizeof(line)) && strcmp(line, ".\r\n") != 0)
                peri_buf_puts(&s->heard, line);
        } else if (**step == 'H') {
            while (read_line(fd, line, sizeof(line)))
                continue;
        } else {
            break;
        }
        if (s->problem[0])
            break;
    }
    if (fd >= 0)
        close(fd);
    return NULL;
}

static void server_start(struct server *s, const char *const *script)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    memset(s, 0, sizeof(*s));
    s->script = script;
    peri_buf_init(&s->heard, 1 << 20);
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(s->listener, 4), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&address, &len), 0);
    s->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
    pthread_join(s->thread, NULL);
    close(s->listener);
    if (s->problem[0])
        fail_msg("the mail server %s", s->problem);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct peri_clock clock = peri_clock_system();
    assert_int_equal(peri_loop_create(&clock, &w->loop, NULL), PERI_OK);
    struct peri_http_client_options options = {.loop = w->loop};
    assert_int_equal(peri_http_client_create(&options, &w->client, NULL), PERI_OK);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    peri_http_client_destroy(w->client);
    peri_loop_destroy(w->loop);
    free(w);
    return 0;
}

static void on_done(
    void *arg, enum peri_status st, const struct peri_http_response *response, const struct peri_error *err)
{
    struct result *r = arg;
    r->done++;
    r->st = st;
    r->status = response->status;
    r->connected = response->connected;
    snprintf(r->body, sizeof(r->body), "%s", response->body);
    if (st) {
        snprintf(r->code, sizeof(r->code), "%s", err->code);
        snprintf(r->message, sizeof(r->message), "%s", err->message);
        r->retryable = err->retryable;
        r->outcome_unknown = err->outcome_unknown;
    }
}

static bool allow_all(void *ctx, const char *host, const char *address, int port, bool is_private)
{
    return true;
}

static const char *const recipients[] = {"bob@example.org", "carol@example.org", NULL};

static struct peri_smtp_send mail_to(const struct server *s)
{
    static const char message[] = "From: <alice@example.org>\r\nSubject: Hi\r\n\r\n.dot\nbare\r\n\r\nend";
    return (struct peri_smtp_send){.host = "127.0.0.1",
        .port = s->port,
        .from = "alice@example.org",
        .to = recipients,
        .message = message,
        .message_len = sizeof(message) - 1,
        .helo = "perigee.example.org",
        .allow = allow_all,
        .timeout_ms = 5000};
}

static struct result run(struct world *w, const struct peri_smtp_send *mail)
{
    struct result r = {0};
    struct peri_error err = {0};
    if (peri_smtp_client_send(w->client, mail, on_done, &r, NULL, &err) != PERI_OK)
        fail_msg("%s: %s", err.code, err.message);
    for (int i = 0; i < 1000 && !r.done; i++)
        peri_loop_once(w->loop, 10);
    assert_int_equal(r.done, 1);
    return r;
}

/* What everything up to the recipients looks like. */
#define GREETING "S 220 mx ESMTP", "C EHLO perigee.example.org\r\n", "S 250-mx", "S 250-8BITMIME", "S 250 SIZE 100000"

static void a_mail_is_delivered_whole(void **state)
{
    static const char *const script[] = {GREETING, "C MAIL FROM:<alice@example.org>", "S 250 ok",
        "C RCPT TO:<bob@example.org>\r\n", "S 250 ok", "C RCPT TO:<carol@example.org>\r\n", "S 251 will forward",
        "C DATA\r\n", "S 354 go on", "D", "S 250 2.0.0 queued as 4711", "C QUIT\r\n", NULL};
    struct world *w = *state;
    struct server s;
    server_start(&s, script);
    struct peri_smtp_send mail = mail_to(&s);
    struct result r = run(w, &mail);
    assert_int_equal(r.st, PERI_OK);
    assert_int_equal(r.status, 250);
    assert_string_equal(r.body, "250 2.0.0 queued as 4711");
    assert_true(r.connected);
    server_stop(&s);
    /* Dots are doubled, and a bare line feed can not smuggle anything. */
    assert_non_null(strstr(s.heard.data, "Subject: Hi\r\n\r\n..dot\r\nbare\r\n\r\nend\r\n"));
    peri_buf_finish(&s.heard);
}

static void credentials_are_sent(void **state)
{
    static const char *const script[] = {"S 220 mx", "C EHLO", "S 250-mx", "S 250 AUTH PLAIN", "C AUTH PLAIN\r\n",
        "S 334 ", "C AGFsaWNlAHNlY3JldA==\r\n", "S 235 welcome", "C MAIL FROM:<alice@example.org>", "S 250 ok",
        "C RCPT", "S 250 ok", "C RCPT", "S 250 ok", "C DATA", "S 354 go on", "D", "S 250 ok", "H", NULL};
    struct world *w = *state;
    struct server s;
    server_start(&s, script);
    struct peri_smtp_send mail = mail_to(&s);
    mail.user = "alice";
    mail.password = "secret";
    assert_int_equal(run(w, &mail).st, PERI_OK);
    server_stop(&s);
    peri_buf_finish(&s.heard);
}

static void refusals_keep_the_servers_words(void **state)
{
    static const struct {
        const char *script[24];
        const char *code, *words;
        bool retryable, outcome_unknown, auth, starttls;
    } cases[] = {
        {{GREETING, "C MAIL", "S 550 5.7.1 not you", "H", NULL}, "smtp.refused", "550 5.7.1 not you", false, false,
            false, false},
        {{GREETING, "C MAIL", "S 451 4.7.1 greylisted", "H", NULL}, "smtp.later", "451 4.7.1 greylisted", true, false,
            false, false},
        {{GREETING, "C MAIL", "S 250 ok", "C RCPT", "S 550 5.1.1 no such user", "H", NULL}, "smtp.refused",
            "no such user", false, false, false, false},
        {{GREETING, "C MAIL", "S 250 ok", "C RCPT", "S 250 ok", "C RCPT", "S 452 4.2.2 full", "H", NULL}, "smtp.later",
            "full", true, false, false, false},
        {{GREETING, "C MAIL", "S 250 ok", "C RCPT", "S 250 ok", "C RCPT", "S 250 ok", "C DATA", "S 554 no data today",
             "H", NULL},
            "smtp.refused", "no data today", false, false, false, false},
        {{GREETING, "C MAIL", "S 250 ok", "C RCPT", "S 250 ok", "C RCPT", "S 250 ok", "C DATA", "S 354 go", "D",
             "S 554 5.7.1 spam", "H", NULL},
            "smtp.refused", "554 5.7.1 spam", false, false, false, false},
        {{GREETING, "C MAIL", "S 250 ok", "C RCPT", "S 250 ok", "C RCPT", "S 250 ok", "C DATA", "S 354 go", "D",
             "S 451 disk", "H", NULL},
            "smtp.later", "451 disk", true, false, false, false},
        {{"S 220 mx", "C EHLO", "S 250-mx", "S 250 AUTH PLAIN", "C AUTH PLAIN\r\n", "S 334 ",
             "C AGFsaWNlAHNlY3JldA==", "S 535 5.7.8 wrong", "H", NULL},
            "smtp.auth", "wrong", false, false, true, false},
        {{"S 220 mx", "C EHLO", "S 250-mx", "S 250 AUTH PLAIN", "C AUTH PLAIN\r\n", "S 334 ",
             "C AGFsaWNlAHNlY3JldA==", "S 454 4.7.0 not now", "H", NULL},
            "smtp.later", "not now", true, false, true, false},
        {{"S 421 4.3.2 too busy", "H", NULL}, "smtp.later", "too busy", true, false, false, false},
        {{"S 554 go away", "H", NULL}, "smtp.refused", "go away", false, false, false, false},
        {{GREETING, "H", NULL}, "smtp.tls", "", false, false, false, true},
        /* The connection is lost: before the mail, in the midst of it, after its end. */
        {{GREETING, "C MAIL", "X", NULL}, "smtp.connect", "", true, false, false, false},
        {{GREETING, "C MAIL", "S 250 ok", "C RCPT", "S 250 ok", "C RCPT", "S 250 ok", "C DATA", "S 354 go", "D", "X",
             NULL},
            "smtp.connect", "", true, true, false, false},
    };
    struct world *w = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct server s;
        server_start(&s, cases[i].script);
        struct peri_smtp_send mail = mail_to(&s);
        if (cases[i].auth) {
            mail.user = "alice";
            mail.password = "secret";
        }
        mail.security = cases[i].starttls ? PERI_SMTP_STARTTLS : PERI_SMTP_PLAIN;
        struct result r = run(w, &mail);
        if (strcmp(r.code, cases[i].code) != 0 || r.retryable != cases[i].retryable ||
            r.outcome_unknown != cases[i].outcome_unknown || !strstr(r.message, cases[i].words))
            fail_msg(
                "case %zu: %s (%s), retryable %d, unknown %d", i, r.code, r.message, r.retryable, r.outcome_unknown);
        assert_string_equal(r.body, "");
        server_stop(&s);
        peri_buf_finish(&s.heard);
    }
}

static void silence_is_a_timeout(void **state)
{
    static const char *const early[] = {GREETING, "C MAIL", "H", NULL};
    static const char *const late[] = {GREETING, "C MAIL", "S 250 ok", "C RCPT", "S 250 ok", "C RCPT", "S 250 ok",
        "C DATA", "S 354 go", "D", "H", NULL};
    struct world *w = *state;
    for (int i = 0; i < 2; i++) {
        struct server s;
        server_start(&s, i ? late : early);
        struct peri_smtp_send mail = mail_to(&s);
        mail.timeout_ms = 300;
        struct result r = run(w, &mail);
        if (strcmp(r.code, "smtp.timeout") != 0)
            fail_msg("%d: %s: %s", i, r.code, r.message);
        assert_int_equal(r.st, PERI_ETIMEOUT);
        assert_int_equal(r.outcome_unknown, i);
        server_stop(&s);
        peri_buf_finish(&s.heard);
    }
}

static void mails_under_way_can_be_cancelled_and_end_with_the_client(void **state)
{
    static const char *const script[] = {GREETING, "C MAIL", "H", NULL};
    struct world *w = *state;
    struct server s[2];
    struct result r[2] = {0};
    struct peri_http_call *calls[2];
    for (int i = 0; i < 2; i++) {
        server_start(&s[i], script);
        struct peri_smtp_send mail = mail_to(&s[i]);
        assert_int_equal(peri_smtp_client_send(w->client, &mail, on_done, &r[i], &calls[i], NULL), PERI_OK);
    }
    for (int i = 0; i < 5; i++)
        peri_loop_once(w->loop, 5);
    peri_http_call_cancel(calls[0]);
    peri_http_client_destroy(w->client);
    w->client = NULL;
    assert_int_equal(r[0].done, 0);
    assert_int_equal(r[1].done, 1);
    assert_int_equal(r[1].st, PERI_ESTATE);
    assert_false(r[1].outcome_unknown);
    for (int i = 0; i < 2; i++) {
        pthread_join(s[i].thread, NULL); /* wherever its script was */
        close(s[i].listener);
        peri_buf_finish(&s[i].heard);
    }
}

static void private_servers_need_leave_and_bad_addresses_none(void **state)
{
    static const char *const script[] = {"H", NULL}, *const none[] = {NULL};
    static const char *const bad[] = {"", "a b@c", "a@b\r\nRCPT TO:<evil@example.org>", "<a@b>", "a@b>", "a\x01@b"};
    struct world *w = *state;
    struct server s;
    server_start(&s, script);
    struct peri_smtp_send mail = mail_to(&s);
    mail.allow = NULL;
    struct result r = run(w, &mail);
    assert_int_equal(r.st, PERI_EDENIED);
    assert_string_equal(r.code, "http.blocked");
    mail = mail_to(&s);
    struct peri_error err = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *to[] = {"bob@example.org", bad[i], NULL};
        mail.to = to;
        assert_int_equal(peri_smtp_client_send(w->client, &mail, on_done, &r, NULL, &err), PERI_EINVAL);
        assert_string_equal(err.code, "smtp.address");
    }
    mail.to = none;
    assert_int_equal(peri_smtp_client_send(w->client, &mail, on_done, &r, NULL, &err), PERI_EINVAL);
    mail = mail_to(&s);
    mail.from = "a\nb";
    assert_int_equal(peri_smtp_client_send(w->client, &mail, on_done, &r, NULL, &err), PERI_EINVAL);
    mail = mail_to(&s);
    mail.host = "bad host";
    assert_int_equal(peri_smtp_client_send(w->client, &mail, on_done, &r, NULL, &err), PERI_EINVAL);
    assert_string_equal(err.code, "smtp.connect");
    shutdown(s.listener, SHUT_RDWR); /* nobody ever connected */
    server_stop(&s);
    peri_buf_finish(&s.heard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_mail_is_delivered_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(credentials_are_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(refusals_keep_the_servers_words, setup, teardown),
        cmocka_unit_test_setup_teardown(silence_is_a_timeout, setup, teardown),
        cmocka_unit_test_setup_teardown(mails_under_way_can_be_cancelled_and_end_with_the_client, setup, teardown),
        cmocka_unit_test_setup_teardown(private_servers_need_leave_and_bad_addresses_none, setup, teardown),
    };
    return cmocka_run_group_tests_name("io.smtp", tests, NULL, NULL);
}
