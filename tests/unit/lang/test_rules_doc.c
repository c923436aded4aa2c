/* SPDX-License-Identifier: Apache-2.0 */
/* What docs/rules.md shows is true: its rules load, its expressions give what stands beside them, no function and no
 * code is left out. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/json.h"
#include "lang/expr_internal.h"
#include "lang/rule.h"
#include "lang/rule_schema_table.h"
#include "lang/zone_files.h"

static char page[256 * 1024];

/* The next block fenced as ```kind from *at on; NULL at the end. Cuts the page. */
static char *next_block(char **at, const char *kind)
{
    char fence[32];
    snprintf(fence, sizeof(fence), "\n```%s\n", kind);
    char *start = strstr(*at, fence);
    if (!start)
        return NULL;
    start += strlen(fence);
    char *end = strstr(start, "\n```\n");
    assert_non_null(end);
    end[1] = '\0';
    *at = end + 2;
    return start;
}

static int read_page(void **state)
{
    FILE *f = fopen(TEST_SOURCE_DIR "/docs/rules.md", "rb");
    if (!f)
        return -1;
    size_t n = fread(page, 1, sizeof(page) - 1, f);
    page[n] = '\0';
    fclose(f);
    return n > 0 && n < sizeof(page) - 1 ? 0 : -1;
}

/* The blueprint that the page showed last. */
static char blueprint[64] = "/tmp/perigee-rules-doc-XXXXXX";

static enum peri_status find_blueprint(const struct peri_rule_env *env, const char *from, const char *path,
    char **ret_file, char *near, struct peri_error *err)
{
    near[0] = '\0';
    *ret_file = strdup(blueprint);
    return *ret_file ? PERI_OK : PERI_ENOMEM;
}

static void keep_blueprint(const char *text)
{
    FILE *f = fopen(blueprint, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    fclose(f);
}

static void test_rules_load(void **state)
{
    int fd = mkstemp(blueprint);
    assert_true(fd >= 0 && close(fd) == 0);
    char *at = page, *text;
    size_t n = 0;
    read_page(state);
    for (; (text = next_block(&at, "yaml")); n++) {
        struct peri_rule_list list = {0};
        struct peri_rule_env env = {.timezone = "UTC", .find_blueprint = find_blueprint};
        struct peri_diag diag;
        bool is_blueprint = strncmp(text, "blueprint:", 10) == 0;
        if (is_blueprint)
            keep_blueprint(text);
        peri_diag_init(&diag);
        if (peri_rules_load_text("rules.md", text, strlen(text), &env, &list, &diag) != PERI_OK)
            fail_msg("%s\n%d:%d %s", text, diag.items[0].line, diag.items[0].column, diag.items[0].message);
        assert_int_equal(list.count, is_blueprint ? 0 : 1);
        assert_int_equal(diag.count, 0);
        peri_rule_list_finish(&list);
        peri_diag_finish(&diag);
    }
    assert_int_equal(unlink(blueprint), 0);
    assert_true(n >= 4);
}

static const struct peri_value *lookup(void *ctx, const char *name, size_t len)
{
    return len == 5 && memcmp(name, "event", 5) == 0 ? ctx : NULL;
}

static void check_line(const char *line, const char *wanted, const struct peri_value *event)
{
    static const struct peri_tz_source zones = {read_zone, NULL};
    struct peri_scope scope = {.lookup = lookup, .ctx = (void *)(uintptr_t)event, .tz = &zones};
    struct peri_expr *expr = NULL;
    struct peri_expr_problem problem;
    struct peri_value *v = NULL;
    struct peri_error err;
    if (peri_expr_compile(line, strlen(line), NULL, &expr, &problem) != PERI_OK)
        fail_msg("%s: %s", line, problem.message);
    if (peri_expr_eval(expr, &scope, &v, &err) != PERI_OK)
        fail_msg("%s: %s", line, err.message);
    char *got = peri_json_text(v, PERI_JSON_COMPACT);
    if (strcmp(got, wanted) != 0)
        fail_msg("%s gives %s, not %s", line, got, wanted);
    free(got);
    peri_value_unref(v);
    peri_expr_destroy(expr);
}

static void test_expressions_give_what_is_written(void **state)
{
    char *at = page, *text;
    struct peri_value *event = NULL;
    size_t n = 0;
    read_page(state);
    text = next_block(&at, "json");
    assert_non_null(text);
    assert_int_equal(peri_json_parse(text, strlen(text), &event, NULL), PERI_OK);
    while ((text = next_block(&at, "expr"))) {
        for (char *line = text, *end; *line; line = end, n++) {
            char *arrow = strstr(line, "  =>  ");
            assert_non_null(arrow);
            end = arrow + strcspn(arrow, "\n");
            if (*end)
                *end++ = '\0';
            *arrow = '\0';
            check_line(line, arrow + 6, event);
        }
    }
    peri_value_unref(event);
    assert_true(n > 15);
}

static void test_every_function_is_described(void **state)
{
    read_page(state);
    char *table = strstr(page, "### Filters and functions");
    assert_non_null(table);
    for (const char *const *name = peri_expr_function_names(); *name; name++) {
        char plain[80], called[80];
        snprintf(plain, sizeof(plain), "`%s`", *name);
        snprintf(called, sizeof(called), "`%s(", *name);
        if (!strstr(table, plain) && !strstr(table, called))
            fail_msg("%s is not in the reference", *name);
    }
}

static void test_every_key_is_described(void **state)
{
    size_t count = 0;
    read_page(state);
    for (const struct rule_mapping *m = peri_rule_mappings; m->name; m++)
        for (const struct rule_key *key = m->keys; key->kind != KEY_END; key++, count++) {
            char forms[3][80];
            assert_non_null(peri_rule_shape(m->shapes, key->name)); /* the schema knows it too */
            snprintf(forms[0], sizeof(forms[0]), "`%s`", key->name);
            snprintf(forms[1], sizeof(forms[1]), "`%s:", key->name);
            snprintf(forms[2], sizeof(forms[2]), "%s: ", key->name);
            if (!strstr(page, forms[0]) && !strstr(page, forms[1]) && !strstr(page, forms[2]))
                fail_msg("%s.%s is not in the reference", m->name, key->name);
        }
    assert_true(count > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_load),
        cmocka_unit_test(test_expressions_give_what_is_written),
        cmocka_unit_test(test_every_function_is_described),
        cmocka_unit_test(test_every_key_is_described),
    };
    return cmocka_run_group_tests(tests, read_page, NULL);
}
