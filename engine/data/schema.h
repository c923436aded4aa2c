/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_DATA_SCHEMA_H
#define PERI_DATA_SCHEMA_H

#include "base/error.h"
#include "base/status.h"
#include "data/value.h"

/* A JSON Schema subset, listed in docs/configuration.md. Any keyword outside it refuses the schema: a check that
 * is silently ignored would be a false promise. Immutable after compilation; check from any thread. */
struct peri_schema;

struct peri_schema_error {
    char *pointer; /* RFC 6901, into the data */
    char *keyword; /* "required", "type", ... */
    char *message; /* "must be a string, is a number" */
};

struct peri_schema_report {
    struct peri_schema_error *items; /* at most 100 */
    size_t count, cap;
};

/* err names the JSON Pointer into the schema. */
enum peri_status peri_schema_compile(
    const struct peri_value *schema, struct peri_schema **ret, struct peri_error *err) PERI_MUST_CHECK;
void peri_schema_destroy(struct peri_schema *schema);
/* PERI_OK, or PERI_EINVAL with every error in report (which may be NULL). PERI_ENOMEM: it is not known. */
enum peri_status peri_schema_check(
    const struct peri_schema *schema, const struct peri_value *data, struct peri_schema_report *report);
void peri_schema_report_finish(struct peri_schema_report *report);
/* A new value: data with absent members filled from "default", parents first. */
enum peri_status peri_schema_defaults(
    const struct peri_schema *schema, const struct peri_value *data, struct peri_value **ret) PERI_MUST_CHECK;
/* Does v hold a member "$secret" anywhere (or is it nested too deep to tell)? Only a rule's own text and the
 * configuration may name a secret: whatever comes from elsewhere is refused when this is true. */
bool peri_value_names_secret(const struct peri_value *v);
/* The schema's own source. borrow. */
const struct peri_value *peri_schema_source(const struct peri_schema *schema);

#endif
