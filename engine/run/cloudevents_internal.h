/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_RUN_CLOUDEVENTS_INTERNAL_H
#define PERI_RUN_CLOUDEVENTS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include "base/error.h"
#include "data/value.h"
#include "io/store_events.h"
#include "run/cloudevents.h"

/* Internal to cloudevents*.c: attributes. */

/* type "/" subtype with parameters (RFC 9110, 8.3.1). */
bool peri_ce_media_type_valid(const char *text);

/* Undoes quoting and percent-encoding of a "ce-" header value. New reference. */
enum peri_status peri_ce_decode_header(
    const char *name, const char *value, struct peri_value **ret, struct peri_error *err);
/* Puts one attribute, checked, into attrs; refuses a second one. null is no attribute. */
enum peri_status peri_ce_put_attribute(
    struct peri_value *attrs, const char *name, size_t len, const struct peri_value *value, struct peri_error *err);
/* Checks that the required ones are there and fills event. */
enum peri_status peri_ce_fill_event(const struct peri_value *attrs, struct peri_event *event, struct peri_error *err);
/* Bytes of names and values. */
size_t peri_ce_attributes_size(const struct peri_value *attrs);

#endif
