/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/json.h"
#include "io/accounts.h"

/* A set of accounts at a provider that is a function, under a clock that is moved by hand. */
struct bed {
    char dir[64];
    struct peri_clock_fake fake;
    struct peri_clock clock;
    struct peri_loop *loop;
    struct peri_http_client *http;
    struct peri_secrets *secrets;
    struct peri_accounts *accounts;
    /* the provider */
    int requests, status;
    char answer[512], asked[1024], file_then[2048];
    bool spoil; /* the folder, while it answers */
    /* what was heard */
    int done, good;
    struct peri_error err;
    char file_at_done[2048];
    char changes[256];
};

#define DESCRIPTION                                                                                                    \
    "{\"p\":{\"authorize_url\":\"https://a.example/o\",\"token_url\":\"https://a.example/t\",\"client_id\":\"i\","     \
    "\"token_auth\":\"none\",\"hosts\":[\"api.example.com\",\"*.wild.example\",\"127.0.0.1:81\",\"[::1]:82\"]},"       \
    "\"k\":{\"kind\":\"key\",\"hosts\":[\"api.example.com\"],\"prefix\":\"Key \"}}"

static void read_file(const struct bed *b, char *out, size_t size)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/accounts/p", b->dir);
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(out, 1, size - 1, f) : 0;
    out[n] = '\0';
    if (f)
        fclose(f);
}

/* Nothing can be written into what is no folder. */
static void spoil(const struct bed *b, bool yes)
{
    char folder[128], away[128];
    snprintf(folder, sizeof(folder), "%s/accounts", b->dir);
    snprintf(away, sizeof(away), "%s/away", b->dir);
    if (yes) {
        assert_int_equal(rename(folder, away), 0);
        FILE *f = fopen(folder, "w");
        assert_non_null(f);
        fclose(f);
    } else {
        assert_int_equal(unlink(folder), 0);
        assert_int_equal(rename(away, folder), 0);
    }
}

static enum peri_status provider(
    void *ctx, const struct peri_http_send *request, struct peri_http_response *ret, struct peri_error *err)
{
    struct bed *b = ctx;
    b->requests++;
    snprintf(b->asked, sizeof(b->asked), "%s %.*s", request->url, (int)request->body_len, (const char *)request->body);
    read_file(b, b->file_then, sizeof(b->file_then));
    if (b->spoil)
        spoil(b, true);
    ret->status = b->status;
    ret->body = b->answer;
    ret->body_len = strlen(b->answer);
    ret->connected = true;
    return b->status ? PERI_OK : peri_error_set(err, PERI_EIO, "http.connect", "nobody is there");
}

static void changed(void *ctx, const char *action, const char *name, const struct peri_value *detail)
{
    struct bed *b = ctx;
    size_t n = strlen(b->changes);
    snprintf(b->changes + n, sizeof(b->changes) - n, "%s %s;", action, name);
    assert_null(peri_map_at(detail, "access_token"));
}

static struct peri_value *json(const char *text)
{
    struct peri_value *v = NULL;
    assert_int_equal(peri_json_parse(text, strlen(text), &v, NULL), PERI_OK);
    return v;
}

static void open_accounts(struct bed *b, struct peri_accounts_options more)
{
    struct peri_error err;
    struct peri_value *given = json(DESCRIPTION), *all = peri_value_map();
    more.loop = b->loop;
    more.http = b->http;
    more.clock = b->clock;
    more.secrets = b->secrets;
    more.state_dir = b->dir;
    more.changed = changed;
    more.changed_ctx = b;
    for (void *it = peri_map_first(given); it; it = peri_map_next(given, it)) {
        struct peri_value *v = NULL;
        const char *key;
        assert_int_equal(peri_provider_complete(peri_map_key(it, NULL), peri_map_item(it), &v, &key, &err), PERI_OK);
        assert_int_equal(peri_map_put(all, peri_map_key(it, NULL), v), PERI_OK);
    }
    assert_int_equal(peri_accounts_create(&more, &b->accounts, &err), PERI_OK);
    assert_int_equal(peri_accounts_configure(b->accounts, all, &err), PERI_OK);
    peri_value_unref(given);
    peri_value_unref(all);
}

static void put_file(const struct bed *b, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/accounts", b->dir);
    (void)mkdir(path, 0700);
    snprintf(path, sizeof(path), "%s/accounts/%s", b->dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

#define START_MS INT64_C(1800000000000)

/* Connected, with a token for an hour. */
static void bed_open(struct bed *b)
{
    struct peri_error err;
    memset(b, 0, sizeof(*b));
    snprintf(b->dir, sizeof(b->dir), "/tmp/perigee-acc-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    b->clock = peri_clock_fake_init(&b->fake, START_MS);
    b->status = 200;
    snprintf(b->answer, sizeof(b->answer),
        "{\"access_token\":\"access-2\",\"refresh_token\":\"refresh-2\",\"expires_in\":3600,\"token_type\":"
        "\"Bearer\"}");
    assert_int_equal(peri_loop_create(&b->clock, &b->loop, &err), PERI_OK);
    struct peri_http_client_options options = {.loop = b->loop, .answer = provider, .answer_ctx = b};
    assert_int_equal(peri_http_client_create(&options, &b->http, &err), PERI_OK);
    assert_int_equal(peri_secrets_open(b->dir, &b->secrets, &err), PERI_OK);
    put_file(b, "p",
        "{\"version\":1,\"access_token\":\"access-1\",\"refresh_token\":\"refresh-1\",\"scope\":\"a "
        "b\",\"user\":\"ada\","
        "\"life_ms\":3600000,\"expires_ms\":1800003600000,\"connected_ms\":1800000000000}");
    open_accounts(b, (struct peri_accounts_options){0});
}

static void bed_close(struct bed *b)
{
    char command[128];
    peri_accounts_destroy(b->accounts);
    peri_http_client_destroy(b->http);
    peri_secrets_destroy(b->secrets);
    peri_loop_destroy(b->loop);
    snprintf(command, sizeof(command), "rm -rf %s", b->dir);
    assert_int_equal(system(command), 0);
}

static uint64_t token_is(struct bed *b, const char *text, enum peri_account_age age)
{
    char *token = NULL;
    size_t len;
    uint64_t serial = 0;
    enum peri_account_age is;
    struct peri_error err;
    assert_int_equal(peri_account_token(b->accounts, "p", &token, &len, &serial, &is, &err), PERI_OK);
    assert_string_equal(token, text);
    assert_int_equal(is, age);
    peri_secret_free(token, len);
    return serial;
}

static void heard(void *arg, enum peri_status st, const struct peri_error *err)
{
    struct bed *b = arg;
    b->done++;
    b->good += st == PERI_OK;
    if (st)
        b->err = *err;
    read_file(b, b->file_at_done, sizeof(b->file_at_done));
}

static struct peri_account_wait *renew(struct bed *b, uint64_t serial)
{
    struct peri_account_wait *wait = NULL;
    struct peri_error err;
    assert_int_equal(peri_account_renew(b->accounts, "p", serial, heard, b, &wait, &err), PERI_OK);
    return wait;
}

static void turn(struct bed *b)
{
    for (int i = 0; i < 5; i++)
        peri_loop_once(b->loop, 0);
}

/* --- */

static void test_it_is_old_a_minute_or_a_tenth_before_its_end(void **state)
{
    struct bed b;
    bed_open(&b);
    token_is(&b, "access-1", PERI_ACCOUNT_GOOD);
    peri_clock_fake_advance(&b.fake, 3600000 - 360001);
    token_is(&b, "access-1", PERI_ACCOUNT_GOOD);
    peri_clock_fake_advance(&b.fake, 1);
    token_is(&b, "access-1", PERI_ACCOUNT_OLD);
    peri_clock_fake_advance(&b.fake, 360000);
    token_is(&b, "access-1", PERI_ACCOUNT_EXPIRED);
    bed_close(&b);
}

static void test_one_request_for_all_who_wait(void **state)
{
    struct bed b;
    bed_open(&b);
    uint64_t serial = token_is(&b, "access-1", PERI_ACCOUNT_GOOD);
    renew(&b, serial);
    renew(&b, serial);
    peri_account_wait_cancel(renew(&b, serial));
    assert_int_equal(b.done, 0);
    turn(&b);
    assert_int_equal(b.requests, 1);
    assert_int_equal(b.done, 2);
    assert_int_equal(b.good, 2);
    assert_string_equal(b.asked, "https://a.example/t grant_type=refresh_token&refresh_token=refresh-1&client_id=i");
    assert_int_not_equal(token_is(&b, "access-2", PERI_ACCOUNT_GOOD), serial);
    renew(&b, serial); /* somebody else has done it meanwhile */
    turn(&b);
    assert_int_equal(b.requests, 1);
    assert_int_equal(b.good, 3);
    bed_close(&b);
}

static void test_the_order_on_disk(void **state)
{
    struct bed b;
    bed_open(&b);
    renew(&b, token_is(&b, "access-1", PERI_ACCOUNT_GOOD));
    turn(&b);
    assert_non_null(strstr(b.file_then, "refresh-1"));
    assert_non_null(strstr(b.file_then, "\"cut_ms\":1800000000000"));
    assert_non_null(strstr(b.file_at_done, "refresh-2"));
    assert_non_null(strstr(b.file_at_done, "access-2"));
    assert_null(strstr(b.file_at_done, "cut_ms"));
    assert_non_null(strstr(b.file_at_done, "\"user\":\"ada\"")); /* what the answer leaves out stays */
    peri_accounts_destroy(b.accounts);
    open_accounts(&b, (struct peri_accounts_options){0});
    token_is(&b, "access-2", PERI_ACCOUNT_GOOD);
    bed_close(&b);
}

static void test_a_provider_that_does_not_rotate(void **state)
{
    struct bed b;
    bed_open(&b);
    snprintf(b.answer, sizeof(b.answer), "{\"access_token\":\"access-2\"}");
    renew(&b, token_is(&b, "access-1", PERI_ACCOUNT_GOOD));
    turn(&b);
    assert_non_null(strstr(b.file_at_done, "refresh-1"));
    token_is(&b, "access-2", PERI_ACCOUNT_GOOD);
    peri_clock_fake_advance(&b.fake, INT64_C(1000) * 86400 * 300);
    token_is(&b, "access-2", PERI_ACCOUNT_GOOD); /* nobody has said that it ends */
    bed_close(&b);
}

/* What could not be kept is not asked for. */
static void test_no_request_without_its_note(void **state)
{
    struct bed b;
    struct peri_account_wait *wait = NULL;
    struct peri_error err = {0};
    bed_open(&b);
    uint64_t serial = token_is(&b, "access-1", PERI_ACCOUNT_GOOD);
    spoil(&b, true);
    assert_int_not_equal(peri_account_renew(b.accounts, "p", serial, heard, &b, &wait, &err), PERI_OK);
    assert_true(err.retryable);
    assert_int_equal(b.requests, 0);
    spoil(&b, false);
    renew(&b, serial);
    turn(&b);
    assert_int_equal(b.good, 1);
    bed_close(&b);
}

static void test_an_answer_that_cannot_be_stored_is_not_used(void **state)
{
    struct bed b;
    bed_open(&b);
    b.spoil = true;
    uint64_t serial = token_is(&b, "access-1", PERI_ACCOUNT_GOOD);
    renew(&b, serial);
    turn(&b);
    assert_int_equal(b.done, 1);
    assert_int_equal(b.good, 0);
    assert_string_equal(b.err.code, "account_renewal");
    serial = token_is(&b, "access-2", PERI_ACCOUNT_EXPIRED); /* not before it is on disk */
    spoil(&b, false);
    peri_clock_fake_advance(&b.fake, 10000);
    renew(&b, serial);
    turn(&b);
    assert_int_equal(b.good, 1);
    assert_int_equal(b.requests, 1);
    assert_non_null(strstr(b.file_at_done, "refresh-2"));
    token_is(&b, "access-2", PERI_ACCOUNT_GOOD);
    bed_close(&b);
}

static void test_a_failure_that_passes(void **state)
{
    struct bed b;
    struct peri_account_wait *wait = NULL;
    struct peri_error err = {0};
    bed_open(&b);
    uint64_t serial = token_is(&b, "access-1", PERI_ACCOUNT_GOOD);
    for (int i = 0; i < 3; i++) {
        static const struct {
            int status;
            const char *answer;
        } cases[] = {{0, ""}, {503, "<html>"}, {401, "{\"error\":\"invalid_client\"}"}};
        b.status = cases[i].status;
        snprintf(b.answer, sizeof(b.answer), "%s", cases[i].answer);
        renew(&b, serial);
        turn(&b);
        assert_int_equal(b.done, i + 1);
        assert_int_equal(b.good, 0);
        assert_string_equal(b.err.code, "account_renewal");
        assert_true(b.err.retryable);
        assert_int_equal(peri_account_renew(b.accounts, "p", serial, heard, &b, &wait, &err), PERI_EIO);
        assert_int_equal(b.requests, i + 1); /* it is left alone */
        token_is(&b, "access-1", PERI_ACCOUNT_GOOD);
        peri_clock_fake_advance(&b.fake, 10000);
    }
    assert_string_equal(b.changes, "account.failing p;");
    bed_close(&b);
}

static bool is_used(void *ctx, const char *provider)
{
    return *(bool *)ctx && !strcmp(provider, "p");
}

/* With a plugin that is there or not, and time that is moved by hand. */
static void bed_ahead(struct bed *b, bool *used)
{
    bed_open(b);
    peri_accounts_destroy(b->accounts);
    peri_loop_by_clock(b->loop);
    open_accounts(b, (struct peri_accounts_options){.used = is_used, .used_ctx = used});
}

static void pass(struct bed *b, int64_t ms)
{
    while (ms > 0) {
        int64_t step = ms < 10000 ? ms : 10000;
        peri_clock_fake_advance(&b->fake, step);
        turn(b);
        ms -= step;
    }
}

static void test_it_is_renewed_ahead_while_a_plugin_uses_it(void **state)
{
    struct bed b;
    bool used = false;
    bed_ahead(&b, &used);
    assert_int_equal(peri_loop_next_due(b.loop), -1); /* nobody wakes for it */
    pass(&b, 3500000);
    assert_int_equal(b.requests, 0);
    bed_close(&b);

    used = true;
    bed_ahead(&b, &used);
    pass(&b, 3600000 * 3 / 4 - 1);
    assert_int_equal(b.requests, 0);
    pass(&b, 3600000 / 20 + 1);
    assert_int_equal(b.requests, 1);
    token_is(&b, "access-2", PERI_ACCOUNT_GOOD);
    snprintf(
        b.answer, sizeof(b.answer), "{\"access_token\":\"access-3\",\"expires_in\":3600,\"token_type\":\"Bearer\"}");
    pass(&b, 3600000 * 4 / 5);
    assert_int_equal(b.requests, 2); /* the next one has its time too */
    token_is(&b, "access-3", PERI_ACCOUNT_GOOD);
    used = false;
    peri_accounts_look(b.accounts);
    assert_int_equal(peri_loop_next_due(b.loop), -1);
    bed_close(&b);
}

static void test_a_failing_renewal_is_told_before_the_token_ends(void **state)
{
    struct bed b;
    bool used = true;
    struct peri_value *facts = NULL;
    struct peri_error err;
    bed_ahead(&b, &used);
    b.status = 503;
    while (b.requests == 0)
        pass(&b, 10000);
    assert_string_equal(b.changes, ""); /* once may be chance */
    assert_int_equal(peri_account_facts(b.accounts, "p", &facts, &err), PERI_OK);
    assert_string_equal(peri_map_text(facts, "state"), "connected");
    assert_non_null(peri_map_text(peri_map_at(facts, "error"), "message"));
    peri_value_unref(facts);
    pass(&b, 3600000 / 20);
    assert_string_equal(b.changes, "account.failing p;");
    token_is(&b, "access-1", PERI_ACCOUNT_GOOD); /* and still good for nine minutes */
    pass(&b, 3600000);
    assert_in_range(b.requests, 8, 30); /* tried again, and not all the time */
    assert_string_equal(b.changes, "account.failing p;");
    b.status = 200;
    pass(&b, 700000);
    token_is(&b, "access-2", PERI_ACCOUNT_GOOD);
    assert_int_equal(peri_account_facts(b.accounts, "p", &facts, &err), PERI_OK);
    assert_null(peri_map_at(facts, "error"));
    peri_value_unref(facts);
    bed_close(&b);
}

static void test_a_failure_for_good(void **state)
{
    struct bed b;
    struct peri_account_wait *wait = NULL;
    struct peri_error err = {0};
    struct peri_value *facts = NULL;
    bed_open(&b);
    b.status = 400;
    snprintf(b.answer, sizeof(b.answer), "{\"error\":\"invalid_grant\",\"error_description\":\"refresh-1 is gone\"}");
    uint64_t serial = token_is(&b, "access-1", PERI_ACCOUNT_GOOD);
    renew(&b, serial);
    turn(&b);
    assert_string_equal(b.err.code, "account_needs_attention");
    assert_non_null(strstr(b.err.message, "[secret account.p] is gone"));
    assert_false(b.err.retryable);
    assert_int_equal(peri_account_renew(b.accounts, "p", serial, heard, &b, &wait, &err), PERI_ESTATE);
    assert_string_equal(b.changes, "account.attention p;");
    peri_accounts_destroy(b.accounts);
    open_accounts(&b, (struct peri_accounts_options){0});
    assert_int_equal(peri_account_facts(b.accounts, "p", &facts, &err), PERI_OK);
    assert_string_equal(peri_map_text(facts, "state"), "needs_attention");
    assert_int_equal(peri_account_ready(b.accounts, "p", &err), PERI_ESTATE);
    assert_string_equal(err.code, "account_needs_attention");
    assert_int_equal(b.requests, 1);
    peri_value_unref(facts);
    bed_close(&b);
}

static void test_what_nothing_renews(void **state)
{
    struct bed b;
    struct peri_account_wait *wait = NULL;
    struct peri_error err = {0};
    bed_open(&b);
    put_file(&b, "p", "{\"access_token\":\"a\",\"life_ms\":1000,\"expires_ms\":1800000001000}");
    put_file(&b, "k", "this is damaged");
    peri_accounts_destroy(b.accounts);
    open_accounts(&b, (struct peri_accounts_options){0});
    token_is(&b, "a", PERI_ACCOUNT_GOOD);
    assert_int_equal(peri_account_ready(b.accounts, "k", &err), PERI_ESTATE);
    assert_int_equal(peri_account_renew(b.accounts, "p", 0, heard, &b, &wait, &err), PERI_OK); /* not that token */
    peri_clock_fake_advance(&b.fake, 1000);
    assert_int_equal(peri_account_ready(b.accounts, "p", &err), PERI_ESTATE);
    assert_string_equal(err.code, "account_needs_attention");
    assert_int_equal(peri_account_set_key(b.accounts, "k", "key 1", 5, &err), PERI_OK);
    assert_int_equal(peri_account_ready(b.accounts, "k", &err), PERI_OK);
    assert_int_equal(peri_account_set_key(b.accounts, "k", "key\n1", 5, &err), PERI_EINVAL);
    assert_int_equal(peri_account_set_key(b.accounts, "p", "key", 3, &err), PERI_EINVAL);
    char *prefix = peri_account_prefix(b.accounts, "k");
    assert_string_equal(prefix, "Key ");
    free(prefix);
    bed_close(&b);
}

static void test_where_a_token_may_go(void **state)
{
    static const struct {
        const char *host;
        int port;
        bool secure, may;
    } cases[] = {{"api.example.com", 443, true, true}, {"API.example.com", 443, true, true},
        {"api.example.com", 443, false, false}, {"api.example.com", 8443, true, false},
        {"example.com", 443, true, false}, {"evil-api.example.com", 443, true, false},
        {"api.example.com.evil.example", 443, true, false}, {"a.wild.example", 443, true, true},
        {"wild.example", 443, true, false}, {"a.b.wild.example", 443, true, false}, {".wild.example", 443, true, false},
        {"127.0.0.1", 81, false, true}, {"127.0.0.1", 80, false, false}, {"127.0.0.2", 81, false, false},
        {"::1", 82, false, true}, {"", 443, true, false}};
    struct bed b;
    struct peri_error err;
    bed_open(&b);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum peri_status st = peri_account_may_go(b.accounts, "p", cases[i].host, cases[i].port, cases[i].secure, &err);
        if ((st == PERI_OK) != cases[i].may)
            fail_msg("%s:%d", cases[i].host, cases[i].port);
    }
    assert_int_equal(peri_account_may_go(b.accounts, "nobody", "api.example.com", 443, true, &err), PERI_EDENIED);
    bed_close(&b);
}

static void test_beside_a_service_and_in_tests(void **state)
{
    struct bed b;
    struct peri_account_wait *wait = NULL;
    struct peri_error err = {0};
    bed_open(&b);
    peri_accounts_destroy(b.accounts);
    open_accounts(&b, (struct peri_accounts_options){.as_is = true});
    uint64_t serial = token_is(&b, "access-1", PERI_ACCOUNT_GOOD);
    assert_int_equal(peri_account_renew(b.accounts, "p", serial, heard, &b, &wait, &err), PERI_EIO);
    assert_int_equal(b.requests, 0);
    peri_accounts_destroy(b.accounts);
    open_accounts(&b, (struct peri_accounts_options){.pretend = true});
    token_is(&b, "test-token-of-p", PERI_ACCOUNT_GOOD);
    bed_close(&b);
}

/* Names are files: nothing but the folder can be named. */
static void test_names(void **state)
{
    static const char *const bad[] = {"", "..", ".x", "../x", "a/b", "A", "a b", "-a", "a\n",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL};
    for (const char *const *name = bad; *name; name++)
        assert_false(peri_account_name_ok(*name));
    assert_true(peri_account_name_ok("google-fit"));
    assert_true(peri_account_name_ok("9.a_b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_it_is_old_a_minute_or_a_tenth_before_its_end),
        cmocka_unit_test(test_one_request_for_all_who_wait), cmocka_unit_test(test_the_order_on_disk),
        cmocka_unit_test(test_a_provider_that_does_not_rotate), cmocka_unit_test(test_no_request_without_its_note),
        cmocka_unit_test(test_an_answer_that_cannot_be_stored_is_not_used),
        cmocka_unit_test(test_a_failure_that_passes), cmocka_unit_test(test_it_is_renewed_ahead_while_a_plugin_uses_it),
        cmocka_unit_test(test_a_failing_renewal_is_told_before_the_token_ends),
        cmocka_unit_test(test_a_failure_for_good), cmocka_unit_test(test_what_nothing_renews),
        cmocka_unit_test(test_where_a_token_may_go), cmocka_unit_test(test_beside_a_service_and_in_tests),
        cmocka_unit_test(test_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
