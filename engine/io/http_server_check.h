/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_HTTP_SERVER_CHECK_H
#define PERI_IO_HTTP_SERVER_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/status.h"

/* What of an HTTP/1.x request is let in: pure functions over bytes, no sockets. Stricter than RFC 9112 wherever two
 * readers of the same bytes could disagree about where a request ends. */

#define PERI_HTTP_HEADERS_MAX 256    /* header lines of a request */
#define PERI_HTTP_TARGET_MAX 8192    /* bytes of a request target */
#define PERI_HTTP_CHUNK_LINE_MAX 256 /* bytes of a chunk's size line with its extensions */
#define PERI_HTTP_TRAILERS_MAX 8192  /* bytes of all trailer lines */

/* Why a request is refused: an HTTP status and one sentence; status 0 means it is not. */
struct peri_http_refusal {
    int status;
    const char *detail;
};

/* Finds the end of a header block in bytes that arrive in pieces. Zero it before the first byte. */
struct peri_http_head_scan {
    int state;
    struct peri_http_refusal refusal;
};
enum peri_http_scan { PERI_HTTP_SCAN_MORE, PERI_HTTP_SCAN_DONE, PERI_HTTP_SCAN_REFUSED };
/* Reads up to len bytes; *ret_used is how many belong to the block (all of them unless DONE or REFUSED). *ret_skip of
 * these, at the start, are empty lines before the request line that do not belong to it. Refuses control characters, CR
 * without LF and LF without CR at once. */
enum peri_http_scan peri_http_head_scan(
    struct peri_http_head_scan *scan, const char *data, size_t len, size_t *ret_used, size_t *ret_skip);

struct peri_http_pair {
    char *name, *value;
};

struct peri_http_head {
    char *text; /* all strings below point into it or into extra */
    char *extra;
    const char *method;
    const char *target; /* origin form or "*": an absolute URI has lost its scheme and host */
    const char *path;   /* decoded: UTF-8 without control characters */
    struct peri_http_pair *headers;
    size_t header_count;
    struct peri_http_pair *query; /* decoded likewise */
    size_t query_count;
    int minor; /* HTTP/1.minor: 0 or 1 */
    bool chunked;
    bool expect;            /* the client waits for 100 Continue */
    bool close;             /* no further request on this connection */
    int64_t content_length; /* -1 when not given */
};

/* Takes text (malloc'ed, len bytes, NUL behind), the block up to and including its empty line. PERI_EINVAL: refused, as
 * *ret_refusal says; PERI_ENOMEM. */
enum peri_status peri_http_head_parse(
    char *text, size_t len, struct peri_http_head *ret, struct peri_http_refusal *ret_refusal) PERI_MUST_CHECK;
void peri_http_head_finish(struct peri_http_head *head);
/* Any letter case; the first of that name, or NULL. */
const char *peri_http_head_get(const struct peri_http_head *head, const char *name);

/* Reads a chunked body in pieces. Zero it before the first byte. */
struct peri_http_chunks {
    int state;
    uint64_t left;
    size_t line;
    size_t digits;
    struct peri_http_refusal refusal;
};
enum peri_http_chunk { PERI_HTTP_CHUNK_MORE, PERI_HTTP_CHUNK_DATA, PERI_HTTP_CHUNK_END, PERI_HTTP_CHUNK_REFUSED };
/* MORE: all read. DATA: the last *ret_body of the *ret_used bytes are body; call again with the rest. END: the body and
 * its trailers (which are dropped) are complete. */
enum peri_http_chunk peri_http_chunks_next(
    struct peri_http_chunks *chunks, const char *data, size_t len, size_t *ret_used, size_t *ret_body);

bool peri_http_is_token(const char *s, size_t len);
/* No control characters but the tab. */
bool peri_http_is_value(const char *s, size_t len);

#endif
