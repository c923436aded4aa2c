/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/lua_vm_pattern.h"

#include <ctype.h>
#include <string.h>
#include "plugin/lua_vm_internal.h"

/* A backtracking matcher for the pattern language of the reference manual (6.4.1). It calls itself for what follows a
 * repetition or a capture, so its depth is bounded by the pattern, and every trial is a step. */

#define CAPTURE_OPEN (-1)
#define CAPTURE_POSITION (-2)
#define DEPTH_MAX 200
#define STEPS_A_CHARGE 64
#define STEPS_AN_INSTRUCTION 4

static const char *match(struct peri_vm_pattern *m, const char *s, const char *p);

static void steps(struct peri_vm_pattern *m, unsigned n)
{
    m->steps += n;
    if (m->steps >= STEPS_A_CHARGE) {
        peri_vm_charge(m->L, m->steps / STEPS_AN_INSTRUCTION);
        m->steps = 0;
    }
}

static void step(struct peri_vm_pattern *m)
{
    steps(m, 1);
}

static bool in_class(int c, int class)
{
    bool in;
    switch (class | 0x20) {
    case 'a':
        in = isalpha(c);
        break;
    case 'c':
        in = iscntrl(c);
        break;
    case 'd':
        in = isdigit(c);
        break;
    case 'g':
        in = isgraph(c);
        break;
    case 'l':
        in = islower(c);
        break;
    case 'p':
        in = ispunct(c);
        break;
    case 's':
        in = isspace(c);
        break;
    case 'u':
        in = isupper(c);
        break;
    case 'w':
        in = isalnum(c);
        break;
    case 'x':
        in = isxdigit(c);
        break;
    default:
        return class == c;
    }
    return isupper(class) ? !in : in;
}

/* The end of the single item (character, %x, set) that begins at p. */
static const char *item_end(struct peri_vm_pattern *m, const char *p)
{
    char first = *p++;
    if (first == '%') {
        if (p == m->pattern_end)
            luaL_error(m->L, "malformed pattern (ends with '%%')");
        return p + 1;
    }
    if (first != '[')
        return p;
    if (p < m->pattern_end && *p == '^')
        p++;
    for (bool start = true;; start = false) { /* a ']' at the start stands for itself */
        if (p >= m->pattern_end)
            luaL_error(m->L, "malformed pattern (missing ']')");
        if (*p == ']' && !start)
            return p + 1;
        p += *p == '%' && p + 1 < m->pattern_end ? 2 : 1;
    }
}

/* p is the '[', last the closing ']'. */
static bool in_set(int c, const char *p, const char *last)
{
    bool negated = p[1] == '^';
    for (p += negated ? 2 : 1; p < last; p++) {
        if (*p == '%') {
            p++;
            if (in_class(c, (unsigned char)*p))
                return !negated;
        } else if (p + 2 < last && p[1] == '-') {
            if ((unsigned char)p[0] <= c && c <= (unsigned char)p[2])
                return !negated;
            p += 2;
        } else if ((unsigned char)*p == c) {
            return !negated;
        }
    }
    return negated;
}

/* True when the character at s fits the item [p, end). */
static bool fits(struct peri_vm_pattern *m, const char *s, const char *p, const char *end)
{
    step(m);
    if (s >= m->text_end)
        return false;
    int c = (unsigned char)*s;
    switch (*p) {
    case '.':
        return true;
    case '%':
        return in_class(c, (unsigned char)p[1]);
    case '[':
        steps(m, (unsigned)(end - p) / 4);
        return in_set(c, p, end - 1);
    default:
        return (unsigned char)*p == c;
    }
}

/* As many as possible, then fewer. */
static const char *repeat_greedy(struct peri_vm_pattern *m, const char *s, const char *p, const char *end)
{
    ptrdiff_t n = 0;
    while (fits(m, s + n, p, end))
        n++;
    for (; n >= 0; n--) {
        step(m);
        const char *e = match(m, s + n, end + 1);
        if (e)
            return e;
    }
    return NULL;
}

static const char *repeat_lazy(struct peri_vm_pattern *m, const char *s, const char *p, const char *end)
{
    for (;; s++) {
        const char *e = match(m, s, end + 1);
        if (e)
            return e;
        if (!fits(m, s, p, end))
            return NULL;
    }
}

static const char *open_capture(struct peri_vm_pattern *m, const char *s, const char *p, ptrdiff_t kind)
{
    if (m->captures >= PERI_PATTERN_CAPTURES)
        luaL_error(m->L, "too many captures");
    m->capture[m->captures].start = s;
    m->capture[m->captures].len = kind;
    m->captures++;
    const char *e = match(m, s, p);
    if (!e)
        m->captures--;
    return e;
}

static const char *close_capture(struct peri_vm_pattern *m, const char *s, const char *p)
{
    int i = m->captures - 1;
    while (i >= 0 && m->capture[i].len != CAPTURE_OPEN)
        i--;
    if (i < 0)
        luaL_error(m->L, "invalid pattern capture");
    m->capture[i].len = s - m->capture[i].start;
    const char *e = match(m, s, p);
    if (!e)
        m->capture[i].len = CAPTURE_OPEN;
    return e;
}

/* %bxy; p is behind the b. */
static const char *balanced(struct peri_vm_pattern *m, const char *s, const char *p)
{
    if (m->pattern_end - p < 2)
        luaL_error(m->L, "malformed pattern (missing arguments to '%%b')");
    if (s >= m->text_end || *s != p[0])
        return NULL;
    int open = 1;
    for (s++; s < m->text_end; s++) {
        step(m);
        if (*s == p[1]) {
            if (--open == 0)
                return s + 1;
        } else if (*s == p[0]) {
            open++;
        }
    }
    return NULL;
}

/* %1 ... %9: what that capture holds, again. */
static const char *back_reference(struct peri_vm_pattern *m, const char *s, char digit)
{
    int i = digit - '1';
    if (i < 0 || i >= m->captures || m->capture[i].len == CAPTURE_OPEN)
        luaL_error(m->L, "invalid capture index %%%d", i + 1);
    ptrdiff_t len = m->capture[i].len;
    if (len < 0 || m->text_end - s < len)
        return NULL;
    if (len >= 16)
        peri_vm_charge_bytes(m->L, (size_t)len);
    step(m);
    return memcmp(m->capture[i].start, s, (size_t)len) == 0 ? s + len : NULL;
}

/* %f[set]: between a character outside of the set and one inside. */
static bool at_frontier(struct peri_vm_pattern *m, const char *s, const char *p, const char *end)
{
    int before = s == m->text ? '\0' : (unsigned char)s[-1];
    int after = s == m->text_end ? '\0' : (unsigned char)*s;
    steps(m, 1 + (unsigned)(end - p) / 4);
    return !in_set(before, p, end - 1) && in_set(after, p, end - 1);
}

/* The item at p with what may follow it. *ret_p is where to go on, or NULL when the result is final. */
static const char *match_item(struct peri_vm_pattern *m, const char *s, const char *p, const char **ret_p)
{
    const char *end = item_end(m, p);
    char suffix = end < m->pattern_end ? *end : '\0';
    *ret_p = NULL;
    if (suffix == '*')
        return repeat_greedy(m, s, p, end);
    if (suffix == '-')
        return repeat_lazy(m, s, p, end);
    bool fit = fits(m, s, p, end);
    if (suffix == '+')
        return fit ? repeat_greedy(m, s + 1, p, end) : NULL;
    if (suffix == '?') {
        const char *e = fit ? match(m, s + 1, end + 1) : NULL;
        if (e)
            return e;
        *ret_p = end + 1;
        return s;
    }
    *ret_p = end;
    return fit ? s + 1 : NULL;
}

static const char *match_escape(struct peri_vm_pattern *m, const char *s, const char *p, const char **ret_p)
{
    char kind = p + 1 < m->pattern_end ? p[1] : '\0';
    if (kind == 'b') {
        *ret_p = p + 4;
        return balanced(m, s, p + 2);
    }
    if (kind == 'f') {
        p += 2;
        if (p >= m->pattern_end || *p != '[')
            luaL_error(m->L, "missing '[' after '%%f' in pattern");
        *ret_p = item_end(m, p);
        return at_frontier(m, s, p, *ret_p) ? s : NULL;
    }
    if (kind >= '0' && kind <= '9') {
        *ret_p = p + 2;
        return back_reference(m, s, kind);
    }
    return match_item(m, s, p, ret_p);
}

static const char *match(struct peri_vm_pattern *m, const char *s, const char *p)
{
    if (++m->depth > DEPTH_MAX)
        luaL_error(m->L, "pattern too complex");
    while (s && p && p < m->pattern_end) {
        const char *next = NULL;
        if (*p == '(' && p + 1 < m->pattern_end && p[1] == ')')
            s = open_capture(m, s, p + 2, CAPTURE_POSITION);
        else if (*p == '(')
            s = open_capture(m, s, p + 1, CAPTURE_OPEN);
        else if (*p == ')')
            s = close_capture(m, s, p + 1);
        else if (*p == '$' && p + 1 == m->pattern_end)
            s = s == m->text_end ? s : NULL;
        else if (*p == '%')
            s = match_escape(m, s, p, &next);
        else
            s = match_item(m, s, p, &next);
        p = next;
    }
    m->depth--;
    return s;
}

void peri_vm_pattern_init(
    struct peri_vm_pattern *m, lua_State *L, const char *text, size_t text_len, const char *pattern, size_t pattern_len)
{
    m->L = L;
    m->text = text;
    m->text_end = text + text_len;
    m->pattern = pattern;
    m->pattern_end = pattern + pattern_len;
    m->steps = 0;
    m->depth = 0;
    m->captures = 0;
}

const char *peri_vm_pattern_match(struct peri_vm_pattern *m, const char *at)
{
    m->depth = 0;
    m->captures = 0;
    step(m);
    return match(m, at, m->pattern);
}

void peri_vm_pattern_push(struct peri_vm_pattern *m, int i, const char *start, const char *end)
{
    if (i >= m->captures) {
        if (i != 0)
            luaL_error(m->L, "invalid capture index %%%d", i + 1);
        lua_pushlstring(m->L, start, (size_t)(end - start));
        return;
    }
    ptrdiff_t len = m->capture[i].len;
    if (len == CAPTURE_OPEN)
        luaL_error(m->L, "unfinished capture");
    if (len == CAPTURE_POSITION)
        lua_pushinteger(m->L, m->capture[i].start - m->text + 1);
    else
        lua_pushlstring(m->L, m->capture[i].start, (size_t)len);
}

int peri_vm_pattern_push_all(struct peri_vm_pattern *m, const char *start, const char *end)
{
    int n = m->captures == 0 && start ? 1 : m->captures;
    luaL_checkstack(m->L, n + 1, "too many captures");
    for (int i = 0; i < n; i++)
        peri_vm_pattern_push(m, i, start, end);
    peri_vm_charge(m->L, n);
    return n;
}
