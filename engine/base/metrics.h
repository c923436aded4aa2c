/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_BASE_METRICS_H
#define PERI_BASE_METRICS_H

#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/status.h"

/* Registry of counters and gauges, rendered as Prometheus text 0.0.4. A module asks for its metrics once at creation
 * and keeps the pointers; adding to one is a relaxed atomic, from any thread. Labels must have few values and never
 * come from events. */
struct peri_metrics;
struct peri_metric;

struct peri_metrics *peri_metrics_create(void);
void peri_metrics_destroy(struct peri_metrics *metrics);

/* name without the "perigee_" prefix; counters end in _total. labels is Prometheus text without braces
 * (`plugin="comms"`) or NULL. The same name and labels give the same metric. A NULL registry gives a NULL metric,
 * which is silent. */
struct peri_metric *peri_metrics_counter(
    struct peri_metrics *metrics, const char *name, const char *labels, const char *help);
struct peri_metric *peri_metrics_gauge(
    struct peri_metrics *metrics, const char *name, const char *labels, const char *help);
void peri_metric_add(struct peri_metric *metric, int64_t n);
void peri_metric_set(struct peri_metric *metric, int64_t value);
int64_t peri_metric_value(const struct peri_metric *metric);
enum peri_status peri_metrics_render(struct peri_metrics *metrics, struct peri_buf *out);

#endif
