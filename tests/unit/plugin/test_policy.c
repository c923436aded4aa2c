/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "data/json.h"
#include "plugin/policy.h"
#include "plugin_files.h"

static struct peri_manifest *manifest(const char *permissions)
{
    char text[2048];
    struct peri_manifest *m = NULL;
    struct peri_diag diag;
    peri_diag_init(&diag);
    snprintf(text, sizeof(text),
        "{\"id\":\"io.example.a\",\"name\":\"A\",\"version\":\"1.0.0\",\"type\":\"operator\",\"apiVersion\":\"1.0\","
        "\"entrypoint\":\"init.lua\",\"permissions\":%s}",
        permissions);
    assert_int_equal(peri_manifest_parse("plugin.json", text, strlen(text), &m, &diag), PERI_OK);
    peri_diag_finish(&diag);
    return m;
}

static struct peri_policy *policy(const char *path)
{
    struct peri_policy *p = NULL;
    struct peri_diag diag;
    peri_diag_init(&diag);
    enum peri_status st = peri_policy_load(path, &p, &diag);
    for (size_t i = 0; i < diag.count; i++)
        print_message("%d:%d %s\n", diag.items[i].line, diag.items[i].column, diag.items[i].message);
    assert_int_equal(st, PERI_OK);
    peri_diag_finish(&diag);
    return p;
}

/* The stable code of the refusal, or "" when it is granted. */
static const char *decide(const char *path, const char *shipped_path, struct peri_policy_question q)
{
    static struct peri_error err;
    struct peri_policy *own = policy(path), *shipped = policy(shipped_path);
    struct peri_grants *grants = NULL;
    peri_error_clear(&err);
    if (!peri_policy_decide(own, shipped, &q, &grants, &err))
        err.code[0] = '\0';
    else
        assert_non_null(strstr(err.message, "perigee plugins approve io.example.a"));
    peri_grants_destroy(grants);
    peri_policy_destroy(own);
    peri_policy_destroy(shipped);
    return err.code;
}

static void approval_is_for_these_files_and_permissions(void **state)
{
    struct files f;
    char path[128];
    struct peri_error err = {0};
    struct peri_manifest *m = manifest("[\"storage:read\"]"), *more = manifest("[\"storage:read\",\"storage:write\"]");
    files_init(&f);
    snprintf(path, sizeof(path), "%s/new/policy.yaml", f.dir);
    assert_string_equal(
        decide(path, NULL, (struct peri_policy_question){.manifest = m, .hash = "aa"}), "policy.not-approved");
    const char *const hosts[] = {"localhost:9000", NULL};
    struct peri_approval approval = {.manifest = m, .hash = "aa", .hosts = hosts, .by = "ada", .now_ms = 0};
    assert_int_equal(peri_policy_approve(path, &approval, &err), PERI_OK);
    assert_string_equal(decide(path, NULL, (struct peri_policy_question){.manifest = m, .hash = "aa"}), "");
    assert_string_equal(
        decide(path, NULL, (struct peri_policy_question){.manifest = m, .hash = "ab"}), "policy.changed");
    assert_string_equal(
        decide(path, NULL, (struct peri_policy_question){.manifest = more, .hash = "ab"}), "policy.new-permission");
    assert_string_equal(
        decide(path, NULL, (struct peri_policy_question){.manifest = more, .hash = "ab", .approve_all = true}), "");
    approval.hosts = NULL; /* an update keeps the hosts */
    approval.manifest = more;
    approval.hash = "0123";
    assert_int_equal(peri_policy_approve(path, &approval, &err), PERI_OK);
    assert_string_equal(decide(path, NULL, (struct peri_policy_question){.manifest = more, .hash = "0123"}), "");
    struct peri_policy *p = policy(path);
    char *text = peri_json_text(peri_policy_entries(p), PERI_JSON_COMPACT);
    assert_string_equal(text,
        "{\"io.example.a\":{\"version\":\"1.0.0\",\"sha256\":\"0123\",\"permissions\":[\"storage:read\",\"storage:"
        "write\"],"
        "\"hosts\":[\"localhost:9000\"],\"approved\":\"1970-01-01T00:00:00.000Z\",\"by\":\"ada\"}}");
    free(text);
    peri_policy_destroy(p);
    assert_int_equal(peri_policy_revoke(path, "io.example.a", &err), PERI_OK);
    assert_int_equal(peri_policy_revoke(path, "io.example.a", &err), PERI_ENOTFOUND);
    assert_string_equal(
        decide(path, NULL, (struct peri_policy_question){.manifest = more, .hash = "0123"}), "policy.not-approved");
    peri_manifest_destroy(m);
    peri_manifest_destroy(more);
    files_finish(&f);
}

static void bundled_means_lying_there(void **state)
{
    struct files f;
    char path[512];
    struct peri_manifest *m = manifest("[\"storage:read\"]");
    files_init(&f);
    snprintf(path, sizeof(path), "%s", files_put(&f, "policy.yaml", "plugins:\n  io.example.a: {bundled: true}\n"));
    assert_string_equal(
        decide(NULL, path, (struct peri_policy_question){.manifest = m, .hash = "x", .bundled = true}), "");
    assert_string_equal(
        decide(NULL, path, (struct peri_policy_question){.manifest = m, .hash = "x"}), "policy.not-approved");
    peri_manifest_destroy(m);
    files_finish(&f);
}

static void mistakes_in_the_file_are_found(void **state)
{
    static const struct {
        const char *text;
        int line, column;
    } bad[] = {{"- 1\n", 1, 1}, {"plugin: {}\n", 1, 1}, {"plugins:\n  io.example.a:\n    permision: []\n", 3, 5},
        {"plugins:\n  io.example.a:\n    permissions: [\"storage:fly\"]\n", 3, 19},
        {"plugins:\n  io.example.a:\n    permissions: x\n", 3, 18}, {"plugins:\n  BAD: {}\n", 2, 3},
        {"plugins: 7\n", 1, 10}};
    struct files f;
    files_init(&f);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct peri_policy *p = NULL;
        struct peri_diag diag;
        peri_diag_init(&diag);
        assert_int_equal(peri_policy_load(files_put(&f, "policy.yaml", bad[i].text), &p, &diag), PERI_EINVAL);
        assert_int_equal(diag.count, 1);
        assert_int_equal(diag.items[0].line, bad[i].line);
        assert_int_equal(diag.items[0].column, bad[i].column);
        peri_diag_finish(&diag);
    }
    files_finish(&f);
}

static struct peri_grants *grants(const char *permissions, const char *config, const char *policy_path)
{
    struct peri_manifest *m = manifest(permissions);
    struct peri_value *v = NULL;
    struct peri_grants *g = NULL;
    struct peri_policy *p = policy(policy_path);
    assert_int_equal(peri_json_parse(config, strlen(config), &v, NULL), PERI_OK);
    struct peri_policy_question q = {
        .manifest = m, .hash = "", .approve_all = true, .config = v, .given = peri_map_at(v, "list") ? v : NULL};
    assert_int_equal(peri_policy_decide(p, NULL, &q, &g, NULL), PERI_OK);
    peri_value_unref(v);
    peri_policy_destroy(p);
    peri_manifest_destroy(m);
    return g;
}

static void grants_answer_exactly(void **state)
{
    struct peri_grants *g = grants("[\"storage:read\",\"data:read:calls\",\"data:write:task\",\"contacts:read\","
                                   "\"event:publish:comms.*\",\"channels:send:sms\"]",
        "{}", NULL);
    assert_true(peri_grants_has(g, "storage:read"));
    assert_false(peri_grants_has(g, "storage:write"));
    assert_true(peri_grants_data(g, "read", "call"));
    assert_true(peri_grants_data(g, "read", "calls"));
    assert_true(peri_grants_data(g, "write", "tasks"));
    assert_false(peri_grants_data(g, "write", "call"));
    assert_true(peri_grants_data(g, "read", "contact"));
    assert_false(peri_grants_data(g, "write", "contact"));
    assert_true(peri_grants_publish(g, "comms.CallMissed"));
    assert_false(peri_grants_publish(g, "comms.sms.Received"));
    assert_true(peri_grants_channel(g, "sms"));
    assert_false(peri_grants_channel(g, "email"));
    assert_false(peri_grants_any(g, "network:outbound:"));
    peri_grants_destroy(g);
}

static void hosts_are_exact_or_one_label(void **state)
{
    struct peri_grants *g = grants("[\"network:outbound:api.example.com\",\"network:outbound:*.example.org:8443\","
                                   "\"network:outbound:{config.url}\","
                                   "\"network:outbound:{config.list}\"]",
        "{\"url\":\"http://LocalHost:8025/x\",\"list\":[\"https://a.test\",\"[::1]:99\",\"http://u@evil.test\"]}",
        NULL);
    bool named = true;
    assert_true(peri_grants_host(g, "API.example.com", 443, &named));
    assert_false(named); /* the manifest's word does not open private addresses */
    assert_true(peri_grants_host(g, "api.example.com.", 443, NULL));
    assert_false(peri_grants_host(g, "example.com", 443, NULL));
    assert_false(peri_grants_host(g, "x.api.example.com", 443, NULL));
    assert_false(peri_grants_host(g, "api.example.com.evil.test", 443, NULL));
    assert_true(peri_grants_host(g, "x.example.org", 8443, NULL));
    assert_false(peri_grants_host(g, "x.example.org", 443, NULL));
    assert_false(peri_grants_host(g, "x.y.example.org", 8443, NULL));
    assert_false(peri_grants_host(g, ".example.org", 8443, NULL));
    assert_true(peri_grants_host(g, "localhost", 8025, &named));
    assert_true(named);
    assert_false(peri_grants_host(g, "localhost", 22, NULL));
    assert_true(peri_grants_host(g, "a.test", 443, NULL));
    assert_true(peri_grants_host(g, "::1", 99, NULL));
    assert_false(peri_grants_host(g, "evil.test", 80, NULL));
    peri_grants_destroy(g);
    g = grants("[\"network:outbound:{config.url}\"]", "{\"url\":\"http://localhost\"}",
        NULL); /* a default, not the operator's word */
    assert_true(peri_grants_host(g, "localhost", 80, &named));
    assert_false(named);
    peri_grants_destroy(g);
}

static void preview_shows_what_changes(void **state)
{
    struct files f;
    files_init(&f);
    struct peri_policy *p =
        policy(files_put(&f, "p.yaml", "plugins: {io.example.a: {permissions: [storage:write], sha256: aa}}"));
    struct peri_manifest *m = manifest("[\"data:read:*\",\"network:outbound:x.test\"]");
    struct peri_value *v = NULL;
    assert_int_equal(peri_policy_preview(p, m, "bb", &v), PERI_OK);
    assert_int_equal(peri_value_count(peri_map_at(v, "added")), 2);
    assert_string_equal(peri_value_text(peri_list_at(peri_map_at(v, "removed"), 0)), "storage:write");
    assert_int_equal(peri_value_count(peri_map_at(v, "warnings")), 2);
    assert_true(peri_map_bool(v, "known", false));
    peri_value_unref(v);
    peri_manifest_destroy(m);
    peri_policy_destroy(p);
    files_finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(approval_is_for_these_files_and_permissions),
        cmocka_unit_test(bundled_means_lying_there),
        cmocka_unit_test(mistakes_in_the_file_are_found),
        cmocka_unit_test(grants_answer_exactly),
        cmocka_unit_test(hosts_are_exact_or_one_label),
        cmocka_unit_test(preview_shows_what_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
