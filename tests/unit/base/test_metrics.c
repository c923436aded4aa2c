/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"

static void test_text_format(void **state)
{
    struct peri_metrics *m = peri_metrics_create();
    struct peri_buf out;
    struct peri_metric *a = peri_metrics_counter(m, "events_total", "plugin=\"a\"", "Events taken.");
    struct peri_metric *g = peri_metrics_gauge(m, "queue_bytes", NULL, "Bytes waiting.");
    struct peri_metric *b = peri_metrics_counter(m, "events_total", "plugin=\"b\"", "Events taken.");
    assert_ptr_equal(peri_metrics_counter(m, "events_total", "plugin=\"a\"", "Events taken."), a);
    assert_ptr_not_equal(a, b);
    peri_metric_add(a, 2);
    peri_metric_add(b, 5);
    peri_metric_set(g, -7);
    peri_buf_init(&out, 4096);
    assert_int_equal(peri_metrics_render(m, &out), PERI_OK);
    assert_string_equal(out.data,
        "# HELP perigee_events_total Events taken.\n# TYPE perigee_events_total counter\n"
        "perigee_events_total{plugin=\"a\"} 2\nperigee_events_total{plugin=\"b\"} 5\n"
        "# HELP perigee_queue_bytes Bytes waiting.\n# TYPE perigee_queue_bytes gauge\nperigee_queue_bytes -7\n");
    peri_buf_finish(&out);
    peri_metrics_destroy(m);
}

static void test_no_registry_is_silent(void **state)
{
    struct peri_metric *none = peri_metrics_counter(NULL, "x_total", NULL, "X.");
    assert_null(none);
    peri_metric_add(none, 1);
    peri_metric_set(none, 1);
    assert_int_equal(peri_metric_value(none), 0);
    peri_metrics_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_format),
        cmocka_unit_test(test_no_registry_is_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
