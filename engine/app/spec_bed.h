/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_SPEC_BED_H
#define PERI_APP_SPEC_BED_H

#include <pthread.h>
#include "app/workbench.h"
#include "run/pipeline.h"

/* The world of a plugin's spec: the real store, plugin host and pipeline on a clock that only the spec moves. Nothing
 * reaches the network (the spec answers), and nothing that is on the machine is seen. */

struct peri_spec_bed;

/* Answers a request to the outside: {status, headers, body | body64, delay_ms} or {error: {code, ...}}. New reference;
 * NULL: there is nobody to ask any more. */
typedef struct peri_value *(*peri_spec_answer)(void *ctx, int bed, const struct peri_value *request);

struct peri_spec_call {
    uint64_t number;
    bool done;
    struct peri_value *answer; /* as peri_call_value, or of a webhook {status, headers, body | body64} */
};

struct peri_spec_bed {
    int number;
    struct peri_clock_fake fake;
    struct peri_clock clock;
    struct peri_log *log;
    struct peri_loop *loop;
    struct peri_store *store;
    struct peri_reader *reader;
    struct peri_secrets *secrets;
    struct peri_accounts *accounts;
    struct peri_http_client *http;
    struct peri_pipeline *pipeline;
    struct peri_host *host;
    struct peri_tz_source tz;
    char *share, *policy, *timezone; /* policy: a file, or NULL */
    struct peri_value *config, *channels, *sent;
    peri_spec_answer ask;
    void *ask_ctx;
    struct peri_value *answer;       /* what the stub's response points into */
    struct peri_http_field *headers; /* of it */
    char *body;
    struct peri_spec_call **calls;
    size_t call_count, call_cap;
    uint64_t last_call, seen_event, seen_message;
    pthread_mutex_t lock; /* of logs: any thread */
    struct peri_value *logs;
    struct peri_diag diag; /* of loading */
};

/* spec: {now?, timezone?, config?: {plugin: {...}}, secrets?: {name: text}, accounts?: {provider: {...}}, data?: {type: [...]}, channels?: {type:
 * plugin}}. folders (NULL-ended) are the plugins'. The bed must not move. */
enum peri_status peri_spec_bed_open(struct peri_spec_bed *bed, const struct peri_value *spec,
    const char *const *folders, struct peri_error *err) PERI_MUST_CHECK;
void peri_spec_bed_close(struct peri_spec_bed *bed);

/* Until all that is left waits for time to pass. */
enum peri_status peri_spec_bed_settle(struct peri_spec_bed *bed, struct peri_error *err) PERI_MUST_CHECK;
/* From one instant at which something is due to the next. */
enum peri_status peri_spec_bed_advance(struct peri_spec_bed *bed, int64_t ms, struct peri_error *err) PERI_MUST_CHECK;
/* Until the call is done; the clock goes as far as it waits. */
enum peri_status peri_spec_bed_wait(
    struct peri_spec_bed *bed, const bool *done, struct peri_error *err) PERI_MUST_CHECK;

/* call: {operator, params?, event?, key?, rule?, run?, dry_run?, lookup?, first?, timeout_ms?}, or {webhook: path,
 * plugin, method?, headers?, query?, body?, body64?}. A call that is refused is done at once. */
enum peri_status peri_spec_bed_call(struct peri_spec_bed *bed, const struct peri_value *call,
    struct peri_spec_call **ret, struct peri_error *err) PERI_MUST_CHECK;
struct peri_spec_call *peri_spec_bed_find(struct peri_spec_bed *bed, uint64_t number);
void peri_spec_bed_drop(struct peri_spec_bed *bed, struct peri_spec_call *call);
/* {type, data, source?, subject?, id?} */
enum peri_status peri_spec_bed_emit(
    struct peri_spec_bed *bed, const struct peri_value *event, struct peri_error *err) PERI_MUST_CHECK;
/* {verb: put|delete|get|query, type, fields?, id?, where?, order?, limit?} or {verb: set|value|keys, plugin, key,
 * value?, ttl_ms?} */
enum peri_status peri_spec_bed_data(struct peri_spec_bed *bed, const struct peri_value *request,
    struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;
/* What has happened since the last time: {now, logs, events, sent}. New reference. */
struct peri_value *peri_spec_bed_news(struct peri_spec_bed *bed);

/* {body} of text, or {body64}. */
enum peri_status peri_spec_put_body(struct peri_value *map, const char *body, size_t len) PERI_MUST_CHECK;
/* *ret is malloc'ed, "" when there is none. */
enum peri_status peri_spec_get_body(
    const struct peri_value *map, char **ret, size_t *ret_len, struct peri_error *err) PERI_MUST_CHECK;

#endif
