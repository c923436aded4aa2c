/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_CLOUDEVENTS_H
#define PERI_RUN_CLOUDEVENTS_H

#include "base/error.h"
#include "io/http_server.h"
#include "io/store_data.h"

/* CloudEvents 1.0 over HTTP: binary, structured and batch (CloudEvents HTTP Protocol Binding 1.0.2), and plain JSON
 * with ?type=&source=&id=&subject=&time=. Adds one event for each to batch (ids of the sender in external_id).
 * PERI_EINVAL with err->message for 400; code "media_type" for 415; code "too_large" for 413. A bad event of a batch
 * refuses the whole request. *ret_batch_mode says whether the answer is a list. */
/* Payloads are JSON text in perigee: JSON data is kept byte for byte; text (text/... in UTF-8) becomes a JSON string;
 * other bytes become {"data_base64": "..."}. The attributes dataschema, datacontenttype (unless it is application/json)
 * and all extensions go to event->extensions. time_ms stays 0 when the sender gave no time. An event's size is that of
 * its data and its attributes together. */
struct peri_ce_scratch;
enum peri_status peri_cloudevents_read(const struct peri_http_request *req, struct peri_ce_scratch *scratch,
    size_t max_event_bytes, struct peri_batch *batch, bool *ret_batch_mode, struct peri_error *err) PERI_MUST_CHECK;

/* Memory that reading uses again and again, for one thread. NULL when memory is out. */
struct peri_ce_scratch *peri_ce_scratch_create(void);
void peri_ce_scratch_destroy(struct peri_ce_scratch *scratch);

/* The same on anything that has headers, a query and a body. header and query return NULL for what is absent. */
struct peri_cloudevents_input {
    const char *body;
    size_t len;
    const char *(*header)(const void *req, const char *name);
    const char *(*query)(const void *req, const char *name);
    void (*each_header)(const void *req, void (*fn)(void *arg, const char *name, const char *value), void *arg);
    const void *req;
    struct peri_ce_scratch *scratch; /* NULL: memory of its own */
};
enum peri_status peri_cloudevents_read_input(const struct peri_cloudevents_input *in, size_t max_event_bytes,
    struct peri_batch *batch, bool *ret_batch_mode, struct peri_error *err) PERI_MUST_CHECK;

/* application/json, text/json, anything with +json. */
bool peri_ce_media_type_json(const char *text);
/* Does the part before ';' equal name (lower case) in any letter case? */
bool peri_ce_media_type_is(const char *text, const char *name);

#endif
