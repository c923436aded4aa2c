/* SPDX-License-Identifier: Apache-2.0 */
#include "data/regex.h"

#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/str.h"

/* An exponential search ends within milliseconds at these. */
#define MATCH_LIMIT 100000
#define DEPTH_LIMIT 10000
#define HEAP_LIMIT_KIB 8192

struct peri_regex {
    pcre2_code *code;
    pcre2_match_context *limits; /* only read while matching */
    _Atomic unsigned more;       /* owners besides the first */
};

enum peri_status peri_regex_compile(const char *text, size_t len, struct peri_regex **ret, struct peri_error *err)
{
    if (len > PERI_REGEX_MAX)
        return peri_error_set(
            err, PERI_EINVAL, "regex", "the expression has %zu bytes, at most %d are allowed", len, PERI_REGEX_MAX);
    size_t bad;
    if (!peri_utf8_valid(text, len, &bad))
        return peri_error_set(err, PERI_EINVAL, "regex", "the expression is not UTF-8 at byte %zu", bad + 1);
    struct peri_regex *regex = calloc(1, sizeof(*regex));
    if (!regex)
        return peri_error_nomem(err);
    int code = 0;
    PCRE2_SIZE offset = 0;
    regex->code = pcre2_compile((PCRE2_SPTR)text, len,
        PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_BSUX | PCRE2_NEVER_BACKSLASH_C, &code,
        &offset, NULL);
    if (!regex->code) {
        PCRE2_UCHAR message[160];
        peri_regex_destroy(regex);
        if (code == PCRE2_ERROR_HEAP_FAILED)
            return peri_error_nomem(err);
        if (pcre2_get_error_message(code, message, sizeof(message)) < 0)
            message[0] = '\0';
        return peri_error_set(err, PERI_EINVAL, "regex", "at character %zu: %s",
            peri_utf8_length(text, offset < len ? offset : len) + 1, (const char *)message);
    }
    regex->limits = pcre2_match_context_create(NULL);
    if (!regex->limits) {
        peri_regex_destroy(regex);
        return peri_error_nomem(err);
    }
    pcre2_set_match_limit(regex->limits, MATCH_LIMIT);
    pcre2_set_depth_limit(regex->limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(regex->limits, HEAP_LIMIT_KIB);
    *ret = regex;
    return PERI_OK;
}

struct peri_regex *peri_regex_ref(struct peri_regex *regex)
{
    regex->more++;
    return regex;
}

void peri_regex_destroy(struct peri_regex *regex)
{
    if (!regex || regex->more-- > 0)
        return;
    pcre2_match_context_free(regex->limits);
    pcre2_code_free(regex->code);
    free(regex);
}

enum peri_status peri_regex_search(const struct peri_regex *regex, const char *s, size_t len, bool *ret_found)
{
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    if (!data)
        return PERI_ENOMEM;
    int rc = pcre2_match(regex->code, (PCRE2_SPTR)s, len, 0, PCRE2_NO_UTF_CHECK, data, regex->limits);
    pcre2_match_data_free(data);
    if (rc >= 0 || rc == PCRE2_ERROR_NOMATCH) {
        *ret_found = rc >= 0;
        return PERI_OK;
    }
    return rc == PCRE2_ERROR_NOMEMORY ? PERI_ENOMEM : PERI_ELIMIT;
}
