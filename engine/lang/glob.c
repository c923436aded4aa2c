/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/glob.h"

#include <ctype.h>
#include <string.h>

#define TYPE_MAX 255 /* bytes of an event type or glob */

static bool word_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-';
}

/* Shared by types and globs: segments are there, none is empty, the characters are right. */
static enum peri_status check(const char *text, bool glob, struct peri_error *err)
{
    const char *what = glob ? "event glob" : "event type";
    size_t len = strlen(text);
    if (!len)
        return peri_error_set(err, PERI_EINVAL, "event-type", "the %s is empty", what);
    if (len > TYPE_MAX)
        return peri_error_set(
            err, PERI_EINVAL, "event-type", "the %s has %zu bytes, at most %d are allowed", what, len, TYPE_MAX);
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '.') {
            if (i == 0 || i + 1 == len || text[i + 1] == '.')
                return peri_error_set(err, PERI_EINVAL, "event-type", "the %s \"%s\" has an empty segment", what, text);
        } else if (c == '*' && !glob) {
            return peri_error_set(err, PERI_EINVAL, "event-type", "the event type \"%s\" holds a star", text);
        } else if (c == '*' && text[i + 1] == '*') {
            bool whole = (i == 0 || text[i - 1] == '.') && (text[i + 2] == '\0' || text[i + 2] == '.');
            if (!whole)
                return peri_error_set(err, PERI_EINVAL, "event-type",
                    "in \"%s\" two stars must be a segment of their own, as in \"comms.**\"", text);
            i++;
        } else if (c != '*' && !word_char(c)) {
            return peri_error_set(err, PERI_EINVAL, "event-type",
                "the %s \"%s\" may hold letters, digits, '_' and '-' in segments separated by dots%s", what, text,
                glob ? ", and stars" : "");
        }
    }
    return PERI_OK;
}

enum peri_status peri_event_type_check(const char *type, struct peri_error *err)
{
    return check(type, false, err);
}

enum peri_status peri_glob_check(const char *glob, struct peri_error *err)
{
    return check(glob, true, err);
}

bool peri_glob_is_exact(const char *glob)
{
    return !strchr(glob, '*');
}

/* One segment against one segment: a star is any run of characters. Linear: only the last star is ever moved. */
static bool segment_match(const char *p, size_t plen, const char *s, size_t slen)
{
    size_t i = 0, k = 0, star = (size_t)-1, mark = 0;
    while (k < slen) {
        if (i < plen && p[i] == '*') {
            star = i++;
            mark = k;
        } else if (i < plen && p[i] == s[k]) {
            i++;
            k++;
        } else if (star != (size_t)-1) {
            i = star + 1;
            k = ++mark;
        } else {
            return false;
        }
    }
    while (i < plen && p[i] == '*')
        i++;
    return i == plen;
}

static size_t segment_len(const char *s)
{
    return strcspn(s, ".");
}

/* The rest after a segment, or NULL at the end. */
static const char *segment_next(const char *s)
{
    s += segment_len(s);
    return *s == '.' ? s + 1 : NULL;
}

static bool is_double(const char *p)
{
    return p[0] == '*' && p[1] == '*' && (p[2] == '.' || p[2] == '\0');
}

/* The same idea one level up: segments are the characters, "**" is the star (one or more, at the end also none). */
bool peri_glob_match(const char *glob, const char *type)
{
    const char *p = glob, *s = *type ? type : NULL, *after_star = NULL, *mark = NULL;
    while (s) {
        if (p && is_double(p)) {
            const char *next = segment_next(p);
            if (!next)
                return true;
            after_star = p = next;
            mark = s = segment_next(s);
        } else if (p && segment_match(p, segment_len(p), s, segment_len(s))) {
            p = segment_next(p);
            s = segment_next(s);
        } else if (after_star && mark) {
            p = after_star;
            s = mark = segment_next(mark);
        } else {
            return false;
        }
    }
    return !p || (is_double(p) && !segment_next(p));
}
