/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http_server_check.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/pool.h"
#include "base/str.h"

static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

static bool is_tchar(unsigned char c)
{
    static const bool set[256] = {['!'] = true,
        ['#'] = true,
        ['$'] = true,
        ['%'] = true,
        ['&'] = true,
        ['\''] = true,
        ['*'] = true,
        ['+'] = true,
        ['-'] = true,
        ['.'] = true,
        ['^'] = true,
        ['_'] = true,
        ['`'] = true,
        ['|'] = true,
        ['~'] = true,
        ['0' ... '9'] = true,
        ['A' ... 'Z'] = true,
        ['a' ... 'z'] = true};
    return set[c];
}

bool peri_http_is_token(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_tchar((unsigned char)s[i]))
            return false;
    return len > 0;
}

/* Nothing below a space, and no DEL: how far? */
static size_t plain_span(const char *s, size_t len)
{
    size_t i = peri_ascii_span(s, len);
    while (i < len && (unsigned char)s[i] >= 0x80) {
        i++;
        i += peri_ascii_span(s + i, len - i);
    }
    return i;
}

bool peri_http_is_value(const char *s, size_t len)
{
    for (size_t i = plain_span(s, len); i < len; i += plain_span(s + i, len - i))
        if (s[i++] != '\t')
            return false;
    return true;
}

/* ---- the end of the header block ---- */

enum { SCAN_START, SCAN_START_CR, SCAN_LINE, SCAN_LINE_CR, SCAN_NEXT, SCAN_LAST_CR };

static enum peri_http_scan refuse_scan(struct peri_http_head_scan *scan, const char *detail)
{
    scan->refusal = (struct peri_http_refusal){400, detail};
    return PERI_HTTP_SCAN_REFUSED;
}

enum peri_http_scan peri_http_head_scan(
    struct peri_http_head_scan *scan, const char *data, size_t len, size_t *ret_used, size_t *ret_skip)
{
    *ret_skip = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)data[i];
        *ret_used = i + 1;
        if (scan->state == SCAN_LINE && c >= 0x20 && c != 0x7F) { /* most of it */
            i += plain_span(data + i + 1, len - i - 1);
            continue;
        }
        bool after_cr = scan->state == SCAN_START_CR || scan->state == SCAN_LINE_CR || scan->state == SCAN_LAST_CR;
        if (after_cr != (c == '\n'))
            return refuse_scan(scan, "lines of the header block must end with CR LF");
        if ((c < 0x20 && c != '\t' && c != '\r' && c != '\n') || c == 0x7F)
            return refuse_scan(scan, "control characters are not allowed in the header block");
        switch (scan->state) {
        case SCAN_START:
            scan->state = c == '\r' ? SCAN_START_CR : SCAN_LINE;
            break;
        case SCAN_START_CR:
            scan->state = SCAN_START;
            *ret_skip = i + 1;
            break;
        case SCAN_LINE:
            scan->state = c == '\r' ? SCAN_LINE_CR : SCAN_LINE;
            break;
        case SCAN_LINE_CR:
            scan->state = SCAN_NEXT;
            break;
        case SCAN_NEXT:
            scan->state = c == '\r' ? SCAN_LAST_CR : SCAN_LINE;
            break;
        case SCAN_LAST_CR:
            scan->state = SCAN_START;
            return PERI_HTTP_SCAN_DONE;
        }
        if (scan->state == SCAN_START_CR)
            *ret_skip = i + 1;
    }
    *ret_used = len;
    return PERI_HTTP_SCAN_MORE;
}

/* ---- the header block ---- */

static enum peri_status refuse(struct peri_http_refusal *refusal, int status, const char *detail)
{
    *refusal = (struct peri_http_refusal){status, detail};
    return PERI_EINVAL;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undoes percent-encoding in place. False for a broken sequence, control characters and bytes that are not UTF-8. */
static bool decode(char *text, bool plus_is_space)
{
    char *out = text;
    for (const char *in = text; *in; in++) {
        char c = *in;
        if (c == '+' && plus_is_space)
            c = ' ';
        if (c == '%') {
            int high = hex_digit(in[1]), low = high < 0 ? -1 : hex_digit(in[2]);
            if (low < 0)
                return false;
            c = (char)(high * 16 + low);
            in += 2;
        }
        /* Form values may hold line ends and tabs; paths nothing of the kind. */
        bool text_control = plus_is_space && (c == '\t' || c == '\n' || c == '\r');
        if (((unsigned char)c < 0x20 && !text_control) || c == 0x7F)
            return false;
        *out++ = c;
    }
    *out = '\0';
    return peri_utf8_valid(text, (size_t)(out - text), NULL);
}

static enum peri_status parse_query(struct peri_http_head *head, char *query, struct peri_http_refusal *refusal)
{
    size_t count = 1;
    for (const char *p = query; *p; p++)
        count += *p == '&';
    if (count > PERI_HTTP_HEADERS_MAX)
        return refuse(refusal, 400, "the query has too many parameters");
    head->query = calloc(count, sizeof(*head->query));
    if (!head->query)
        return PERI_ENOMEM;
    char *rest = query, *part;
    while ((part = strsep(&rest, "&")) != NULL) {
        if (!*part)
            continue;
        char *value = strchr(part, '=');
        if (value)
            *value++ = '\0';
        else
            value = part + strlen(part);
        if (!decode(part, true) || !decode(value, true))
            return refuse(refusal, 400, "the query is not percent-encoded UTF-8");
        head->query[head->query_count++] = (struct peri_http_pair){part, value};
    }
    return PERI_OK;
}

/* Leaves the origin form: "http://host/path" loses scheme and host (the Host header counts). */
static char *strip_authority(char *target)
{
    size_t scheme = strncasecmp(target, "http://", 7) == 0 ? 7 : strncasecmp(target, "https://", 8) == 0 ? 8 : 0;
    if (!scheme)
        return target;
    char *path = target + scheme + strcspn(target + scheme, "/?");
    if (path == target + scheme)
        return target; /* no host: refused below */
    if (*path == '/')
        return path;
    *--path = '/'; /* in place of the last byte of the host */
    return path;
}

static enum peri_status parse_target(struct peri_http_head *head, char *target, struct peri_http_refusal *refusal)
{
    size_t len = strlen(target);
    if (len > PERI_HTTP_TARGET_MAX)
        return refuse(refusal, 414, "the request target is too long");
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)target[i] <= 0x20 || (unsigned char)target[i] >= 0x7F || target[i] == '#')
            return refuse(refusal, 400, "the request target holds a character that must be percent-encoded");
    bool star = strcmp(target, "*") == 0 && strcmp(head->method, "OPTIONS") == 0;
    target = star ? target : strip_authority(target);
    if (!star && *target != '/')
        return refuse(refusal, 400, "the request target must begin with a slash");
    head->target = target;
    len = strlen(target) + 1;
    char *path = head->extra = peri_pool_alloc(len);
    if (!path)
        return PERI_ENOMEM;
    memcpy(path, target, len);
    head->path = path;
    char *query = strchr(path, '?');
    if (query)
        *query++ = '\0';
    if (!decode(path, false))
        return refuse(refusal, 400, "the path is not percent-encoded UTF-8 without control characters");
    return query ? parse_query(head, query, refusal) : PERI_OK;
}

static enum peri_status parse_request_line(
    struct peri_http_head *head, char *line, char **ret_target, struct peri_http_refusal *refusal)
{
    char *target = strchr(line, ' ');
    char *version = target ? strchr(target + 1, ' ') : NULL;
    if (!version || target == line || version == target + 1 || strchr(version + 1, ' '))
        return refuse(refusal, 400, "the request line must be: method, target, HTTP version");
    *target++ = '\0';
    *version++ = '\0';
    if (!peri_http_is_token(line, strlen(line)))
        return refuse(refusal, 400, "the method is not a token");
    if (strncmp(version, "HTTP/", 5) != 0 || strlen(version) != 8 || version[6] != '.' || version[5] < '0' ||
        version[5] > '9' || version[7] < '0' || version[7] > '9')
        return refuse(refusal, 400, "the request line must end with an HTTP version");
    if (version[5] != '1')
        return refuse(refusal, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    head->minor = version[7] == '0' ? 0 : 1;
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (strcmp(line, methods[i]) == 0)
            head->method = methods[i];
    if (!head->method)
        return refuse(refusal, 501, "the method is not supported");
    *ret_target = target;
    return PERI_OK;
}

/* True when the comma-separated list holds the word. */
static bool has_word(const char *list, const char *word)
{
    size_t len = strlen(word);
    while (list && *list) {
        list += strspn(list, ", \t");
        size_t n = strcspn(list, ", \t");
        if (n == len && strncasecmp(list, word, len) == 0)
            return true;
        list += n;
    }
    return false;
}

/* What the frame of the request depends on; counts of those that must be there once at most. */
struct framing {
    const char *host, *length, *encoding, *expect;
    int hosts, lengths, encodings;
    bool packed; /* the body is not what it says it is */
};

static void note_header(
    struct peri_http_head *head, const char *name, size_t len, const char *value, struct framing *noted)
{
    if (len == 4 && strcasecmp(name, "Host") == 0) {
        noted->host = value;
        noted->hosts++;
    } else if (len == 14 && strcasecmp(name, "Content-Length") == 0) {
        noted->length = value;
        noted->lengths++;
    } else if (len == 17 && strcasecmp(name, "Transfer-Encoding") == 0) {
        noted->encoding = value;
        noted->encodings++;
    } else if (len == 10 && strcasecmp(name, "Connection") == 0) {
        head->close |= has_word(value, "close");
    } else if (len == 6 && !noted->expect && strcasecmp(name, "Expect") == 0) {
        noted->expect = value;
    } else if (len == 16 && strcasecmp(name, "Content-Encoding") == 0) {
        noted->packed |= *value && strcasecmp(value, "identity") != 0;
    }
}

static enum peri_status parse_header(
    struct peri_http_head *head, char *line, size_t line_len, struct framing *noted, struct peri_http_refusal *refusal)
{
    if (head->header_count == PERI_HTTP_HEADERS_MAX)
        return refuse(refusal, 431, "the request has too many header lines");
    if (*line == ' ' || *line == '\t')
        return refuse(refusal, 400, "folded header lines are not allowed");
    char *colon = memchr(line, ':', line_len), *end = line + line_len;
    if (!colon || !peri_http_is_token(line, (size_t)(colon - line)))
        return refuse(refusal, 400, "a header line must be a token, a colon and a value");
    *colon = '\0';
    char *value = colon + 1;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        *--end = '\0';
    head->headers[head->header_count++] = (struct peri_http_pair){line, value};
    note_header(head, line, (size_t)(colon - line), value, noted);
    return PERI_OK;
}

static enum peri_status check_length(
    struct peri_http_head *head, const struct framing *noted, struct peri_http_refusal *refusal)
{
    const char *length = noted->length, *encoding = noted->encoding;
    head->content_length = -1;
    if (noted->lengths > 1)
        return refuse(refusal, 400, "Content-Length is given more than once");
    if (noted->encodings > 1)
        return refuse(refusal, 400, "Transfer-Encoding is given more than once");
    if (length && encoding)
        return refuse(refusal, 400, "Content-Length and Transfer-Encoding exclude each other");
    if (encoding && (strcasecmp(encoding, "chunked") != 0 || head->minor == 0))
        return refuse(refusal, 400, "the only Transfer-Encoding allowed is chunked, on HTTP/1.1");
    if (length) {
        size_t digits = 0;
        int64_t n = 0;
        for (; length[digits] >= '0' && length[digits] <= '9' && digits < 18; digits++)
            n = n * 10 + (length[digits] - '0');
        if (digits == 0 || length[digits])
            return refuse(refusal, 400, "Content-Length must be a decimal number");
        head->content_length = n;
    }
    head->chunked = encoding != NULL;
    if (strcmp(head->method, "HEAD") == 0 && (head->chunked || head->content_length > 0))
        return refuse(refusal, 400, "a HEAD request has no body");
    return PERI_OK;
}

static enum peri_status check_host(
    const struct peri_http_head *head, const struct framing *noted, struct peri_http_refusal *refusal)
{
    if (noted->hosts > 1 || (noted->hosts == 0 && head->minor == 1))
        return refuse(refusal, 400, "exactly one Host header is needed");
    for (const char *host = noted->host; host && *host; host++)
        if ((unsigned char)*host <= 0x20 || (unsigned char)*host >= 0x7F || strchr("\"#,/<>?@\\^`{|}", *host))
            return refuse(refusal, 400, "the Host header is not a host name");
    return PERI_OK;
}

static enum peri_status check_headers(
    struct peri_http_head *head, const struct framing *noted, struct peri_http_refusal *refusal)
{
    enum peri_status st = check_host(head, noted, refusal);
    if (st == PERI_OK)
        st = check_length(head, noted, refusal);
    if (st)
        return st;
    head->close |= head->minor == 0;
    if (noted->expect && strcasecmp(noted->expect, "100-continue") != 0)
        return refuse(refusal, 417, "the only expectation known is 100-continue");
    head->expect = noted->expect && head->minor == 1;
    if (noted->packed)
        return refuse(refusal, 415, "bodies are taken as they are: no Content-Encoding");
    return PERI_OK;
}

enum peri_status peri_http_head_parse(
    char *text, size_t len, struct peri_http_head *ret, struct peri_http_refusal *ret_refusal)
{
    struct peri_http_head head = {.text = text, .content_length = -1};
    enum peri_status st = PERI_EINVAL;
    char *target = NULL, *at = text, *end;
    *ret_refusal = (struct peri_http_refusal){400, "the header block is malformed"};
    struct framing noted = {0};
    size_t lines = 1;
    for (const char *p = text; lines < PERI_HTTP_HEADERS_MAX && (p = memchr(p, '\n', len - (size_t)(p - text))); p++)
        lines++;
    head.headers = peri_pool_alloc(lines * sizeof(*head.headers));
    if (!head.headers) {
        st = PERI_ENOMEM;
        goto out;
    }
    for (int line = 0; (end = memchr(at, '\r', len - (size_t)(at - text))) != NULL && end[1] == '\n'; line++) {
        *end = '\0';
        if (end == at && line > 0)
            break;
        st = PERI_EINVAL;
        if (!peri_http_is_value(at, (size_t)(end - at))) /* nor is there a NUL */
            goto out;
        st = line == 0 ? parse_request_line(&head, at, &target, ret_refusal)
                       : parse_header(&head, at, (size_t)(end - at), &noted, ret_refusal);
        if (st)
            goto out;
        at = end + 2;
    }
    st = PERI_EINVAL;
    if (!end || end + 2 != text + len || !target)
        goto out;
    st = parse_target(&head, target, ret_refusal);
    if (st == PERI_OK)
        st = check_headers(&head, &noted, ret_refusal);
out:
    if (st) {
        peri_http_head_finish(&head);
        return st;
    }
    *ret_refusal = (struct peri_http_refusal){0};
    *ret = head;
    return PERI_OK;
}

void peri_http_head_finish(struct peri_http_head *head)
{
    free(head->text);
    peri_pool_free(head->extra);
    if (head->headers)
        peri_pool_free(head->headers);
    free(head->query);
    memset(head, 0, sizeof(*head));
}

const char *peri_http_head_get(const struct peri_http_head *head, const char *name)
{
    for (size_t i = 0; i < head->header_count; i++)
        if ((*head->headers[i].name | 0x20) == (*name | 0x20) && strcasecmp(head->headers[i].name, name) == 0)
            return head->headers[i].value;
    return NULL;
}

/* ---- chunked bodies ---- */

enum {
    CHUNK_SIZE,
    CHUNK_EXTENSION,
    CHUNK_SIZE_LF,
    CHUNK_BODY,
    CHUNK_BODY_CR,
    CHUNK_BODY_LF,
    CHUNK_TRAILER,
    CHUNK_TRAILER_LINE,
    CHUNK_TRAILER_LF,
    CHUNK_LAST_LF
};

static bool chunk_size_byte(struct peri_http_chunks *chunks, char c)
{
    int digit = hex_digit(c);
    if (chunks->state == CHUNK_SIZE && digit >= 0 && chunks->digits < 12) {
        chunks->left = chunks->left * 16 + (unsigned)digit;
        chunks->digits++;
        return true;
    }
    if (chunks->digits == 0 || ++chunks->line > PERI_HTTP_CHUNK_LINE_MAX)
        return false;
    if (c == '\r') {
        chunks->state = CHUNK_SIZE_LF;
        return true;
    }
    if (chunks->state == CHUNK_SIZE && c != ';')
        return false;
    chunks->state = CHUNK_EXTENSION;
    return peri_http_is_value(&c, 1);
}

/* Everything but the bytes of the body. False: malformed. */
static bool chunk_byte(struct peri_http_chunks *chunks, char c)
{
    switch (chunks->state) {
    case CHUNK_SIZE:
    case CHUNK_EXTENSION:
        return chunk_size_byte(chunks, c);
    case CHUNK_SIZE_LF:
        chunks->state = chunks->left ? CHUNK_BODY : CHUNK_TRAILER;
        chunks->line = chunks->digits = 0;
        return c == '\n';
    case CHUNK_BODY_CR:
        chunks->state = CHUNK_BODY_LF;
        return c == '\r';
    case CHUNK_BODY_LF:
        chunks->state = CHUNK_SIZE;
        return c == '\n';
    case CHUNK_TRAILER:
        chunks->state = c == '\r' ? CHUNK_LAST_LF : CHUNK_TRAILER_LINE;
        return (c == '\r' || is_tchar((unsigned char)c)) && ++chunks->line <= PERI_HTTP_TRAILERS_MAX;
    case CHUNK_TRAILER_LINE:
        chunks->state = c == '\r' ? CHUNK_TRAILER_LF : CHUNK_TRAILER_LINE;
        return (c == '\r' || peri_http_is_value(&c, 1)) && ++chunks->line <= PERI_HTTP_TRAILERS_MAX;
    case CHUNK_TRAILER_LF:
        chunks->state = CHUNK_TRAILER;
        return c == '\n';
    default:
        return c == '\n';
    }
}

enum peri_http_chunk peri_http_chunks_next(
    struct peri_http_chunks *chunks, const char *data, size_t len, size_t *ret_used, size_t *ret_body)
{
    *ret_body = 0;
    for (size_t i = 0; i < len; i++) {
        if (chunks->state == CHUNK_BODY) {
            size_t n = len - i < chunks->left ? len - i : (size_t)chunks->left;
            chunks->left -= n;
            if (chunks->left == 0)
                chunks->state = CHUNK_BODY_CR;
            *ret_used = i + n;
            *ret_body = n;
            return PERI_HTTP_CHUNK_DATA;
        }
        bool last = chunks->state == CHUNK_LAST_LF;
        *ret_used = i + 1;
        if (!chunk_byte(chunks, data[i])) {
            chunks->refusal = (struct peri_http_refusal){400, "the chunked body is malformed"};
            return PERI_HTTP_CHUNK_REFUSED;
        }
        if (last)
            return PERI_HTTP_CHUNK_END;
    }
    *ret_used = len;
    return PERI_HTTP_CHUNK_MORE;
}
