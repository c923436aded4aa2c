/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

struct peri_metric {
    struct peri_metric *next;
    _Atomic int64_t value;
    char *name, *labels, *help;
    const char *type;
};

struct peri_metrics {
    pthread_mutex_t lock; /* guards the list; values are atomic */
    struct peri_metric *first, *last;
};

struct peri_metrics *peri_metrics_create(void)
{
    struct peri_metrics *metrics = calloc(1, sizeof(*metrics));
    if (metrics)
        pthread_mutex_init(&metrics->lock, NULL);
    return metrics;
}

static void metric_destroy(struct peri_metric *m)
{
    free(m->name);
    free(m->labels);
    free(m->help);
    free(m);
}

void peri_metrics_destroy(struct peri_metrics *metrics)
{
    if (!metrics)
        return;
    for (struct peri_metric *m = metrics->first, *next; m; m = next) {
        next = m->next;
        metric_destroy(m);
    }
    pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

static struct peri_metric *metric_create(const char *name, const char *labels, const char *help, const char *type)
{
    struct peri_metric *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    m->name = peri_strdup(name);
    m->labels = peri_strdup(labels ? labels : "");
    m->help = peri_strdup(help);
    m->type = type;
    if (m->name && m->labels && m->help)
        return m;
    metric_destroy(m);
    return NULL;
}

/* Samples of one name stand together, as the text format demands: insert behind the last of that name. */
static void insert(struct peri_metrics *metrics, struct peri_metric *m)
{
    struct peri_metric *after = metrics->last;
    for (struct peri_metric *i = metrics->first; i; i = i->next)
        if (strcmp(i->name, m->name) == 0)
            after = i;
    if (!after) {
        metrics->first = metrics->last = m;
        return;
    }
    m->next = after->next;
    after->next = m;
    if (metrics->last == after)
        metrics->last = m;
}

static struct peri_metric *lookup(
    struct peri_metrics *metrics, const char *name, const char *labels, const char *help, const char *type)
{
    if (!metrics)
        return NULL;
    pthread_mutex_lock(&metrics->lock);
    struct peri_metric *m = metrics->first;
    while (m && (strcmp(m->name, name) != 0 || strcmp(m->labels, labels ? labels : "") != 0))
        m = m->next;
    if (!m && (m = metric_create(name, labels, help, type)))
        insert(metrics, m);
    pthread_mutex_unlock(&metrics->lock);
    return m;
}

struct peri_metric *peri_metrics_counter(
    struct peri_metrics *metrics, const char *name, const char *labels, const char *help)
{
    return lookup(metrics, name, labels, help, "counter");
}

struct peri_metric *peri_metrics_gauge(
    struct peri_metrics *metrics, const char *name, const char *labels, const char *help)
{
    return lookup(metrics, name, labels, help, "gauge");
}

void peri_metric_add(struct peri_metric *metric, int64_t n)
{
    if (metric)
        atomic_fetch_add_explicit(&metric->value, n, memory_order_relaxed);
}

void peri_metric_set(struct peri_metric *metric, int64_t value)
{
    if (metric)
        atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}

int64_t peri_metric_value(const struct peri_metric *metric)
{
    return metric ? atomic_load_explicit(&metric->value, memory_order_relaxed) : 0;
}

enum peri_status peri_metrics_render(struct peri_metrics *metrics, struct peri_buf *out)
{
    pthread_mutex_lock(&metrics->lock);
    const char *name = "";
    for (struct peri_metric *m = metrics->first; m; m = m->next) {
        if (strcmp(name, m->name) != 0) {
            peri_buf_printf(out, "# HELP perigee_%s %s\n# TYPE perigee_%s %s\n", m->name, m->help, m->name, m->type);
            name = m->name;
        }
        if (m->labels[0])
            peri_buf_printf(out, "perigee_%s{%s} %" PRId64 "\n", m->name, m->labels, peri_metric_value(m));
        else
            peri_buf_printf(out, "perigee_%s %" PRId64 "\n", m->name, peri_metric_value(m));
    }
    pthread_mutex_unlock(&metrics->lock);
    return out->failed;
}
