/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/id.h"
#include "plugin/package.h"
#include "plugin_files.h"

static void refused(struct files *f, const char *code)
{
    struct peri_package *pkg = NULL;
    struct peri_error err = {0};
    assert_int_equal(peri_package_open(f->dir, &pkg, &err), PERI_EINVAL);
    assert_null(pkg);
    assert_string_equal(err.code, code);
}

static void hash_is_that_of_sorted_lines(void **state)
{
    struct files f;
    struct peri_package *pkg = NULL;
    struct peri_error err = {0};
    char one[65], two[65], lines[512], whole[65];
    files_init(&f);
    files_put(&f, "plugin.json", "{}");
    files_put(&f, "lib/a.lua", "return 1");
    files_put(&f, ".git/config", "not part of it");
    peri_sha256_hex("return 1", 8, one);
    peri_sha256_hex("{}", 2, two);
    snprintf(lines, sizeof(lines), "%s  lib/a.lua\n%s  plugin.json\n", one, two);
    peri_sha256_hex(lines, strlen(lines), whole);
    assert_int_equal(peri_package_open(f.dir, &pkg, &err), PERI_OK);
    assert_string_equal(peri_package_hash(pkg), whole);
    size_t len = 0;
    assert_string_equal(peri_package_text(pkg, "lib/a.lua", &len), "return 1");
    assert_int_equal(len, 8);
    assert_null(peri_package_text(pkg, ".git/config", NULL));
    assert_null(peri_package_text(pkg, "lib/../lib/a.lua", NULL));
    peri_package_destroy(pkg);
    files_finish(&f);
}

static void one_byte_changes_the_hash(void **state)
{
    struct files f;
    struct peri_package *a = NULL, *b = NULL;
    files_init(&f);
    files_put(&f, "init.lua", "return {}");
    assert_int_equal(peri_package_open(f.dir, &a, NULL), PERI_OK);
    files_put(&f, "init.lua", "return {1}");
    assert_int_equal(peri_package_open(f.dir, &b, NULL), PERI_OK);
    assert_string_not_equal(peri_package_hash(a), peri_package_hash(b));
    assert_string_equal(peri_package_text(a, "init.lua", NULL), "return {}"); /* as it was when it was hashed */
    peri_package_destroy(a);
    peri_package_destroy(b);
    files_finish(&f);
}

static void links_are_refused(void **state)
{
    struct files f;
    char path[128];
    files_init(&f);
    files_put(&f, "init.lua", "");
    snprintf(path, sizeof(path), "%s/passwd.lua", f.dir);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    refused(&f, "package.symlink");
    files_finish(&f);
}

static void pipes_are_refused(void **state)
{
    struct files f;
    char path[128];
    files_init(&f);
    snprintf(path, sizeof(path), "%s/pipe", f.dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    refused(&f, "package.special");
    files_finish(&f);
}

static void names_that_could_stand_for_two_files_are_refused(void **state)
{
    /* U+202E: what follows is shown from right to left */
    static const char *const names[] = {"a\nb.lua", "a\xff.lua", "\xe2\x80\xae_ul.lua", "a\x1b[2J"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct files f;
        files_init(&f);
        files_put(&f, names[i], "");
        refused(&f, "package.name");
        files_finish(&f);
    }
}

static void deep_folders_are_refused(void **state)
{
    struct files f;
    files_init(&f);
    files_put(&f, "1/2/3/4/5/6/7/8/9/a.lua", "");
    refused(&f, "package.limit");
    files_finish(&f);
}

static void a_missing_folder_is_not_found(void **state)
{
    struct peri_package *pkg = NULL;
    struct peri_error err = {0};
    assert_int_equal(peri_package_open("/nonexistent/plugin", &pkg, &err), PERI_ENOTFOUND);
    assert_non_null(strstr(err.message, "/nonexistent/plugin"));
}

static void paths_stay_inside(void **state)
{
    static const char *const bad[] = {"", "/etc/passwd", "../x.lua", "a/../../x", "a//b", "a/", ".", "..", "./",
        "./../x", ".hidden", "a/.hidden", "a\\b", "a\nb", NULL};
    char *path = NULL;
    for (const char *const *b = bad; *b; b++)
        assert_false(peri_package_path_ok(*b, NULL));
    assert_false(peri_package_path_ok(NULL, NULL));
    assert_true(peri_package_path_ok("./src/init.lua", &path));
    assert_string_equal(path, "src/init.lua");
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_is_that_of_sorted_lines),
        cmocka_unit_test(one_byte_changes_the_hash),
        cmocka_unit_test(links_are_refused),
        cmocka_unit_test(pipes_are_refused),
        cmocka_unit_test(names_that_could_stand_for_two_files_are_refused),
        cmocka_unit_test(deep_folders_are_refused),
        cmocka_unit_test(a_missing_folder_is_not_found),
        cmocka_unit_test(paths_stay_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
