/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_CLOUDEVENTS_INTERNAL_H
#define PERI_RUN_CLOUDEVENTS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include "base/arena.h"
#include "base/error.h"
#include "data/value.h"
#include "io/store_events.h"
#include "lang/matcher_scan.h"
#include "run/cloudevents.h"

/* Internal to cloudevents*.c. */

#define CE_SOURCE_KEPT 128
#define CE_TYPE_KEPT 64

struct peri_ce_scratch {
    struct matcher_scan scan;
    char source[CE_SOURCE_KEPT]; /* the last one that was checked, so that a sender's next event need not be */
    size_t source_len;
    char json_type[CE_TYPE_KEPT]; /* the same of a Content-Type, "application/json" in some form */
};

struct ce_reader {
    const struct peri_cloudevents_input *in;
    size_t max;
    struct peri_batch *batch;
    struct peri_error *err;
    struct peri_ce_scratch *scratch;
    struct peri_arena *arena; /* texts that had to be decoded; NULL while there are none */
    bool json;                /* the body is declared to be application/json */
    bool walking;             /* by what the scan of the body has found: no other text may be scanned */
};

/* Room until the request is read. NULL without memory, which is told. */
char *ce_room(struct ce_reader *r, size_t size);

/* ---- attributes ---- */

enum ce_known {
    CE_SPECVERSION,
    CE_ID,
    CE_SOURCE,
    CE_TYPE,
    CE_SUBJECT,
    CE_TIME,
    CE_DATASCHEMA,
    CE_DATACONTENTTYPE,
    CE_KNOWN
};

/* Of one event. The texts are slices of the request or of the reader's arena. */
struct ce_attributes {
    struct peri_event_text known[CE_KNOWN]; /* s NULL: absent */
    struct peri_value *more;                /* dataschema, datacontenttype and extensions, in order; NULL: none */
    int64_t time_ms;
    size_t size; /* bytes of names and values */
};

void ce_attributes_finish(struct ce_attributes *attrs);
/* Puts one attribute, checked; refuses a second one of that name. */
enum peri_status ce_put_text(
    struct ce_reader *r, struct ce_attributes *attrs, struct peri_event_text name, struct peri_event_text text);
/* One that is no string. */
enum peri_status ce_put_value(
    struct ce_reader *r, struct ce_attributes *attrs, struct peri_event_text name, const struct peri_value *value);
/* Are those there that every event has? */
enum peri_status ce_attributes_check(const struct ce_attributes *attrs, struct peri_error *err);
/* An event with these attributes and this data, which may be put later; takes what is in attrs->more. NULL without
 * memory. */
struct peri_event *ce_make_event(struct ce_attributes *attrs, const struct peri_event_text *data);
/* Undoes quoting and percent-encoding of a "ce-" header value. */
enum peri_status ce_decode_header(
    struct ce_reader *r, const char *name, const char *value, struct peri_event_text *ret);
/* type "/" subtype with parameters (RFC 9110, 8.3.1). */
bool peri_ce_media_type_valid(const char *text);

/* ---- JSON ---- */

/* Is it JSON that peri_json_parse takes? What was found stays in r->scratch->scan. */
enum peri_status ce_check_json(struct ce_reader *r, const char *text, size_t len);

/* The parts of one JSON event. */
struct ce_parts {
    struct ce_attributes attrs;
    struct peri_event_text data;        /* s NULL: absent */
    struct peri_event_text data_base64; /* the same */
};
/* Reads the object whose bracket is number open of the scan, which found no fault in the text. */
enum peri_status ce_read_members(struct ce_reader *r, size_t open, struct ce_parts *parts);

#endif
