/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/json.h"
#include "io/accounts.h"
#include "io/accounts_oauth.h"

static struct peri_value *json(const char *text)
{
    struct peri_value *v = NULL;
    assert_int_equal(peri_json_parse(text, strlen(text), &v, NULL), PERI_OK);
    return v;
}

static struct peri_value *provider(const char *name, const char *given)
{
    struct peri_value *v = NULL, *map = json(given);
    const char *key;
    struct peri_error err;
    assert_int_equal(peri_provider_complete(name, map, &v, &key, &err), PERI_OK);
    peri_value_unref(map);
    return v;
}

/* RFC 7636, appendix B. */
static void test_challenge(void **state)
{
    char out[PERI_OAUTH_RANDOM + 1];
    peri_oauth_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", out);
    assert_string_equal(out, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

static void test_random_is_a_verifier(void **state)
{
    char a[PERI_OAUTH_RANDOM + 1], b[PERI_OAUTH_RANDOM + 1];
    struct peri_error err;
    assert_int_equal(peri_oauth_random(a, &err), PERI_OK);
    assert_int_equal(peri_oauth_random(b, &err), PERI_OK);
    assert_string_not_equal(a, b);
    assert_int_equal(strlen(a), 43);
    assert_int_equal(strspn(a, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), 43);
}

static void test_basic(void **state)
{
    char *text = peri_oauth_basic("a:b", "c d/e");
    assert_string_equal(text, "Basic YSUzQWI6YytkJTJGZQ==");
    free(text);
}

static void test_authorize_url(void **state)
{
    struct peri_value *p = provider("x",
        "{\"authorize_url\":\"https://a.example/o?t=1\",\"token_url\":\"https://a.example/t\",\"client_id\":\"i d\","
        "\"client_secret\":\"s\",\"scopes\":[\"a\",\"b:c\"],\"scope_separator\":\",\",\"hosts\":[\"a.example\"],"
        "\"authorize_params\":{\"owner\":\"me & you\"}}");
    char *url = peri_oauth_authorize_url(
        p, "http://127.0.0.1:1/oauth/callback", "st", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    assert_string_equal(url,
        "https://a.example/o?t=1&response_type=code&client_id=i%20d&redirect_uri=http%3A%2F%2F127.0.0.1%3A1%2Foauth%2F"
        "callback&scope=a%2Cb%3Ac&state=st&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&"
        "code_challenge_method=S256&owner=me%20%26%20you");
    free(url);
    peri_value_unref(p);
}

static void check_request(const char *auth, const char *format, const char *body, const char *authorization)
{
    char given[512];
    snprintf(given, sizeof(given),
        "{\"authorize_url\":\"https://a.example/o\",\"token_url\":\"https://a.example/t\",\"client_id\":\"id\","
        "\"client_secret\":\"s\",\"hosts\":[\"a.example\"],\"token_auth\":\"%s\",\"token_format\":\"%s\","
        "\"token_params\":{\"x\":\"1\"}}",
        auth, format);
    struct peri_value *p = provider("x", given);
    struct peri_oauth_request r = {.client_secret = "s\"1", .grant_type = "refresh_token", .refresh_token = "r+"};
    char *ret_body = NULL, *ret_authorization = NULL;
    struct peri_error err;
    assert_int_equal(peri_oauth_request(p, &r, &ret_body, &ret_authorization, &err), PERI_OK);
    assert_string_equal(ret_body, body);
    if (authorization)
        assert_string_equal(ret_authorization, authorization);
    else
        assert_null(ret_authorization);
    free(ret_body);
    free(ret_authorization);
    peri_value_unref(p);
}

/* Never both ways at once. */
static void test_requests(void **state)
{
    check_request("basic", "form", "grant_type=refresh_token&refresh_token=r%2B&x=1", "Basic aWQ6cyUyMjE=");
    check_request(
        "body", "form", "grant_type=refresh_token&refresh_token=r%2B&client_id=id&client_secret=s%221&x=1", NULL);
    check_request("none", "form", "grant_type=refresh_token&refresh_token=r%2B&client_id=id&x=1", NULL);
    check_request("basic", "json", "{\"grant_type\":\"refresh_token\",\"refresh_token\":\"r+\",\"x\":\"1\"}",
        "Basic aWQ6cyUyMjE=");
    check_request("body", "json",
        "{\"grant_type\":\"refresh_token\",\"refresh_token\":\"r+\",\"client_id\":\"id\",\"client_secret\":\"s\\\"1\","
        "\"x\":\"1\"}",
        NULL);
}

/* --- answers --- */

static enum peri_status answer(
    const char *preset, int status, const char *body, struct peri_oauth_tokens *ret, struct peri_error *err)
{
    struct peri_value *p = provider(preset, "{\"client_id\":\"i\",\"client_secret\":\"s\"}");
    memset(ret, 0, sizeof(*ret));
    peri_error_clear(err);
    enum peri_status st = peri_oauth_answer(p, status, body, strlen(body), ret, err);
    peri_value_unref(p);
    return st;
}

static void test_tokens(void **state)
{
    struct peri_oauth_tokens t;
    struct peri_error err;
    assert_int_equal(answer("slack", 200,
                         "{\"ok\":true,\"access_token\":\"xoxb-1\",\"token_type\":\"bot\",\"scope\":\"a,b\","
                         "\"team\":{\"name\":\"Ours\"},\"expires_in\":\"43200\",\"refresh_token\":\"r\"}",
                         &t, &err),
        PERI_OK);
    assert_string_equal(t.access, "xoxb-1");
    assert_string_equal(t.refresh, "r");
    assert_string_equal(t.user, "Ours");
    assert_int_equal(t.life_ms, 43200000);
    peri_oauth_tokens_finish(&t);
    assert_int_equal(answer("gmail", 200, "{\"access_token\":\"a\",\"token_type\":\"BEARER\"}", &t, &err), PERI_OK);
    assert_int_equal(t.life_ms, -1);
    assert_null(t.refresh);
    peri_oauth_tokens_finish(&t);
    assert_int_equal(answer("gmail", 200, "{\"access_token\":\"a\",\"expires_in\":1e300}", &t, &err), PERI_OK);
    assert_true(t.life_ms > 0);
    peri_oauth_tokens_finish(&t);
    assert_int_equal(answer("gmail", 200, "{\"access_token\":\"a\",\"expires_in\":-5}", &t, &err), PERI_OK);
    assert_int_equal(t.life_ms, -1);
    peri_oauth_tokens_finish(&t);
}

/* Each provider has its own way to say no; the code is the same. */
static void test_refusals(void **state)
{
    static const struct {
        int status;
        const char *body, *code;
    } cases[] = {{400, "{\"error\":\"invalid_grant\",\"error_description\":\"gone\"}", "invalid_grant"},
        {400, "{\"errors\":[{\"errorType\":\"invalid_grant\",\"message\":\"gone\"}],\"success\":false}",
            "invalid_grant"},
        {200, "{\"ok\":false,\"error\":\"invalid_code\"}", "invalid_code"},
        {400, "{\"object\":\"error\",\"code\":\"validation_error\",\"message\":\"gone\"}", "validation_error"},
        {401, "{\"error\":\"invalid_client\"}", "invalid_client"},
        {400, "{\"error\":\"a word <with> all\\u001b[31m sorts\"}", "other"},
        {400, "{\"error\":{\"code\":7}}", "other"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct peri_oauth_tokens t;
        struct peri_error err;
        assert_int_equal(answer("gmail", cases[i].status, cases[i].body, &t, &err), PERI_EDENIED);
        assert_string_equal(err.code, cases[i].code);
        assert_false(err.retryable);
        assert_null(strchr(err.message, '\x1b'));
    }
}

static void test_no_sense(void **state)
{
    static const struct {
        int status;
        const char *body;
        bool retryable;
    } cases[] = {{200, "", false}, {200, "[]", false}, {200, "{}", false}, {200, "{\"access_token\":\"\"}", false},
        {200, "{\"access_token\":5}", false}, {200, "{\"access_token\":\"a b\"}", false},
        {200, "{\"access_token\":\"a\\r\\nX: y\"}", false}, {200, "{\"access_token\":\"a\\u0000b\",\"x\":1}", false},
        {200, "{\"access_token\":\"a\",\"refresh_token\":\"\"}", false},
        {200, "{\"access_token\":\"a\",\"token_type\":\"mac\"}", false}, {500, "{\"error\":\"invalid_grant\"}", true},
        {503, "<html>", true}, {429, "{\"error\":\"slow_down\"}", true}, {404, "{}", false},
        {302, "{\"access_token\":\"a\"}", false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct peri_oauth_tokens t;
        struct peri_error err;
        assert_int_equal(answer("gmail", cases[i].status, cases[i].body, &t, &err), PERI_EIO);
        assert_int_equal(err.retryable, cases[i].retryable);
    }
}

/* --- presets --- */

static void test_presets_are_complete(void **state)
{
    for (const char *const *name = peri_provider_presets(); *name; name++) {
        struct peri_value *p = provider(*name, "{\"client_id\":\"i\",\"client_secret\":\"s\"}");
        assert_non_null(peri_map_text(p, "label"));
        assert_true(peri_value_count(peri_map_at(p, "hosts")) > 0);
        const char *url = peri_map_text(p, "token_url");
        assert_true(!url || (!strncmp(url, "https://", 8) && !strchr(url, '{')));
        assert_int_equal(peri_value_count(peri_map_at(p, "own")), 0);
        peri_value_unref(p);
    }
    struct peri_value *p = provider("microsoft", "{\"client_id\":\"i\",\"client_secret\":\"s\",\"tenant\":\"t-1\"}");
    assert_string_equal(
        peri_map_text(p, "authorize_url"), "https://login.microsoftonline.com/t-1/oauth2/v2.0/authorize");
    peri_value_unref(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_challenge), cmocka_unit_test(test_random_is_a_verifier),
        cmocka_unit_test(test_basic), cmocka_unit_test(test_authorize_url), cmocka_unit_test(test_requests),
        cmocka_unit_test(test_tokens), cmocka_unit_test(test_refusals), cmocka_unit_test(test_no_sense),
        cmocka_unit_test(test_presets_are_complete)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
