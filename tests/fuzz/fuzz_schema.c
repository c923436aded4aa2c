/* SPDX-License-Identifier: Apache-2.0 */
/* A schema and data on two lines. A schema that was accepted checks anything and fills defaults. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "data/json.h"
#include "data/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct peri_schema *schema, const struct peri_value *data)
{
    struct peri_schema_report report;
    struct peri_value *filled = NULL;
    enum peri_status st = peri_schema_check(schema, data, &report);
    if ((st == PERI_OK) != (report.count == 0) || peri_schema_check(schema, data, NULL) != st)
        abort();
    peri_schema_report_finish(&report);
    if (peri_schema_defaults(schema, data, &filled) == PERI_OK) {
        (void)peri_schema_check(schema, filled, NULL);
        peri_value_unref(filled);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const char *text = (const char *)bytes, *line = size ? memchr(text, '\n', size) : NULL;
    struct peri_value *source = NULL, *data = NULL;
    struct peri_schema *schema = NULL;
    struct peri_error err;
    if (!line || peri_json_parse(text, (size_t)(line - text), &source, &err))
        return 0;
    if (peri_schema_compile(source, &schema, &err) == PERI_OK) {
        if (peri_json_parse(line + 1, size - (size_t)(line + 1 - text), &data, &err) == PERI_OK)
            use(schema, data);
        use(schema, source);
    }
    peri_value_unref(data);
    peri_schema_destroy(schema);
    peri_value_unref(source);
    return 0;
}
