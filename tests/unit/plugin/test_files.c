/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sys/stat.h>

#include "host_rig.h"

/* ctx.files below a granted path, and nowhere else; ctx.storage.compare_and_set. */

static const char reader[] =
    "return { actions = { [\"f.read\"] = { execute = function(p, ctx)\n"
    "  local text, size = ctx.files.read(p.path, { offset = p.offset, limit = p.limit })\n"
    "  return { text = text, size = size } end } } }";

static void open_rig(struct rig *rig, const char *below)
{
    char permissions[256], path[256];
    rig_init(rig);
    files_put(&rig->files, "open/a.txt", "hello");
    files_put(&rig->files, "open/deep/b.txt", "deeper");
    files_put(&rig->files, "openly.txt", "a neighbour of a longer name");
    files_put(&rig->files, "secret.txt", "secret");
    snprintf(path, sizeof(path), "%s/open/link", rig->files.dir);
    assert_int_equal(symlink("../secret.txt", path), 0);
    snprintf(path, sizeof(path), "%s/open/out", rig->files.dir);
    assert_int_equal(symlink("..", path), 0);
    snprintf(path, sizeof(path), "%s/open/same", rig->files.dir);
    assert_int_equal(symlink("a.txt", path), 0);
    snprintf(path, sizeof(path), "%s/open/pipe", rig->files.dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(permissions, sizeof(permissions), "[\"filesystem:read:%s/%s\"]", rig->files.dir, below);
    rig_plugin(rig, "f", permissions, "", reader);
    rig_load_clean(rig);
}

static const char *params(const struct rig *rig, const char *rest)
{
    static char text[512];
    snprintf(text, sizeof(text), "{\"path\":\"%s/%s\"}", rig->files.dir, rest);
    return text;
}

static void test_what_lies_below_can_be_read(void **state)
{
    struct rig rig;
    char text[512];
    open_rig(&rig, "open");
    rig_gives(&rig, "f.read", params(&rig, "open/a.txt"), "{\"size\":5,\"text\":\"hello\"}");
    rig_gives(&rig, "f.read", params(&rig, "open/deep/b.txt"), "{\"size\":6,\"text\":\"deeper\"}");
    snprintf(text, sizeof(text), "{\"path\":\"%s/open/a.txt\",\"offset\":1,\"limit\":3}", rig.files.dir);
    rig_gives(&rig, "f.read", text, "{\"size\":5,\"text\":\"ell\"}");
    rig_finish(&rig);
}

static void test_nothing_else_can_be_read(void **state)
{
    static const struct {
        const char *path, *code;
    } rows[] = {{"secret.txt", "denied"}, {"openly.txt", "denied"}, {"open/link", "file.escape"},
        {"open/out/secret.txt", "file.escape"}, {"open/../secret.txt", "file.escape"},
        {"open/deep/../../secret.txt", "file.escape"}, {"open/same", "file.escape"}, {"open/none", "file.missing"},
        {"open/a.txt/x", "file.missing"}, {"open", "file.kind"}, {"open/deep", "file.kind"}, {"open/pipe", "file.kind"}};
    struct rig rig;
    open_rig(&rig, "open");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        rig_fails(&rig, "f.read", params(&rig, rows[i].path), rows[i].code);
    rig_fails(&rig, "f.read", "{\"path\":\"open/a.txt\"}", "bad_argument");
    rig_fails(&rig, "f.read", "{\"path\":\"/proc/self/environ\"}", "denied");
    rig_finish(&rig);
}

static void test_a_single_file_can_be_granted(void **state)
{
    struct rig rig;
    open_rig(&rig, "secret.txt");
    rig_gives(&rig, "f.read", params(&rig, "secret.txt"), "{\"size\":6,\"text\":\"secret\"}");
    rig_fails(&rig, "f.read", params(&rig, "secret.txt/../openly.txt"), "file.missing");
    rig_finish(&rig);
}

/* Two calls read the same number and both want to count on: one of them is told that it was too late. */
static void test_compare_and_set_is_decided_by_the_store(void **state)
{
    static const char lua[] =
        "return { actions = {\n"
        "  [\"s.swap\"] = { execute = function(p, ctx) return { set = ctx.storage.compare_and_set(\"k\", p.old, p.new, "
        "{ ttl = p.ttl }), now = ctx.storage.get(\"k\") } end },\n"
        "  [\"s.race\"] = { execute = function(p, ctx) local n = ctx.storage.get(\"n\") or 0\n"
        "    ctx.call(\"s.swap\", { old = nil, new = nil })\n"
        "    return ctx.storage.compare_and_set(\"n\", n > 0 and n or nil, n + 1) end } } }";
    struct rig rig;
    struct rig_answer a[2] = {{0}, {0}};
    rig_init(&rig);
    rig_plugin(&rig, "s", "[\"storage:read\",\"storage:write\",\"operators:call\"]", "", lua);
    rig_load_clean(&rig);
    rig_gives(&rig, "s.swap", "{\"old\":1,\"new\":2}", "{\"set\":false}");
    rig_gives(&rig, "s.swap", "{\"new\":{\"a\":[1]}}", "{\"now\":{\"a\":[1]},\"set\":true}");
    rig_gives(&rig, "s.swap", "{\"new\":2}", "{\"now\":{\"a\":[1]},\"set\":false}");
    rig_gives(&rig, "s.swap", "{\"old\":{\"a\":[1]}}", "{\"set\":true}"); /* nil deletes */
    struct peri_value *none = NULL;
    assert_int_equal(peri_json_parse("{}", 2, &none, NULL), PERI_OK);
    struct peri_call call = {.operator_id = "s.race", .params = none};
    for (int i = 0; i < 2; i++)
        assert_int_equal(peri_host_call(rig.host, &call, rig_called, &a[i], &a[i].error), PERI_OK);
    for (int i = 0; i < 2; i++)
        rig_wait(&rig, &a[i].done);
    peri_value_unref(none);
    assert_true(!strcmp(a[0].text, "true") + !strcmp(a[1].text, "true") == 1);
    rig_finish(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_lies_below_can_be_read),
        cmocka_unit_test(test_nothing_else_can_be_read),
        cmocka_unit_test(test_a_single_file_can_be_granted),
        cmocka_unit_test(test_compare_and_set_is_decided_by_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
