/* SPDX-License-Identifier: Apache-2.0 */
/* A header block followed by a chunked body, read whole and read in two pieces: both must agree, and what is let through
 * must keep its promises. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "io/http_server_check.h"

static enum peri_http_scan scan_in_pieces(const char *data, size_t size, size_t cut, size_t *ret_used)
{
    struct peri_http_head_scan scan = {0};
    size_t used = 0, skip;
    enum peri_http_scan found = peri_http_head_scan(&scan, data, cut, &used, &skip);
    *ret_used = cut ? used : 0;
    if (found == PERI_HTTP_SCAN_MORE && size > cut) {
        found = peri_http_head_scan(&scan, data + cut, size - cut, &used, &skip);
        *ret_used += used;
    }
    return found;
}

static size_t chunked_body(const char *data, size_t size, size_t step)
{
    struct peri_http_chunks chunks = {0};
    size_t total = 0;
    for (size_t at = 0; at < size;) {
        size_t used = 0, body, len = size - at < step ? size - at : step;
        enum peri_http_chunk found = peri_http_chunks_next(&chunks, data + at, len, &used, &body);
        if (used == 0 || used > len || body > used)
            abort();
        at += used;
        total += body;
        if (found == PERI_HTTP_CHUNK_END || found == PERI_HTTP_CHUNK_REFUSED)
            return total * 4 + (size_t)found;
    }
    return total * 4;
}

static void check_head(const char *data, size_t len)
{
    struct peri_http_head head;
    struct peri_http_refusal refusal;
    char *text = peri_strndup(data, len);
    enum peri_status st = peri_http_head_parse(text, len, &head, &refusal);
    if (st != PERI_OK) {
        if (refusal.status < 400 || !refusal.detail)
            abort();
        return;
    }
    if (!head.method || !head.target || !peri_utf8_valid(head.path, strlen(head.path), NULL))
        abort();
    for (size_t i = 0; i < head.header_count; i++)
        if (!peri_http_is_token(head.headers[i].name, strlen(head.headers[i].name)) ||
            !peri_http_is_value(head.headers[i].value, strlen(head.headers[i].value)))
            abort();
    if (head.chunked && head.content_length >= 0)
        abort();
    peri_http_head_finish(&head);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const char *data = (const char *)bytes;
    struct peri_http_head_scan scan = {0};
    size_t used = 0, pieces, skip;
    enum peri_http_scan found = peri_http_head_scan(&scan, data, size, &used, &skip);
    enum peri_http_scan same = scan_in_pieces(data, size, size / 2, &pieces);
    if (found != same || (found == PERI_HTTP_SCAN_DONE && used != pieces))
        abort();
    if (found == PERI_HTTP_SCAN_DONE)
        check_head(data + skip, used - skip);
    size_t rest = found == PERI_HTTP_SCAN_DONE ? used : 0;
    if (chunked_body(data + rest, size - rest, size) != chunked_body(data + rest, size - rest, 1))
        abort();
    return 0;
}
