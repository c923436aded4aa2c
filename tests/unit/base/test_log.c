/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

/* Everything that stands in the pipe; the number of bytes. */
static size_t empty(int fd, char *out, size_t size)
{
    size_t len = 0;
    ssize_t n;
    while (len + 1 < size && (n = read(fd, out + len, size - 1 - len)) > 0)
        len += (size_t)n;
    out[len] = '\0';
    return len;
}

static void a_reader_that_does_not_read_stops_nobody(void **state)
{
    static char text[1 << 18];
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0); /* our end; the log's blocks as standard error does */
    struct peri_log *log = peri_log_create(&(struct peri_log_options){.fd = ends[1], .level = PERI_LOG_INFO});
    memset(text, 'x', 3000);
    text[3000] = '\0';
    for (int i = 0; i < 100; i++)
        peri_info(log, "test", "%s", text);
    size_t len = empty(ends[0], text, sizeof(text));
    assert_true(len > 30000 && text[len - 1] == '\n'); /* whole lines */
    peri_info(log, "test", "here again");
    empty(ends[0], text, sizeof(text));
    assert_non_null(strstr(text, "lines were dropped"));
    assert_non_null(strstr(text, "here again"));
    close(ends[0]);
    close(ends[1]);
    peri_log_destroy(log);
}

static void lines_are_whole_and_bounded(void **state)
{
    static char text[1 << 16], controls[4000];
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    struct peri_log *log =
        peri_log_create(&(struct peri_log_options){.fd = ends[1], .level = PERI_LOG_INFO, .json = true});
    memset(controls, 1, sizeof(controls) - 1);
    peri_info(log, "test", "a\nb \"q\" %s", controls);
    size_t len = empty(ends[0], text, sizeof(text));
    assert_true(len <= 4096);
    assert_non_null(strstr(text, "a\\nb \\\"q\\\" \\u0001"));
    assert_string_equal(text + len - 3, "\"}\n");
    close(ends[0]);
    close(ends[1]);
    peri_log_destroy(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_that_does_not_read_stops_nobody),
        cmocka_unit_test(lines_are_whole_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
