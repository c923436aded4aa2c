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

#include "base/status.h"
#include "io/secrets.h"

struct fixture {
    char state[64], credentials[64];
    struct peri_secrets *secrets;
};

static void put_file(const char *folder, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct peri_error err;
    assert_non_null(f);
    snprintf(f->state, sizeof(f->state), "/tmp/perigee-state-XXXXXX");
    snprintf(f->credentials, sizeof(f->credentials), "/tmp/perigee-cred-XXXXXX");
    assert_non_null(mkdtemp(f->state));
    assert_non_null(mkdtemp(f->credentials));
    setenv("CREDENTIALS_DIRECTORY", f->credentials, 1);
    assert_int_equal(peri_secrets_open(f->state, &f->secrets, &err), PERI_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[256];
    peri_secrets_destroy(f->secrets);
    snprintf(command, sizeof(command), "rm -rf '%s' '%s'", f->state, f->credentials);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static void holds(struct fixture *f, const char *name, const char *wanted, size_t wanted_len)
{
    char *value = NULL;
    size_t len = 0;
    struct peri_error err = {0};
    if (peri_secrets_get(f->secrets, name, &value, &len, &err))
        fail_msg("%s", err.message);
    assert_int_equal(len, wanted_len);
    assert_memory_equal(value, wanted, len + 1);
    peri_secret_free(value, len);
}

static void test_set_get_remove(void **state)
{
    struct fixture *f = *state;
    struct peri_error err = {0};
    char *value;
    size_t len;
    assert_int_equal(peri_secrets_get(f->secrets, "twilio.token", &value, &len, &err), PERI_ENOTFOUND);
    assert_non_null(strstr(err.message, "twilio.token"));
    assert_int_equal(peri_secrets_set(f->secrets, "twilio.token", "a\0b", 3, &err), PERI_OK);
    holds(f, "twilio.token", "a\0b", 3);
    assert_int_equal(peri_secrets_set(f->secrets, "twilio.token", "", 0, &err), PERI_OK);
    holds(f, "twilio.token", "", 0);
    assert_int_equal(peri_secrets_remove(f->secrets, "twilio.token", &err), PERI_OK);
    assert_int_equal(peri_secrets_remove(f->secrets, "twilio.token", &err), PERI_ENOTFOUND);
    assert_int_equal(peri_secrets_get(f->secrets, "twilio.token", &value, &len, &err), PERI_ENOTFOUND);
}

static void test_only_the_owner_reads(void **state)
{
    struct fixture *f = *state;
    struct peri_error err = {0};
    struct stat st;
    char path[256];
    mode_t before = umask(0);
    assert_int_equal(peri_secrets_set(f->secrets, "a", "x", 1, &err), PERI_OK);
    umask(before);
    snprintf(path, sizeof(path), "%s/secrets", f->state);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(chmod(path, 0755), 0); /* somebody opened it: the next write closes it again */
    assert_int_equal(peri_secrets_set(f->secrets, "a", "y", 1, &err), PERI_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    snprintf(path, sizeof(path), "%s/secrets/a", f->state);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_credentials_win(void **state)
{
    struct fixture *f = *state;
    struct peri_error err = {0};
    assert_int_equal(peri_secrets_set(f->secrets, "a", "stored", 6, &err), PERI_OK);
    put_file(f->credentials, "a", "from systemd");
    holds(f, "a", "from systemd", 12);
}

static void test_names(void **state)
{
    struct fixture *f = *state;
    struct peri_error err = {0};
    char **names;
    assert_int_equal(peri_secrets_names(f->secrets, &names, &err), PERI_OK);
    assert_null(names[0]);
    peri_secrets_free_names(names);
    assert_int_equal(peri_secrets_set(f->secrets, "b", "1", 1, &err), PERI_OK);
    assert_int_equal(peri_secrets_set(f->secrets, "a", "1", 1, &err), PERI_OK);
    put_file(f->credentials, "b", "2");
    put_file(f->credentials, "c", "2");
    put_file(f->credentials, ".hidden", "2");
    assert_int_equal(peri_secrets_names(f->secrets, &names, &err), PERI_OK);
    assert_string_equal(names[0], "a");
    assert_string_equal(names[1], "b");
    assert_string_equal(names[2], "c");
    assert_null(names[3]);
    peri_secrets_free_names(names);
}

static void test_names_that_are_refused(void **state)
{
    static const char *const bad[] = {"", ".", "..", ".x", "a/b", "../x", "a b", "\xC3\xA4", "a\n", NULL};
    struct fixture *f = *state;
    struct peri_error err = {0};
    char *value, longest[102];
    size_t len;
    for (int i = 0; bad[i]; i++) {
        assert_int_equal(peri_secrets_set(f->secrets, bad[i], "x", 1, &err), PERI_EINVAL);
        assert_int_equal(peri_secrets_get(f->secrets, bad[i], &value, &len, &err), PERI_EINVAL);
        assert_int_equal(peri_secrets_remove(f->secrets, bad[i], &err), PERI_EINVAL);
    }
    memset(longest, 'a', 101);
    longest[101] = '\0';
    assert_int_equal(peri_secrets_set(f->secrets, longest, "x", 1, &err), PERI_EINVAL);
    longest[100] = '\0';
    assert_int_equal(peri_secrets_set(f->secrets, longest, "x", 1, &err), PERI_OK);
}

static void test_links_are_not_followed(void **state)
{
    struct fixture *f = *state;
    struct peri_error err = {0};
    char path[256], *value;
    size_t len;
    assert_int_equal(peri_secrets_set(f->secrets, "a", "1", 1, &err), PERI_OK);
    snprintf(path, sizeof(path), "%s/secrets/link", f->state);
    assert_int_equal(symlink("/etc/hostname", path), 0);
    assert_int_equal(peri_secrets_get(f->secrets, "link", &value, &len, &err), PERI_EIO);
    snprintf(path, sizeof(path), "%s/secrets/fifo", f->state);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(peri_secrets_get(f->secrets, "fifo", &value, &len, &err), PERI_EIO);
}

static void test_values_that_come_back_are_hidden(void **state)
{
    struct fixture *f = *state;
    struct peri_error err;
    char *value, *text = NULL;
    size_t len;
    assert_int_equal(peri_secrets_set(f->secrets, "key", "sesame-open", 11, &err), PERI_OK);
    assert_int_equal(peri_secrets_set(f->secrets, "pin", "1234", 4, &err), PERI_OK);
    assert_false(peri_secrets_hide(f->secrets, "a sesame-open b", 15, &text, &len)); /* it was never given out */
    assert_int_equal(peri_secrets_get(f->secrets, "key", &value, &len, &err), PERI_OK);
    peri_secret_free(value, len);
    assert_int_equal(peri_secrets_get(f->secrets, "pin", &value, &len, &err), PERI_OK);
    peri_secret_free(value, len);
    assert_true(peri_secrets_hide(f->secrets, "a sesame-open b sesame-open", 27, &text, &len));
    assert_string_equal(text, "a [secret key] b [secret key]");
    assert_int_equal(len, strlen(text));
    free(text);
    assert_false(
        peri_secrets_hide(f->secrets, "sesame-ope 1234", 15, &text, &len)); /* short ones stand in many texts */
    struct peri_value *list = peri_value_list(), *map = peri_value_map();
    assert_int_equal(peri_list_push(list, peri_value_str("x sesame-open")), PERI_OK);
    assert_int_equal(peri_map_put(map, "sesame-open", peri_value_ref(list)), PERI_OK);
    struct peri_value *clean = peri_secrets_hide_value(f->secrets, map),
                      *same = peri_secrets_hide_value(f->secrets, clean);
    assert_string_equal(peri_value_text(peri_list_at(peri_map_at(clean, "[secret key]"), 0)), "x [secret key]");
    assert_ptr_equal(same, clean);
    (void)peri_error_set(&err, PERI_EIO, "x", "535 sesame-open refused");
    peri_secrets_hide_error(f->secrets, &err);
    assert_string_equal(err.message, "535 [secret key] refused");
    peri_value_unref(same);
    peri_value_unref(clean);
    peri_value_unref(map);
    peri_value_unref(list);
}

static void test_too_large(void **state)
{
    struct fixture *f = *state;
    struct peri_error err = {0};
    size_t len = (64u << 10) + 1;
    char *big = calloc(1, len), *value;
    assert_non_null(big);
    assert_int_equal(peri_secrets_set(f->secrets, "a", big, len, &err), PERI_ELIMIT);
    assert_int_equal(peri_secrets_set(f->secrets, "a", big, len - 1, &err), PERI_OK);
    holds(f, "a", big, len - 1);
    memset(big, 'x', len - 1);
    put_file(f->credentials, "a", big);
    holds(f, "a", big, len - 1);
    char path[256];
    snprintf(path, sizeof(path), "%s/a", f->credentials);
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    fputc('y', file);
    fclose(file);
    assert_int_equal(peri_secrets_get(f->secrets, "a", &value, &len, &err), PERI_ELIMIT);
    free(big);
}

static void test_state_folder_that_cannot_be_written(void **state)
{
    struct fixture *f = *state;
    struct peri_error err = {0};
    struct peri_secrets *secrets;
    put_file(f->state, "file", "");
    char path[128];
    snprintf(path, sizeof(path), "%s/file", f->state);
    assert_int_equal(peri_secrets_open(path, &secrets, &err), PERI_OK);
    assert_int_equal(peri_secrets_set(secrets, "a", "x", 1, &err), PERI_EIO);
    assert_non_null(strstr(err.message, path));
    peri_secrets_destroy(secrets);
}

/* Values that are replaced: the last ten of a name are known, and those of others stay. */
static void passing_values_make_room(void **state)
{
    struct fixture *f = *state;
    char text[64], *hidden = NULL;
    size_t len = 0;
    peri_secrets_also(f->secrets, "other", "other-value");
    for (int i = 0; i < 1500; i++) {
        snprintf(text, sizeof(text), "token-%04d-", i);
        peri_secrets_passing(f->secrets, "account.x", text);
        peri_secrets_passing(f->secrets, "account.x", text); /* twice is once */
    }
    assert_true(peri_secrets_hide(f->secrets, "a token-1499- b", 15, &hidden, &len));
    assert_string_equal(hidden, "a [secret account.x] b");
    free(hidden);
    assert_true(peri_secrets_hide(f->secrets, "token-1490-", 11, &hidden, &len));
    free(hidden);
    assert_false(peri_secrets_hide(f->secrets, "token-1489-", 11, &hidden, &len));
    assert_true(peri_secrets_hide(f->secrets, "other-value", 11, &hidden, &len));
    free(hidden);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(passing_values_make_room),
        T(test_set_get_remove),
        T(test_only_the_owner_reads),
        T(test_credentials_win),
        T(test_names),
        T(test_values_that_come_back_are_hidden),
        T(test_names_that_are_refused),
        T(test_links_are_not_followed),
        T(test_too_large),
        T(test_state_folder_that_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
