/* SPDX-License-Identifier: Apache-2.0 */
#include "data/format.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "base/timefmt.h"
#include "data/regex.h"

/* A text that is read from the left. */
struct scan {
    const char *s, *end;
};

static bool take(struct scan *in, char c)
{
    if (in->s == in->end || *in->s != c)
        return false;
    in->s++;
    return true;
}

static bool take_digits(struct scan *in, int n, unsigned *ret)
{
    *ret = 0;
    for (int i = 0; i < n; i++, in->s++) {
        if (in->s == in->end || *in->s < '0' || *in->s > '9')
            return false;
        *ret = *ret * 10 + (unsigned)(*in->s - '0');
    }
    return true;
}

static bool take_date(struct scan *in)
{
    unsigned year, month, day;
    return take_digits(in, 4, &year) && take(in, '-') && take_digits(in, 2, &month) && take(in, '-') &&
           take_digits(in, 2, &day) && month >= 1 && month <= 12 && day >= 1 && day <= peri_days_in_month(year, month);
}

/* A second of 60 is a leap second, and these end a day in UTC. */
static bool take_time(struct scan *in)
{
    unsigned hour, minute, second, zone_hour = 0, zone_minute = 0;
    int sign = 0;
    if (!take_digits(in, 2, &hour) || !take(in, ':') || !take_digits(in, 2, &minute) || !take(in, ':') ||
        !take_digits(in, 2, &second) || hour > 23 || minute > 59 || second > 60)
        return false;
    if (take(in, '.')) {
        const char *first = in->s;
        while (in->s < in->end && *in->s >= '0' && *in->s <= '9')
            in->s++;
        if (in->s == first)
            return false;
    }
    if (!take(in, 'Z') && !take(in, 'z')) {
        sign = take(in, '+') ? 1 : take(in, '-') ? -1 : 0;
        if (sign == 0 || !take_digits(in, 2, &zone_hour) || !take(in, ':') || !take_digits(in, 2, &zone_minute) ||
            zone_hour > 23 || zone_minute > 59)
            return false;
    }
    int utc = ((int)(hour * 60 + minute) - sign * (int)(zone_hour * 60 + zone_minute) + 2880) % 1440;
    return second < 60 || utc == 1439;
}

static bool is_date(const char *s, size_t len)
{
    struct scan in = {s, s + len};
    return take_date(&in) && in.s == in.end;
}

static bool is_time(const char *s, size_t len)
{
    struct scan in = {s, s + len};
    return take_time(&in) && in.s == in.end;
}

static bool is_date_time(const char *s, size_t len)
{
    struct scan in = {s, s + len};
    return take_date(&in) && (take(&in, 'T') || take(&in, 't')) && take_time(&in) && in.s == in.end;
}

/* Numbers with units out of order[], which may start anywhere but then skips none: RFC 3339, appendix A. */
static bool take_units(struct scan *in, const char *order)
{
    const char *at = NULL;
    while (in->s < in->end && *in->s != 'T') {
        const char *first = in->s;
        while (in->s < in->end && *in->s >= '0' && *in->s <= '9')
            in->s++;
        if (in->s == first || in->s == in->end)
            return false;
        const char *unit = strchr(order, *in->s);
        if (!unit || *in->s == '\0' || (at && unit != at + 1))
            return false;
        at = unit;
        in->s++;
    }
    return at != NULL;
}

static bool is_duration(const char *s, size_t len)
{
    struct scan in = {s, s + len};
    if (!take(&in, 'P'))
        return false;
    if (len > 2 && s[len - 1] == 'W')
        return take_units(&in, "W") && in.s == in.end;
    if (in.s < in.end && *in.s != 'T' && !take_units(&in, "YMD"))
        return false;
    if (take(&in, 'T') && !take_units(&in, "HMS"))
        return false;
    return in.s == in.end && len > 1;
}

static bool is_ipv4(const char *s, size_t len)
{
    struct scan in = {s, s + len};
    for (int i = 0; i < 4; i++) {
        unsigned n = 0;
        const char *first = in.s;
        if (i && !take(&in, '.'))
            return false;
        for (first = in.s; in.s < in.end && isdigit((unsigned char)*in.s) && in.s - first < 3; in.s++)
            n = n * 10 + (unsigned)(*in.s - '0');
        if (in.s == first || n > 255 || (in.s - first > 1 && *first == '0'))
            return false;
    }
    return in.s == in.end;
}

static bool is_ipv6(const char *s, size_t len)
{
    char text[64];
    struct in6_addr out;
    if (len >= sizeof(text) || memchr(s, '\0', len))
        return false;
    memcpy(text, s, len);
    text[len] = '\0';
    return inet_pton(AF_INET6, text, &out) == 1;
}

static bool is_hostname(const char *s, size_t len)
{
    if (len == 0 || len > 253)
        return false;
    size_t label = 0;
    for (size_t i = 0; i <= len; i++) {
        if (i == len || s[i] == '.') {
            if (label == 0 || label > 63 || s[i - 1] == '-')
                return false;
            label = 0;
        } else if ((s[i] >= 0 && isalnum((unsigned char)s[i])) || (s[i] == '-' && label > 0)) {
            label++;
        } else {
            return false;
        }
    }
    return true;
}

static bool is_email_local(const char *s, size_t len)
{
    if (len == 0 || len > 64)
        return false;
    if (s[0] == '"') {
        for (size_t i = 1; i + 1 < len; i++) {
            if (s[i] == '\\')
                i++;
            else if (s[i] == '"')
                return false;
            if (i + 1 >= len || (unsigned char)s[i] < 0x20 || (unsigned char)s[i] > 0x7E)
                return false;
        }
        return len > 1 && s[len - 1] == '"';
    }
    if (s[0] == '.' || s[len - 1] == '.')
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '.' ? s[i - 1] == '.' : c == '\0' || c >= 0x80 || (!isalnum(c) && !strchr("!#$%&'*+-/=?^_`{|}~", c)))
            return false;
    }
    return true;
}

static bool is_email(const char *s, size_t len)
{
    const char *at = memrchr(s, '@', len);
    if (!at || !is_email_local(s, (size_t)(at - s)))
        return false;
    const char *domain = at + 1;
    size_t n = len - (size_t)(domain - s);
    if (n < 2 || domain[0] != '[')
        return is_hostname(domain, n);
    if (domain[n - 1] != ']')
        return false;
    if (n > 7 && strncasecmp(domain + 1, "IPv6:", 5) == 0)
        return is_ipv6(domain + 6, n - 7);
    return is_ipv4(domain + 1, n - 2);
}

static bool is_uuid(const char *s, size_t len)
{
    if (len != 36)
        return false;
    for (size_t i = 0; i < len; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? s[i] != '-' : !isxdigit((unsigned char)s[i]))
            return false;
    }
    return true;
}

static bool is_regex(const char *s, size_t len)
{
    struct peri_regex *regex;
    if (peri_regex_compile(s, len, &regex, NULL))
        return false;
    peri_regex_destroy(regex);
    return true;
}

/* ---- RFC 3986 ---- */

/* Every character is unreserved, a sub-delimiter, percent-encoded or one of more. */
static bool uri_chars(const char *s, const char *end, const char *more)
{
    for (; s < end; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '%') {
            if (end - s < 3 || !isxdigit((unsigned char)s[1]) || !isxdigit((unsigned char)s[2]))
                return false;
            s += 2;
        } else if (c == '\0' || c >= 0x80 || (!isalnum(c) && !strchr("-._~!$&'()*+,;=", c) && !strchr(more, c))) {
            return false;
        }
    }
    return true;
}

static bool uri_host(const char *s, const char *end)
{
    if (s == end || *s != '[')
        return uri_chars(s, end, "");
    if (end - s < 4 || end[-1] != ']')
        return false;
    if (s[1] != 'v' && s[1] != 'V')
        return is_ipv6(s + 1, (size_t)(end - s - 2));
    const char *dot = memchr(s, '.', (size_t)(end - s));
    if (!dot || dot == s + 2 || dot + 2 >= end)
        return false;
    for (const char *c = s + 2; c < dot; c++)
        if (!isxdigit((unsigned char)*c))
            return false;
    return memchr(dot, '%', (size_t)(end - dot)) == NULL && uri_chars(dot + 1, end - 1, ":");
}

static bool uri_authority(const char *s, const char *end)
{
    const char *at = memrchr(s, '@', (size_t)(end - s));
    if (at) {
        if (!uri_chars(s, at, ":"))
            return false;
        s = at + 1;
    }
    const char *port = end;
    while (port > s && isdigit((unsigned char)port[-1]))
        port--;
    if (port > s && port[-1] == ':')
        end = port - 1;
    return uri_host(s, end);
}

static const char *first_of(const char *s, const char *end, const char *stops)
{
    while (s < end && (*s == '\0' || !strchr(stops, *s)))
        s++;
    return s;
}

static bool uri(const char *s, size_t len, bool need_scheme)
{
    const char *end = s + len, *colon = first_of(s, end, ":/?#");
    if (colon < end && *colon == ':') {
        for (const char *c = s; c < colon; c++)
            if ((unsigned char)*c >= 0x80 || (!isalnum((unsigned char)*c) && !(c > s && strchr("+-.", *c) && *c)))
                return false;
        if (colon == s || !isalpha((unsigned char)*s))
            return false;
        s = colon + 1;
    } else if (need_scheme) {
        return false;
    }
    const char *fragment = first_of(s, end, "#"), *query = first_of(s, fragment, "?");
    if (fragment < end && !uri_chars(fragment + 1, end, ":@/?"))
        return false;
    if (query < fragment && !uri_chars(query + 1, fragment, ":@/?"))
        return false;
    if (query - s >= 2 && s[0] == '/' && s[1] == '/') {
        const char *path = first_of(s + 2, query, "/");
        if (!uri_authority(s + 2, path))
            return false;
        s = path;
    }
    return uri_chars(s, query, ":@/");
}

bool peri_format_uri(const char *s, size_t len)
{
    return uri(s, len, true);
}

bool peri_format_uri_reference(const char *s, size_t len)
{
    return uri(s, len, false);
}

peri_format_fn peri_format_find(const char *name)
{
    static const struct {
        const char *name;
        peri_format_fn fn;
    } formats[] = {
        {"date-time", is_date_time},
        {"date", is_date},
        {"time", is_time},
        {"duration", is_duration},
        {"email", is_email},
        {"hostname", is_hostname},
        {"ipv4", is_ipv4},
        {"ipv6", is_ipv6},
        {"uri", peri_format_uri},
        {"uri-reference", peri_format_uri_reference},
        {"uuid", is_uuid},
        {"regex", is_regex},
    };
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (strcmp(formats[i].name, name) == 0)
            return formats[i].fn;
    return NULL;
}
