/* SPDX-License-Identifier: Apache-2.0 */
#include "app/lsp_wire.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "data/json.h"

/* Reads header lines up to the empty one. */
static enum peri_status read_headers(FILE *in, size_t *ret_len, struct peri_error *err)
{
    char line[1024];
    bool any = false, found = false;
    while (fgets(line, sizeof(line), in)) {
        size_t n = strcspn(line, "\r\n");
        bool whole = line[n] != '\0';
        line[n] = '\0';
        if (!whole)
            return peri_error_set(err, PERI_ECORRUPT, "lsp", "a header line has no end");
        if (n == 0 && any)
            return found ? PERI_OK : peri_error_set(err, PERI_ECORRUPT, "lsp", "Content-Length is missing");
        any = true;
        if (strncasecmp(line, "Content-Length:", 15) != 0)
            continue;
        long long len;
        if (!peri_parse_i64(line + 15 + strspn(line + 15, " \t"), &len) || len < 0 || len > PERI_LSP_MESSAGE_MAX)
            return peri_error_set(err, PERI_ECORRUPT, "lsp", "\"%s\" is no length that is accepted", line);
        *ret_len = (size_t)len;
        found = true;
    }
    return peri_error_set(err, PERI_ENOTFOUND, "lsp", "the input has ended");
}

enum peri_status peri_lsp_read(FILE *in, struct peri_value **ret, struct peri_error *err)
{
    size_t len = 0;
    enum peri_status st = read_headers(in, &len, err);
    if (st)
        return st;
    char *text = malloc(len + 1);
    if (!text)
        return PERI_ENOMEM;
    if (fread(text, 1, len, in) == len)
        st = peri_json_parse(text, len, ret, err);
    else
        st = peri_error_set(err, PERI_ENOTFOUND, "lsp", "the input ends within a message");
    free(text);
    return st;
}

enum peri_status peri_lsp_write(FILE *out, const struct peri_value *message)
{
    char *text = peri_json_text(message, PERI_JSON_COMPACT);
    if (!text)
        return PERI_ENOMEM;
    int n = fprintf(out, "Content-Length: %zu\r\n\r\n%s", strlen(text), text);
    free(text);
    return n < 0 || fflush(out) != 0 ? PERI_EIO : PERI_OK;
}
