/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "host_rig.h"

/* Calls that wait. */

struct silent {
    struct peri_http_server *http;
    struct peri_http_request *held[8];
    size_t count;
};

static void hold(void *ctx, struct peri_http_request *req)
{
    struct silent *s = ctx;
    assert_true(s->count < 8);
    s->held[s->count++] = req;
}

static void silent_start(struct rig *rig, struct silent *s)
{
    struct peri_error err = {0};
    struct peri_http_server_options so = {.loop = rig->loop,
        .listen = "127.0.0.1:0",
        .max_body = 65536,
        .max_headers = 8192,
        .timeout_s = 10,
        .handler = hold,
        .ctx = s};
    memset(s, 0, sizeof(*s));
    assert_int_equal(peri_http_server_create(&so, &s->http, &err), PERI_OK);
    snprintf(rig->config, sizeof(rig->config), "{\"url\":\"http://127.0.0.1:%d\"}", peri_http_server_port(s->http));
}

static void silent_answer(struct silent *s)
{
    for (size_t i = 0; i < s->count; i++)
        peri_http_answer(s->held[i], 200, "text/plain", "late", 4);
    s->count = 0;
}

static const char waiting[] =
    "local n = 0\nreturn { stop = function(ctx) ctx.log.info('stopping') end, actions = {\n"
    "  ['t.post'] = { execute = function(p, ctx) n = n + 1 return { ctx.http.post(ctx.config.url, { body = 'x' "
    "}).body, n } end },\n"
    "  ['t.get'] = { execute = function(p, ctx) return ctx.http.get(ctx.config.url).body end },\n"
    "  ['t.n'] = { execute = function(p, ctx) return n end },\n"
    "  ['t.loop'] = { execute = function() while true do end end } } }";

static void the_deadline_covers_waiting(void **state)
{
    struct rig rig;
    struct silent s;
    rig_init(&rig);
    silent_start(&rig, &s);
    rig_plugin(&rig, "wait", "[\"network:outbound:{config.url}\"]", ",\"limits\":{\"wallMs\":500}", waiting);
    rig_load_clean(&rig);
    struct rig_answer a = rig_fails(&rig, "t.post", "{}", "limit.time");
    assert_true(a.error.outcome_unknown); /* the request had left */
    a = rig_fails(&rig, "t.get", "{}", "limit.time");
    assert_false(a.error.outcome_unknown); /* asking again harms nobody */
    silent_answer(&s);
    rig_gives(&rig, "t.n", "{}", "1"); /* the plugin goes on */
    peri_http_server_destroy(s.http);
    rig_finish(&rig);
}

static void a_reset_fails_what_waits(void **state)
{
    struct rig rig;
    struct silent s;
    rig_init(&rig);
    silent_start(&rig, &s);
    rig_plugin(&rig, "wait", "[\"network:outbound:{config.url}\"]", ",\"limits\":{\"instructions\":100000}", waiting);
    rig_load_clean(&rig);
    struct rig_answer post = {.rig = &rig};
    struct peri_error err = {0};
    struct peri_call call = {.operator_id = "t.post"};
    assert_int_equal(peri_host_call(rig.host, &call, rig_called, &post, &err), PERI_OK);
    for (int i = 0; !s.count && i < 500; i++)
        peri_loop_once(rig.loop, 10);
    assert_int_equal(s.count, 1);
    rig_fails(&rig, "t.loop", "{}", "limit.instructions");
    assert_false(post.done);
    silent_answer(&s);
    rig_wait(&rig, &post.done);
    assert_string_equal(post.error.code, "plugin_reset");
    assert_true(post.error.retryable);
    assert_true(post.error.outcome_unknown);
    rig_gives(&rig, "t.n", "{}", "0");
    peri_http_server_destroy(s.http);
    rig_finish(&rig);
}

static void destroy_ends_every_call(void **state)
{
    struct rig rig;
    struct silent s;
    rig_init(&rig);
    silent_start(&rig, &s);
    rig_plugin(&rig, "wait", "[\"network:outbound:{config.url}\"]", "", waiting);
    rig_plugin(&rig, "user", "[\"operators:call\"]", "",
        "return { actions = { ['t.nested'] = { execute = function(p, ctx) return ctx.call('t.post', {}) end } } }");
    rig_load_clean(&rig);
    struct rig_answer answers[3] = {0};
    static const char *const ids[] = {"t.post", "t.nested", "t.get"};
    for (int i = 0; i < 3; i++) {
        struct peri_call call = {.operator_id = ids[i]};
        assert_int_equal(peri_host_call(rig.host, &call, rig_called, &answers[i], NULL), PERI_OK);
    }
    for (int i = 0; s.count < 3 && i < 500; i++)
        peri_loop_once(rig.loop, 10);
    assert_int_equal(s.count, 3);
    peri_host_destroy(rig.host);
    rig.host = NULL;
    for (int i = 0; i < 3; i++) {
        assert_true(answers[i].done);
        assert_string_equal(answers[i].error.code, "stopping");
    }
    silent_answer(&s);
    peri_http_server_destroy(s.http);
    rig_finish(&rig);
}

static void queues_are_bounded(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "a", "[]", "",
        "return { conditions = { ['t.c'] = { evaluate = function() for i = 1, 1000 do end return true end } } }");
    rig_load_clean(&rig);
    static struct rig_answer answers[5000];
    memset(answers, 0, sizeof(answers));
    struct peri_error err = {0};
    size_t taken = 0, refused = 0;
    for (size_t i = 0; i < 5000; i++) { /* the loop does not run: nothing comes back */
        struct peri_call call = {.operator_id = "t.c"};
        enum peri_status st = peri_host_call(rig.host, &call, rig_called, &answers[taken], &err);
        if (!st)
            taken++;
        else {
            assert_int_equal(st, PERI_EBUSY);
            assert_true(err.retryable);
            refused++;
        }
    }
    for (size_t i = 0; i < taken; i++)
        rig_wait(&rig, &answers[i].done);
    assert_int_equal(taken + refused, 5000);
    assert_true(taken >= 1024);
    rig_finish(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_deadline_covers_waiting),
        cmocka_unit_test(a_reset_fails_what_waits),
        cmocka_unit_test(destroy_ends_every_call),
        cmocka_unit_test(queues_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
