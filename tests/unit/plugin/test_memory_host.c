/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "host_rig.h"
#include "memory.h"

/* The plugin host with allocations refused, its own, those of the store, of HTTP and of JSON: a package that cannot be
 * loaded says so and stops no other; a call that cannot be made fails, and that one only. Each of thousands of
 * allocations with PERIGEE_TEST_ALL=1, a spread of them without. */

static long step_of(long usual)
{
    const char *all = getenv("PERIGEE_TEST_ALL");
    return all && *all ? 1 : usual;
}

static const char first[] =
    "return { conditions = { ['t.more'] = { params = { type = 'object', properties = { n = { type = 'integer', default "
    "= 7 } } },\n"
    "  evaluate = function(params) return params.n > 5, { actual = params.n, list = { 1, 2, 'x' } } end } } }\n";
static const char second[] = "return { actions = { ['t.keep'] = { params = {}, execute = function(params, ctx)\n"
                             "  ctx.storage.set('k', params.k)\n  ctx.log.info('kept', params.k)\n"
                             "  return { k = params.k, list = { params.k } } end } },\n"
                             "  webhooks = { ['/in'] = { methods = { 'POST' }, handle = function(ctx, req)\n"
                             "    ctx.emit('t.In', { n = #req.body }) return { status = 200, body = 'ok' } end } } }\n";

static void rig_two(struct rig *rig)
{
    rig_init(rig);
    rig_plugin(rig, "one", "[]", "", first);
    rig_plugin(
        rig, "two", "[\"storage:read\",\"storage:write\",\"event:publish:t.**\",\"network:inbound\"]", "", second);
}

/* A state that could not be built again is tried again a moment later. */
static bool works(struct rig *rig, const char *id, const char *params)
{
    struct rig_answer a = rig_call(rig, id, params);
    return a.status == PERI_OK;
}

static void wait_for(struct rig *rig, const char *id, const char *params)
{
    for (int i = 0; !works(rig, id, params); i++) {
        assert_true(i < 3000);
        peri_loop_once(rig->loop, 10);
    }
}

/* Whoever is active must be whole. */
static size_t check_active(struct rig *rig)
{
    struct peri_value *list = NULL;
    size_t active = 0;
    assert_int_equal(peri_host_plugins(rig->host, &list), PERI_OK);
    for (size_t i = 0; i < peri_value_count(list); i++) {
        const struct peri_value *p = peri_list_at(list, i);
        const char *state = peri_map_text(p, "state");
        if (strcmp(state, "active") == 0)
            active++;
        else if (!peri_map_at(p, "error") && !peri_map_at(p, "refusal"))
            fail_msg("%s is %s without a reason", peri_map_text(p, "id"), state);
    }
    peri_value_unref(list);
    if (peri_host_operator(rig->host, "t.more"))
        rig_gives(rig, "t.more", "{}", "{\"actual\":7,\"list\":[1,2,\"x\"]}");
    if (peri_host_operator(rig->host, "t.keep"))
        rig_gives(rig, "t.keep", "{\"k\":\"v\"}", "{\"k\":\"v\",\"list\":[\"v\"]}");
    return active;
}

static void unload(struct rig *rig)
{
    struct peri_host *host = rig->host;
    rig->host = NULL;
    peri_host_destroy(host);
    peri_diag_finish(&rig->diag);
    peri_diag_init(&rig->diag);
}

static void test_loading(void **state)
{
    struct rig rig;
    struct peri_error err = {0};
    size_t whole = 0, partly = 0, none = 0;
    bool hit = true;
    rig_two(&rig);
    for (long n = 1; hit; n += step_of(29)) {
        memory_fail(n, 1);
        enum peri_status st = peri_host_create(&rig.options, &rig.host, &err);
        if (st == PERI_OK)
            st = peri_host_load_now(rig.host, &rig.diag);
        hit = memory_over();
        if (st != PERI_OK && !hit)
            fail_msg("allocation %ld: %s: %s", n, peri_status_name(st), err.message);
        size_t active = st == PERI_OK ? check_active(&rig) : 0;
        if (!hit && active != 2)
            fail_msg("allocation %ld: %zu plugins are active without any reason", n, active);
        if (active < 2 && st == PERI_OK && rig.diag.count == 0 && !rig.diag.lost) {
            struct peri_value *list = NULL;
            assert_int_equal(peri_host_plugins(rig.host, &list), PERI_OK);
            assert_int_equal(peri_value_count(list), 2); /* those that are missing are at least listed */
            peri_value_unref(list);
        }
        whole += active == 2;
        partly += active == 1;
        none += active == 0;
        if (rig.host)
            unload(&rig);
    }
    print_message("%zu times both plugins, %zu times one, %zu times none\n", whole, partly, none);
    assert_true(partly > 0 && none > 0);
    rig_finish(&rig);
}

/* While memory is out for a while, everything may fail; afterwards everything goes. */
static void test_calls(void **state)
{
    static const char *const calls[][2] = {{"t.more", "{\"n\":9}"}, {"t.keep", "{\"k\":\"a text\"}"}};
    struct rig rig;
    rig_two(&rig);
    rig_load_clean(&rig);
    for (size_t c = 0; c < 2; c++) {
        size_t failed = 0;
        bool hit = true;
        for (long n = 1; hit; n += step_of(2)) {
            struct rig_answer a = {.rig = &rig};
            struct peri_value *params = NULL;
            assert_int_equal(peri_json_parse(calls[c][1], strlen(calls[c][1]), &params, NULL), PERI_OK);
            struct peri_call call = {.operator_id = calls[c][0], .params = params};
            memory_fail(n, n % 3 ? 1 : 50);
            a.status = peri_host_call(rig.host, &call, rig_called, &a, &a.error);
            for (int i = 0; a.status == PERI_OK && !a.done && i < 20; i++)
                peri_loop_once(rig.loop, 10);
            hit = memory_over();
            if (a.status == PERI_OK && !a.done)
                rig_wait(&rig, &a.done);
            if (a.status != PERI_OK && !hit)
                fail_msg("allocation %ld: %s: %s", n, a.error.code, a.error.message);
            failed += a.status != PERI_OK;
            peri_value_unref(params);
            wait_for(&rig, calls[c][0], calls[c][1]);
        }
        print_message("%s: %zu calls failed\n", calls[c][0], failed);
        assert_true(failed > 3);
        assert_int_equal(check_active(&rig), 2);
    }
    rig_finish(&rig);
}

struct hooked {
    int status;
    char message[PERI_ERROR_MESSAGE_MAX];
};

static void hooked(void *arg, const struct peri_webhook_response *response)
{
    struct hooked *h = arg;
    h->status = response->status;
    snprintf(h->message, sizeof(h->message), "%s", response->error.message);
}

/* A sender hears 200 only when the event is there. */
static void test_webhooks(void **state)
{
    struct rig rig;
    rig_two(&rig);
    rig_load_clean(&rig);
    size_t refused = 0, accepted = 0;
    bool hit = true;
    for (long n = 1; hit; n += step_of(2)) {
        struct hooked h = {.status = 0};
        struct peri_webhook_request request = {.plugin_id = "test.two",
            .path = "/in",
            .method = "POST",
            .url = "/hooks/two/in",
            .query = "",
            .body = "hello",
            .body_len = 5,
            .remote = "127.0.0.1"};
        int before = rig.events;
        memory_fail(n, 1);
        peri_host_webhook(rig.host, &request, hooked, &h);
        for (int i = 0; h.status == 0 && i < 20; i++)
            peri_loop_once(rig.loop, 10);
        hit = memory_over();
        for (int i = 0; h.status == 0 && i < 3000; i++)
            peri_loop_once(rig.loop, 10);
        if (h.status == 200) {
            accepted++;
            assert_int_equal(rig.events, before + 1);
        } else {
            if (!hit || h.status < 500 || h.status > 503)
                fail_msg("allocation %ld: the sender hears %d: %s", n, h.status, h.message);
            refused++;
            wait_for(&rig, "t.keep", "{\"k\":\"a\"}");
        }
    }
    print_message("%zu taken, %zu refused\n", accepted, refused);
    assert_true(accepted > 0 && refused > 3);
    assert_int_equal(check_active(&rig), 2);
    rig_finish(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loading), cmocka_unit_test(test_calls), cmocka_unit_test(test_webhooks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
