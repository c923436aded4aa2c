/* SPDX-License-Identifier: Apache-2.0 */
/* What a plugin in C may offer and call, through the host: tests/unit/plugin/native/full.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

#include "host_rig.h"
#include "plugin/native.h"

static void install(struct rig *rig, const char *config)
{
    char command[1024];
    files_put(&rig->files, "plugins/full/plugin.json",
        "{\"id\":\"test.full\",\"name\":\"f\",\"version\":\"1.0.0\",\"type\":\"connector\",\"apiVersion\":\"1.0\","
        "\"entrypoint\":\"./"
        "full.so\",\"limits\":{\"wallMs\":2000},\"configSchema\":{\"type\":\"object\"},\"permissions\":"
        "[\"data:write:thing\",\"data:read:thing\",\"event:publish:full.*\",\"event:subscribe:full.*\",\"storage:"
        "read\","
        "\"storage:write\",\"scheduler:write\",\"operators:call\",\"channels:send:full\",\"network:inbound\","
        "\"network:outbound:{config.url}\"]}");
    snprintf(command, sizeof(command), "cp '%s/full.so' '%s/plugins/full/full.so'", TEST_MOCKS, rig->files.dir);
    assert_int_equal(system(command), 0);
    snprintf(rig->config, sizeof(rig->config), "%s", config);
}

static void begin(struct rig *rig, const char *config)
{
    rig_init(rig);
    install(rig, config);
    rig_load_clean(rig);
}

static int64_t number(struct rig *rig, const char *key)
{
    struct rig_answer a = rig_call(rig, "full.looks", "{}");
    struct peri_value *v = NULL;
    assert_int_equal(a.status, PERI_OK);
    assert_int_equal(peri_json_parse(a.text, strlen(a.text), &v, NULL), PERI_OK);
    int64_t n = peri_map_int(v, key, -100);
    peri_value_unref(v);
    return n;
}

/* What `plugins show` says of deferred calls. */
static int64_t deferred(struct rig *rig, const char *key)
{
    struct peri_value *list = NULL;
    assert_int_equal(peri_host_plugins(rig->host, &list), PERI_OK);
    int64_t n = peri_map_int(peri_map_at(peri_list_at(list, 0), "deferred"), key, -1);
    peri_value_unref(list);
    return n;
}

static void an_answer_may_come_later(void **state)
{
    struct rig rig;
    begin(&rig, "");
    rig_gives(&rig, "full.laters", "{\"how\":\"yes\"}", "{\"how\":\"yes\"}");
    rig_gives(&rig, "full.laters", "{\"how\":\"at-once\"}", "{\"how\":\"at-once\"}");
    rig_fails(&rig, "full.laters", "{\"how\":\"fail\"}", "full.no");
    assert_true(rig_fails(&rig, "full.laters", "{\"how\":\"unknown\"}", "full.lost").error.outcome_unknown);
    rig_fails(&rig, "full.laters", "{\"how\":\"forgets\"}", "bad_result");
    struct rig_answer a = rig_call(&rig, "full.holds", "{\"how\":\"yes\"}");
    assert_true(a.holds);
    a = rig_call(&rig, "full.holds", "{\"how\":\"false\"}");
    assert_false(a.holds);
    assert_int_equal(a.status, PERI_OK);
    assert_int_equal(number(&rig, "dropped"), 0);
    rig_fails(&rig, "full.laters", "{\"how\":\"changes-its-mind\"}", "full.mind");
    assert_int_equal(number(&rig, "dropped"), 1);
    rig_finish(&rig);
}

/* Twice, after its deadline, and never. */
static void answers_that_nobody_waits_for_are_counted(void **state)
{
    struct rig rig;
    begin(&rig, "");
    rig_gives(&rig, "full.laters", "{\"how\":\"twice\"}", "{\"how\":\"twice\"}");
    for (int i = 0; i < 3000 && deferred(&rig, "late") < 1; i++)
        peri_loop_once(rig.loop, 1);
    assert_int_equal(deferred(&rig, "late"), 1);
    assert_int_equal(number(&rig, "late"), -1);
    struct peri_value *v = NULL;
    assert_int_equal(peri_json_parse("{\"how\":\"never\"}", 15, &v, NULL), PERI_OK);
    struct peri_call call = {.operator_id = "full.laters", .params = v, .timeout_ms = 50};
    struct rig_answer a = {.rig = &rig};
    assert_int_equal(peri_host_call(rig.host, &call, rig_called, &a, &a.error), PERI_OK);
    rig_wait(&rig, &a.done);
    assert_string_equal(a.error.code, "timeout");
    assert_true(a.error.outcome_unknown);
    peri_value_unref(v);
    assert_int_equal(number(&rig, "dropped"), 1);
    assert_int_equal(number(&rig, "late"), PERIGEE_NOT_FOUND); /* says so again each time it is asked */
    assert_int_equal(deferred(&rig, "late"), 3);
    assert_int_equal(deferred(&rig, "open"), 0);
    rig_finish(&rig);
}

/* A call that waits ends with its plugin's approval, or with the host. */
static void who_waits_is_told_of_the_end(void **state)
{
    struct rig rig;
    struct rig_answer a = {.rig = &rig};
    struct peri_value *v = NULL;
    begin(&rig, "");
    assert_int_equal(peri_json_parse("{\"how\":\"never\"}", 15, &v, NULL), PERI_OK);
    struct peri_call call = {.operator_id = "full.laters", .params = v};
    assert_int_equal(peri_host_call(rig.host, &call, rig_called, &a, &a.error), PERI_OK);
    for (int i = 0; i < 3000 && deferred(&rig, "open") < 1; i++)
        peri_loop_once(rig.loop, 1);
    peri_value_unref(v);
    rig_finish(&rig);
    assert_true(a.done);
    assert_string_equal(a.error.code, "stopping");
    assert_true(a.error.outcome_unknown);
}

static void a_call_may_be_under_way_while_its_plugin_is_replaced(void **state)
{
    struct rig rig;
    struct rig_answer a = {.rig = &rig};
    struct peri_error err = {0};
    struct peri_value *v = NULL;
    bool done = false;
    begin(&rig, "");
    assert_int_equal(peri_json_parse("{\"how\":\"never\"}", 15, &v, NULL), PERI_OK);
    struct peri_call call = {.operator_id = "full.laters", .params = v};
    assert_int_equal(peri_host_call(rig.host, &call, rig_called, &a, &a.error), PERI_OK);
    for (int i = 0; i < 3000 && deferred(&rig, "open") < 1; i++)
        peri_loop_once(rig.loop, 1);
    peri_value_unref(v);
    assert_int_equal(peri_host_set_enabled(rig.host, "test.full", false, &err), PERI_OK);
    assert_int_equal(peri_host_set_enabled(rig.host, "test.full", true, &err), PERI_OK);
    rig_wait(&rig, &a.done); /* its deadline: the old version is let go behind it */
    assert_string_equal(a.error.code, "limit.time");
    (void)done;
    rig_gives(&rig, "full.laters", "{\"how\":\"yes\"}", "{\"how\":\"yes\"}");
    rig_finish(&rig);
}

/* --- waiting for others --- */

struct server {
    int fd, port;
    char seen[2048];
    pthread_t thread;
};

static void *serve(void *arg)
{
    static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
    struct server *server = arg;
    int fd = accept(server->fd, NULL, NULL);
    size_t n = 0;
    while (fd >= 0 && !strstr(server->seen, "\r\n\r\n")) {
        ssize_t got = recv(fd, server->seen + n, sizeof(server->seen) - 1 - n, 0);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    (void)!send(fd, reply, sizeof(reply) - 1, MSG_NOSIGNAL);
    close(fd);
    return NULL;
}

static void server_start(struct server *server)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    memset(server, 0, sizeof(*server));
    server->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(server->fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(server->fd, 4), 0);
    assert_int_equal(getsockname(server->fd, (struct sockaddr *)&at, &len), 0);
    server->port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

/* The secret of its settings goes out, one that it has guessed does not; what was written before is stored. */
static void http_goes_on_with_what_follows(void **state)
{
    struct rig rig;
    struct server server;
    struct peri_error err = {0};
    char params[200];
    server_start(&server);
    rig_init(&rig);
    snprintf(params, sizeof(params),
        "{\"url\":\"http://127.0.0.1:%d/x\",\"token\":{\"$secret\":\"door\",\"prefix\":\"T \"}}", server.port);
    install(&rig, params);
    assert_int_equal(peri_secrets_set(rig.secrets, "door", "sesame-sesame", 13, &err), PERI_OK);
    assert_int_equal(peri_secrets_set(rig.secrets, "other", "another-secret", 14, &err), PERI_OK);
    rig_load_clean(&rig);
    snprintf(params, sizeof(params), "{\"url\":\"http://127.0.0.1:%d/x\"}", server.port);
    rig_gives(&rig, "full.fetches", params, "{\"body\":\"hi\",\"fetches\":1,\"status\":200}");
    assert_non_null(strstr(server.seen, "X-Token: T sesame-sesame\r\n"));
    assert_non_null(strstr(server.seen, "User-Agent: perigee-plugin/test.full\r\n"));
    assert_int_equal(pthread_join(server.thread, NULL), 0);
    close(server.fd);
    rig_fails(&rig, "full.fetches", "{\"url\":\"http://example.com/\"}", "denied");
    rig_fails(&rig, "full.fetches", "{\"url\":\"nonsense\"}", "http.url");
    rig_finish(&rig);
}

static void others_are_called_and_their_errors_seen(void **state)
{
    struct rig rig;
    char config[256];
    rig_init(&rig);
    snprintf(config, sizeof(config), "{\"file\":\"%s/sent\"}", rig.files.dir);
    install(&rig, config);
    rig_plugin(&rig, "w", "[]", "", "return { actions = { ['w.do'] = { execute = function(p) return p.n end } } }");
    rig_load_clean(&rig);
    rig_gives(&rig, "full.relays", "{\"operator\":\"w.do\",\"params\":{\"n\":3}}", "{\"got\":3}");
    rig_gives(&rig, "full.relays", "{\"operator\":\"w.nothing\"}", "{\"code\":\"unknown_operator\"}");
    rig_gives(&rig, "full.relays", "{\"to\":\"a\",\"body\":\"b\"}",
        "{\"got\":{\"channel\":\"test.full\",\"messageId\":\"m-1\"}}");
    assert_int_equal(peri_host_delivery(rig.host, "full.relays"), PERI_DELIVERY_REPEAT);
    rig_finish(&rig);
}

/* --- connector, channel, webhooks, schedules, events --- */

static void what_comes_in_is_mapped_and_stored(void **state)
{
    struct rig rig;
    begin(&rig, "");
    rig_gives(&rig, "test.full.sync", "{}", "{\"entities\":2,\"events\":2,\"items\":2}");
    assert_string_equal(rig.trail, "{\"name\":\"a\"} {\"name\":\"b\"}");
    assert_int_equal(rig.submits, 1);
    rig_gives(&rig, "test.full.execute", "{\"what\":\"open\"}", "{\"did\":\"open\"}");
    rig_fails(&rig, "test.full.execute", "{}", "params");
    assert_int_equal(rig_call(&rig, "full.pushes", "{\"items\":[\"c\",\"no\",\"bad\",\"d\"]}").status, PERI_OK);
    for (int i = 0; i < 3000 && number(&rig, "stored") + number(&rig, "refused") < 4; i++)
        peri_loop_once(rig.loop, 1);
    assert_int_equal(number(&rig, "stored"), 2);
    assert_int_equal(number(&rig, "refused"), 2);
    assert_non_null(strstr(rig.trail, "{\"name\":\"c\"} {\"name\":\"d\"}"));
    assert_null(strstr(rig.trail, "bad"));
    rig_finish(&rig);
}

static void answered(void *arg, const struct peri_webhook_response *response)
{
    int *status = arg;
    *status = response->status;
}

static int post(struct rig *rig, const char *path, const char *body)
{
    struct peri_http_field fields[] = {{"Content-Type", "application/json"}};
    struct peri_webhook_request request = {.plugin_id = "test.full",
        .path = path,
        .method = "POST",
        .headers = fields,
        .header_count = 1,
        .body = body,
        .body_len = strlen(body)};
    int status = 0;
    peri_host_webhook(rig->host, &request, answered, &status);
    for (int i = 0; i < 3000 && !status; i++)
        peri_loop_once(rig->loop, 10);
    return status;
}

static void requests_come_in(void **state)
{
    struct rig rig;
    begin(&rig, "");
    assert_int_equal(post(&rig, "/hook", "{\"a\":1}"), 200);
    assert_string_equal(rig.last_event, "full.Hook {\"a\":1}");
    assert_int_equal(post(&rig, "/anything", "hello"), 202);
    assert_string_equal(rig.last_event, "full.Incoming {\"body\":\"hello\"}");
    rig_finish(&rig);
}

static void it_hears_events_and_keeps_time(void **state)
{
    struct rig rig;
    begin(&rig, "");
    rig_emit(&rig, "full.Heard", "{\"x\":1}");
    for (int i = 0; i < 3000 && !strstr(rig.last_event, "full.Echo"); i++)
        peri_loop_once(rig.loop, 10);
    assert_string_equal(rig.last_event, "full.Echo {\"x\":1}");
    assert_int_equal(rig_call(&rig, "full.plans", "{\"after_ms\":1,\"data\":{\"y\":2}}").status, PERI_OK);
    for (int i = 0; i < 3000 && !strstr(rig.last_event, "full.Tick"); i++)
        peri_loop_once(rig.loop, 10);
    assert_string_equal(rig.last_event, "full.Tick {\"y\":2}");
    rig_fails(&rig, "full.plans", "{\"after_ms\":1,\"job\":\"none\"}", "bad_argument");
    rig_fails(&rig, "full.plans", "{}", "bad_argument");
    rig_finish(&rig);
}

static const char *state_of(struct rig *rig, char out[200])
{
    struct peri_value *list = NULL;
    assert_int_equal(peri_host_plugins(rig->host, &list), PERI_OK);
    const struct peri_value *p = peri_list_at(list, 0), *e = peri_map_at(p, "error");
    snprintf(out, 200, "%s %s", peri_map_text(p, "state"), e ? peri_map_text(e, "message") : "");
    peri_value_unref(list);
    return out;
}

static void start_and_listen_can_fail(void **state)
{
    struct rig rig;
    char text[200];
    rig_init(&rig);
    install(&rig, "{\"broken\":\"no luck\"}");
    rig_load(&rig);
    assert_string_equal(state_of(&rig, text), "failed init failed: no luck");
    rig_finish(&rig);
    rig_init(&rig);
    install(&rig, "{\"fifo\":\"/nowhere/fifo\"}");
    rig_load(&rig);
    for (int i = 0; i < 3000 && strncmp(state_of(&rig, text), "failed", 6) != 0; i++)
        peri_loop_once(rig.loop, 10);
    assert_string_equal(state_of(&rig, text), "failed listen failed: there is no such fifo");
    rig_finish(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_may_come_later),
        cmocka_unit_test(answers_that_nobody_waits_for_are_counted),
        cmocka_unit_test(who_waits_is_told_of_the_end),
        cmocka_unit_test(a_call_may_be_under_way_while_its_plugin_is_replaced),
        cmocka_unit_test(http_goes_on_with_what_follows),
        cmocka_unit_test(others_are_called_and_their_errors_seen),
        cmocka_unit_test(what_comes_in_is_mapped_and_stored),
        cmocka_unit_test(requests_come_in),
        cmocka_unit_test(it_hears_events_and_keeps_time),
        cmocka_unit_test(start_and_listen_can_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
