/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "host_rig.h"

/* --- network --- */

struct server {
    struct peri_http_server *http;
    int hits;
    char seen[2048];
};

static void note_header(void *arg, const char *name, const char *value)
{
    struct server *s = arg;
    size_t n = strlen(s->seen);
    if (!strcasecmp(name, "authorization") || !strcasecmp(name, "content-type") || !strcasecmp(name, "user-agent") ||
        !strcasecmp(name, "x-key"))
        snprintf(s->seen + n, sizeof(s->seen) - n, "|%s=%s", name, value);
}

static void serve(void *ctx, struct peri_http_request *req)
{
    struct server *s = ctx;
    size_t len;
    const char *body = peri_http_body(req, &len);
    s->hits++;
    snprintf(s->seen, sizeof(s->seen), "%s %s %.*s", peri_http_method(req), peri_http_target(req), (int)len, body);
    peri_http_each_header(req, note_header, s);
    peri_http_set_header(req, "X-Answer", "yes");
    peri_http_answer(req, 201, "application/json; charset=utf-8", "{\"ok\":[1]}", 10);
}

static void http_goes_where_it_may(void **state)
{
    struct rig rig;
    struct server server = {0};
    struct peri_error err = {0};
    rig_init(&rig);
    struct peri_http_server_options so = {.loop = rig.loop,
        .listen = "127.0.0.1:0",
        .max_body = 65536,
        .max_headers = 8192,
        .timeout_s = 10,
        .handler = serve,
        .ctx = &server};
    assert_int_equal(peri_http_server_create(&so, &server.http, &err), PERI_OK);
    int port = peri_http_server_port(server.http);
    rig_plugin(&rig, "net", "[\"network:outbound:{config.url}\",\"network:outbound:localhost\"]", "",
        "return { actions = {\n"
        "  ['t.get'] = { execute = function(p, ctx) local r = ctx.http.get(ctx.config.url .. '/a', { query = { q = 'x "
        "y', b = 2 }, headers = { ['X-Key'] = { ctx.config.key, prefix = 'K ' } } })\n"
        "    return { r.status, r.headers['x-answer'], r.json, r.body } end },\n"
        "  ['t.form'] = { execute = function(p, ctx) return ctx.http.post(ctx.config.url, { form = { To = '+1', M = { "
        "'a', 'b' } }, auth = { user = 'u', password = ctx.config.key } }).status end },\n"
        "  ['t.json'] = { execute = function(p, ctx) return ctx.http.request({ method = 'put', url = ctx.config.url, "
        "json = { a = ctx.json.array() } }).status end },\n"
        "  ['t.other'] = { execute = function(p, ctx) return ctx.http.get(p.url) end },\n"
        "  ['t.forge'] = { execute = function(p, ctx) return ctx.http.get(ctx.config.url, { headers = { A = { "
        "['$secret'] = 'k' } } }) end },\n"
        "  ['t.mail'] = { execute = function(p, ctx) return ctx.smtp.send({ host = '127.0.0.1', port = p.port, "
        "security = 'plain', from = 'a@x.test', to = 'b@x.test', message = 'Subject: x\\r\\n\\r\\ny\\r\\n' }) end },\n"
        "  ['t.both'] = { execute = function(p, ctx) local co = coroutine.wrap(function() return "
        "ctx.http.get(ctx.config.url).status end) return { co(), ctx.http.get(ctx.config.url).status } end } } }");
    snprintf(rig.config, sizeof(rig.config), "{\"url\":\"http://127.0.0.1:%d\",\"key\":{\"$secret\":\"k\"}}", port);
    assert_int_equal(peri_secrets_set(rig.secrets, "k", "topsecret", 9, NULL), PERI_OK);
    rig_load_clean(&rig);
    rig_gives(&rig, "t.get", "{}", "[201,\"yes\",{\"ok\":[1]},\"{\\\"ok\\\":[1]}\"]");
    assert_non_null(strstr(server.seen, "GET /a?b=2&q=x%20y "));
    assert_non_null(strstr(server.seen, "=K topsecret"));
    assert_non_null(strstr(server.seen, "=perigee-plugin/test.net"));
    rig_gives(&rig, "t.form", "{}", "201");
    assert_non_null(strstr(server.seen, "POST / M=a&M=b&To=%2B1|"));
    assert_non_null(strstr(server.seen, "=Basic dTp0b3BzZWNyZXQ="));
    assert_non_null(strstr(server.seen, "=application/x-www-form-urlencoded"));
    rig_gives(&rig, "t.json", "{}", "201");
    assert_non_null(strstr(server.seen, "PUT / {\"a\":[]}|"));
    rig_gives(&rig, "t.both", "{}", "[201,201]");
    int hits = server.hits;
    rig_fails(&rig, "t.other", "{\"url\":\"http://example.com/\"}", "denied");
    rig_fails(&rig, "t.other", "{\"url\":\"http://user@127.0.0.1/\"}", "http.url");
    rig_fails(&rig, "t.other", "{\"url\":\"file:///etc/passwd\"}", "http.url");
    char params[100];
    snprintf(params, sizeof(params), "{\"url\":\"http://localhost:%d/\"}",
        port); /* granted by the manifest only: private addresses stay closed */
    rig_fails(&rig, "t.other", params, "http.blocked");
    rig_fails(&rig, "t.forge", "{}", "bad_argument");
    struct rig_answer a = rig_call_with(&rig, (struct peri_call){.operator_id = "t.form", .dry_run = true}, "{}");
    assert_string_equal(a.error.code, "dry_run");
    assert_int_equal(peri_secrets_remove(rig.secrets, "k", NULL), PERI_OK);
    a = rig_fails(&rig, "t.form", "{}", "secret.missing");
    assert_non_null(strstr(a.error.message, "perigee secrets set k"));
    assert_int_equal(peri_secrets_set(rig.secrets, "k", "topsecret", 9, NULL), PERI_OK);
    assert_int_equal(server.hits, hits);
    peri_http_server_destroy(server.http);
    snprintf(params, sizeof(params), "{\"port\":%d}", port);
    rig_fails(&rig, "t.mail", params, "smtp.connect");
    rig_fails(&rig, "t.mail", "{\"port\":1}", "denied");
    a = rig_call(&rig, "t.form", "{}");
    assert_string_equal(a.error.code, "http.connect");
    assert_false(a.error.outcome_unknown);
    rig_finish(&rig);
}

/* --- webhooks --- */

struct web_answer {
    bool done;
    int status;
    char body[1024], type[100], header[100];
    struct peri_error error;
};

static void web_answered(void *arg, const struct peri_webhook_response *r)
{
    struct web_answer *a = arg;
    assert_false(a->done);
    a->done = true;
    a->status = r->status;
    a->error = r->error;
    snprintf(a->body, sizeof(a->body), "%.*s", (int)r->body_len, r->body ? r->body : "");
    snprintf(a->type, sizeof(a->type), "%s", r->content_type ? r->content_type : "");
    if (r->header_count)
        snprintf(a->header, sizeof(a->header), "%s: %s", r->headers[0].name, r->headers[0].value);
}

static struct web_answer web(
    struct rig *rig, const char *plugin, const char *method, const char *path, const char *type, const char *body)
{
    struct web_answer a = {0};
    const struct peri_http_field headers[] = {{"Content-Type", type}, {"X-Sig", "abc"}};
    struct peri_webhook_request r = {.plugin_id = plugin,
        .path = path,
        .method = method,
        .url = "https://x.test/hooks/a?q=1%2B1",
        .headers = headers,
        .header_count = 2,
        .query = "q=1%2B1&q=2",
        .body = body,
        .body_len = strlen(body),
        .remote = "192.0.2.1"};
    peri_host_webhook(rig->host, &r, web_answered, &a);
    rig_wait(rig, &a.done);
    return a;
}

static void webhooks_answer(void **state)
{
    struct rig rig;
    rig_init(&rig);
    rig_plugin(&rig, "hook", "[\"network:inbound\",\"data:write:call\",\"event:publish:t.**\"]", "",
        "return { webhooks = { ['/in'] = { methods = { 'POST', 'GET' }, handle = function(ctx, r)\n"
        "  if r.body == 'fail' then error('secret detail') end\n"
        "  if r.form and r.form.Bad then return { status = 403, body = 'forged' } end\n"
        "  ctx.data.put('call', { n = 1 }); ctx.emit('t.Called', {})\n"
        "  return { status = 200, headers = { ['X-A'] = 'b' }, json = { form = r.form, list = r.params_list, q = "
        "r.query.q, sig = r.headers['x-sig'], m = r.method, u = r.url, j = r.json, remote = r.remote } } end },\n"
        "  ['/quiet'] = { handle = function() end } } }");
    rig_plugin(&rig, "closed", "[]", "", "return { webhooks = { ['/in'] = { handle = function() end } } }");
    rig_load_clean(&rig);
    struct web_answer a = web(
        &rig, "test.hook", "POST", "/in", "application/x-www-form-urlencoded; charset=utf-8", "To=%2B1&A=x+y&A=z&E");
    assert_string_equal(a.error.message, "");
    assert_int_equal(a.status, 200);
    assert_string_equal(a.type, "application/json");
    assert_string_equal(a.header, "X-A: b");
    struct peri_value *v = NULL;
    assert_int_equal(peri_json_parse(a.body, strlen(a.body), &v, NULL), PERI_OK);
    char *text = peri_json_text(v, PERI_JSON_SORTED);
    assert_string_equal(text,
        "{\"form\":{\"A\":\"x "
        "y\",\"E\":\"\",\"To\":\"+1\"},\"list\":[{\"name\":\"To\",\"value\":\"+1\"},{\"name\":\"A\",\"value\":\"x y\"},"
        "{\"name\":\"A\",\"value\":\"z\"},{\"name\":\"E\",\"value\":\"\"}],\"m\":\"POST\",\"q\":\"1+1\",\"remote\":"
        "\"192.0.2.1\",\"sig\":\"abc\",\"u\":\"https://x.test/hooks/a?q=1%2B1\"}");
    free(text);
    peri_value_unref(v);
    assert_int_equal(rig.submits, 1);
    assert_int_equal(rig.events, 1);
    a = web(&rig, "test.hook", "POST", "/in", "application/json", "{\"a\":1}");
    assert_non_null(strstr(a.body, "\"j\":{\"a\":1}"));
    a = web(&rig, "test.hook", "POST", "/in", "application/x-www-form-urlencoded", "Bad=1");
    assert_int_equal(a.status, 403);
    assert_string_equal(a.body, "forged");
    assert_int_equal(rig.submits, 2);
    a = web(&rig, "test.hook", "POST", "/in", "text/plain", "fail");
    assert_int_equal(a.status, 500);
    assert_string_equal(a.body, "");
    assert_int_equal(web(&rig, "test.hook", "PUT", "/in", "text/plain", "").status, 405);
    assert_int_equal(web(&rig, "test.hook", "POST", "/quiet", "text/plain", "").status, 204);
    assert_int_equal(web(&rig, "test.hook", "POST", "/in/", "text/plain", "").status, 404);
    assert_int_equal(web(&rig, "test.none", "POST", "/in", "text/plain", "").status, 404);
    assert_int_equal(web(&rig, "test.closed", "POST", "/in", "text/plain", "").status, 404);
    rig_finish(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(http_goes_where_it_may),
        cmocka_unit_test(webhooks_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
