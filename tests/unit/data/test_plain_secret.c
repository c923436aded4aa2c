/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "data/plain_secret.h"

static size_t warnings_of(const char *text, const char *forbidden)
{
    static const char *const tags[] = {"!secret", NULL};
    struct peri_yaml_doc *doc = NULL;
    struct peri_diag diag;
    peri_diag_init(&diag);
    assert_int_equal(peri_yaml_parse("f.yaml", text, strlen(text), tags, &doc, &diag), PERI_OK);
    peri_plain_secrets(doc->roots[0], "hide it", &diag);
    size_t n = diag.count;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(diag.items[i].severity, PERI_SEV_WARNING);
        if (forbidden)
            assert_null(strstr(diag.items[i].message, forbidden));
    }
    peri_diag_finish(&diag);
    peri_yaml_destroy(doc);
    return n;
}

static void test_secrets_are_noticed(void **state)
{
    (void)state;
    static const char *const texts[] = {"password: correct-horse", "{a: {smtp_password: hunter2hunter2}}",
        "headers: {X-API-Key: 0f9a8b7c6d5e}", "headers: {Authorization: Bearer 0123456789abcdef0123}",
        "- [x, ghp_0123456789abcdefghijABCDEFGHIJ01]", "authToken: \"0123456789\"",
        "url: sk_live_0123456789abcdefgh", "key: |\n  -----BEGIN PRIVATE KEY-----\n  abc"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (warnings_of(texts[i], NULL) != 1)
            fail_msg("not noticed, or more than once: %s", texts[i]);
    assert_int_equal(warnings_of("token: abcdefgh1234", "abcdefgh1234"), 1);
}

static void test_what_is_no_secret(void **state)
{
    (void)state;
    static const char *const texts[] = {"password: !secret mail", "token: \"{{ event.token }}\"", "token: short",
        "secret: the text of a message", "keyboard: qwertyuiop", "message: \"Bearer of bad news\"", "tokens: 12345678",
        "title: Basic facts", "body: sk-ip"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (warnings_of(texts[i], NULL) != 0)
            fail_msg("taken for a secret: %s", texts[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_secrets_are_noticed), cmocka_unit_test(test_what_is_no_secret)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
