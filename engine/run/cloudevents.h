/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_CLOUDEVENTS_H
#define PERI_RUN_CLOUDEVENTS_H

#include "base/error.h"
#include "io/http_server.h"
#include "io/store_data.h"

/* CloudEvents 1.0 over HTTP: binary, structured and batch (CloudEvents HTTP Protocol Binding 1.0.2), and plain JSON with
 * ?type=&source=&id=&subject=&time=. Adds one event for each to batch (ids of the sender in external_id).
 * PERI_EINVAL with err->message for 400; code "media_type" for 415; code "too_large" for 413. A bad event of a batch
 * refuses the whole request. *ret_batch_mode says whether the answer is a list. */
enum peri_status peri_cloudevents_read(const struct peri_http_request *req, size_t max_event_bytes, struct peri_batch *batch,
    bool *ret_batch_mode, struct peri_error *err) PERI_MUST_CHECK;

#endif
