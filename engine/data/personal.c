/* SPDX-License-Identifier: Apache-2.0 */
#include "data/personal.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/str.h"
#include "base/vec.h"
#include "data/casefold.h"
#include "data/hide.h"
#include "data/json.h"

#define BUCKETS 256
#define DEPTH_MAX 64
#define WORD_BYTES 6  /* shorter values are found as words of their own only */
#define CUT_BYTES 4   /* a beginning of this length counts where the text was cut */
#define TEXT_MAX 4096 /* longer values are looked for by their beginning */
#define SPLIT_WORDS 4 /* a name, an address; not a sentence */
#define SPLIT_BYTES 3 /* shorter words say nothing */
#define PHONE_DIGITS 7
#define FEW_DIGITS 4 /* numbers of fewer say too little to be looked for in texts of our own */

struct entry {
    struct entry *next; /* of its bucket */
    char *text;         /* folded */
    size_t len;
    bool word; /* nothing that belongs to a word may touch it */
    char mark[PERI_PERSONAL_MARK];
};

struct peri_personal {
    pthread_mutex_t lock;
    bool keyed;
    bool careful;
    unsigned char key[PERI_PERSONAL_KEY];
    size_t max, oldest;
    struct entry *buckets[BUCKETS];
    struct entry **all; /* in the order they came; a ring once it is full */
    size_t count, cap;
};

struct peri_personal *peri_personal_create(const unsigned char *key, size_t max)
{
    struct peri_personal *set = calloc(1, sizeof(*set));
    if (!set)
        return NULL;
    pthread_mutex_init(&set->lock, NULL);
    set->max = max;
    set->keyed = key != NULL;
    if (key)
        memcpy(set->key, key, sizeof(set->key));
    return set;
}

static void entry_free(struct entry *e)
{
    if (e)
        free(e->text);
    free(e);
}

void peri_personal_destroy(struct peri_personal *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->count; i++)
        entry_free(set->all[i]);
    free(set->all);
    pthread_mutex_destroy(&set->lock);
    free(set);
}

size_t peri_personal_count(struct peri_personal *set)
{
    pthread_mutex_lock(&set->lock);
    size_t n = set->count;
    pthread_mutex_unlock(&set->lock);
    return n;
}

void peri_personal_be_careful(struct peri_personal *set)
{
    set->careful = true;
}

/* --- what is looked for --- */

static unsigned bucket_of(const char *folded, size_t len)
{
    unsigned code = 0;
    (void)peri_utf8_decode(folded, len, &code);
    return code % BUCKETS;
}

static void unlink_entry(struct peri_personal *set, struct entry *e)
{
    struct entry **at = &set->buckets[bucket_of(e->text, e->len)];
    while (*at && *at != e)
        at = &(*at)->next;
    if (*at)
        *at = e->next;
}

static bool known(const struct peri_personal *set, const char *folded, size_t len)
{
    for (const struct entry *e = set->buckets[bucket_of(folded, len)]; e; e = e->next)
        if (e->len == len && memcmp(e->text, folded, len) == 0)
            return true;
    return false;
}

static bool keep(struct peri_personal *set, struct entry *e)
{
    if (set->max && set->count >= set->max) {
        struct entry *old = set->all[set->oldest];
        unlink_entry(set, old);
        entry_free(old);
        set->all[set->oldest] = e;
        set->oldest = (set->oldest + 1) % set->max;
    } else if (peri_vec_grow(&set->all, &set->cap, set->count + 1, sizeof(struct entry *))) {
        set->all[set->count++] = e;
    } else {
        return false;
    }
    struct entry **bucket = &set->buckets[bucket_of(e->text, e->len)];
    e->next = *bucket;
    *bucket = e;
    return true;
}

static bool is_small_number(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    return len < FEW_DIGITS;
}

static void add_form(struct peri_personal *set, const char *text, size_t len, bool number, const char *mark)
{
    if (set->careful && is_small_number(text, len))
        return;
    if (len > TEXT_MAX) {
        len = TEXT_MAX;
        while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--;
    }
    if (len == 0)
        return;
    char *folded = malloc(PERI_FOLD_ROOM(len));
    size_t n = folded ? peri_fold(text, len, folded) : 0;
    struct entry *e = n && !known(set, folded, n) ? calloc(1, sizeof(*e)) : NULL;
    if (!e) {
        free(folded);
        return;
    }
    e->text = folded;
    e->len = n;
    e->word = number || n < WORD_BYTES;
    snprintf(e->mark, sizeof(e->mark), "%s", mark);
    if (!keep(set, e))
        entry_free(e);
}

static void make_mark(const struct peri_personal *set, const char *text, size_t len, char out[PERI_PERSONAL_MARK])
{
    unsigned char mac[64];
    char *folded = set->keyed ? malloc(PERI_FOLD_ROOM(len)) : NULL;
    size_t n = folded ? peri_fold(text, len, folded) : 0;
    if (folded && peri_hmac("sha256", set->key, sizeof(set->key), folded, n, mac))
        snprintf(out, PERI_PERSONAL_MARK, "[personal %02x%02x]", mac[0], mac[1]);
    else
        snprintf(out, PERI_PERSONAL_MARK, "[personal]");
    free(folded);
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void add_encoded(struct peri_personal *set, const char *text, size_t len, const char *mark)
{
    struct peri_buf b;
    peri_buf_init(&b, TEXT_MAX * 3);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        (void)(isalnum(c) || strchr("-._~", c) ? peri_buf_putc(&b, (char)c) : peri_buf_printf(&b, "%%%02X", c));
    }
    if (!b.failed && b.len != len)
        add_form(set, peri_buf_text(&b), b.len, false, mark);
    peri_buf_finish(&b);
}

static void add_digits(struct peri_personal *set, const char *text, size_t len, const char *mark)
{
    char digits[64];
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] >= '0' && text[i] <= '9' && n + 1 < sizeof(digits))
            digits[n++] = text[i];
        else if (!strchr("+-()/. ", text[i]))
            return;
    }
    if (n >= PHONE_DIGITS && n != len)
        add_form(set, digits, n, false, mark);
}

static void add_words(struct peri_personal *set, const char *text, size_t len, const char *mark)
{
    size_t words = 0, at = 0;
    for (size_t i = 0; i < len; i++)
        words += !is_blank(text[i]) && (i == 0 || is_blank(text[i - 1]));
    for (size_t i = 0; words > 1 && words <= SPLIT_WORDS && i <= len; i++) {
        if (i < len && !is_blank(text[i]))
            continue;
        if (i - at >= SPLIT_BYTES)
            add_form(set, text + at, i - at, true, mark);
        at = i + 1;
    }
}

static void add_text(struct peri_personal *set, const char *text, size_t len)
{
    char mark[PERI_PERSONAL_MARK];
    while (len && is_blank(text[0])) {
        text++;
        len--;
    }
    while (len && is_blank(text[len - 1]))
        len--;
    if (len == 0)
        return;
    make_mark(set, text, len, mark);
    add_form(set, text, len, false, mark);
    if (len > TEXT_MAX)
        return;
    add_encoded(set, text, len, mark);
    add_digits(set, text, len, mark);
    add_words(set, text, len, mark);
    char *copy = peri_strndup(text, len), *slug = copy ? peri_slug(copy) : NULL;
    if (slug && *slug)
        add_form(set, slug, strlen(slug), true, mark);
    free(slug);
    free(copy);
}

static void add(struct peri_personal *set, const struct peri_value *v, int depth)
{
    size_t len = 0;
    const char *text = peri_value_textn(v, &len);
    if (text) {
        add_text(set, text, len);
    } else if (peri_value_is_number(v)) {
        char mark[PERI_PERSONAL_MARK], *number = peri_json_text(v, PERI_JSON_COMPACT);
        if (number) {
            make_mark(set, number, strlen(number), mark);
            add_form(set, number, strlen(number), true, mark);
        }
        free(number);
    }
    for (size_t i = 0; depth < DEPTH_MAX && peri_value_is(v, PERI_LIST) && i < peri_value_count(v); i++)
        add(set, peri_list_at(v, i), depth + 1);
    for (void *it = depth < DEPTH_MAX && peri_value_is(v, PERI_MAP) ? peri_map_first(v) : NULL; it;
         it = peri_map_next(v, it))
        add(set, peri_map_item(it), depth + 1);
}

void peri_personal_add(struct peri_personal *set, const struct peri_value *v)
{
    pthread_mutex_lock(&set->lock);
    add(set, v, 0);
    pthread_mutex_unlock(&set->lock);
}

void peri_personal_mark(struct peri_personal *set, const struct peri_value *v, char out[PERI_PERSONAL_MARK])
{
    size_t len = 0;
    const char *text = peri_value_textn(v, &len);
    char *json = text ? NULL : peri_json_text(v, PERI_JSON_COMPACT);
    if (json) {
        text = json;
        len = strlen(json);
    }
    while (len && is_blank(text[0])) {
        text++;
        len--;
    }
    while (len && is_blank(text[len - 1]))
        len--;
    make_mark(set, text ? text : "", len, out);
    free(json);
}

/* --- looking --- */

static bool in_word(unsigned char c)
{
    return c >= 0x80 || isalnum(c);
}

/* Ends an event's or a run's id where that dash stands? */
static bool is_own_id(const char *text, size_t dash)
{
    size_t n = dash >= 3 && memcmp(text + dash - 3, "run", 3) == 0 ? 3 : 2;
    if (n == 2 && (dash < 2 || memcmp(text + dash - 2, "ev", 2) != 0))
        return false;
    return dash == n || !in_word((unsigned char)text[dash - n - 1]);
}

/* Does what stands at that place, seen from the next one in the direction, belong to the same word? In a careful set
 * ids, times and codes are words: run-1, 10:30, http.status_422. */
static bool goes_on(const struct peri_personal *set, const char *text, size_t len, size_t at, int direction)
{
    size_t beyond = at + (size_t)direction;
    if (at >= len)
        return false;
    if (in_word((unsigned char)text[at]) || (direction < 0 && text[at] == '-' && is_own_id(text, at)))
        return true;
    return set->careful && strchr("-_.:/", text[at]) && text[at] && beyond < len &&
           in_word((unsigned char)text[beyond]);
}

/* Does the text end here, by itself or because it was too long? */
static bool is_cut(const char *text, size_t len, size_t at)
{
    return at == len ||
           (len - at >= 3 && (memcmp(text + at, "...", 3) == 0 || memcmp(text + at, "\xe2\x80\xa6", 3) == 0));
}

/* The end of e in the text from at on, or 0. */
static size_t end_of(const struct peri_personal *set, const struct entry *e, const char *text, size_t len, size_t at)
{
    size_t i = at, k = 0;
    while (k < e->len) {
        unsigned code = 0;
        char form[4];
        if (i - at >= CUT_BYTES && is_cut(text, len, i))
            break;
        size_t n = i < len ? peri_utf8_decode(text + i, len - i, &code) : 0;
        if (n == 0)
            return 0;
        size_t m = peri_utf8_encode(peri_fold_code(code), form);
        if (m > e->len - k || memcmp(form, e->text + k, m) != 0)
            return 0;
        i += n;
        k += m;
    }
    if (e->word && ((at > 0 && goes_on(set, text, len, at - 1, -1)) || goes_on(set, text, len, i, 1)))
        return 0;
    return i;
}

/* The first value in the text from from on, the longest there: *ret_at to *ret_end. */
static const struct entry *find(
    const struct peri_personal *set, const char *text, size_t len, size_t from, size_t *ret_at, size_t *ret_end)
{
    for (size_t at = from; at < len;) {
        unsigned code = 0;
        size_t n = peri_utf8_decode(text + at, len - at, &code);
        const struct entry *best = NULL;
        for (const struct entry *e = n ? set->buckets[peri_fold_code(code) % BUCKETS] : NULL; e; e = e->next) {
            size_t end = end_of(set, e, text, len, at);
            if (end && (!best || end > *ret_end)) {
                best = e;
                *ret_at = at;
                *ret_end = end;
            }
        }
        if (best)
            return best;
        at += n ? n : 1;
    }
    return NULL;
}

static bool hide(const struct peri_personal *set, const char *text, size_t len, char **ret, size_t *ret_len)
{
    struct peri_buf out;
    size_t from = 0, at = 0, end = 0;
    const struct entry *e = set->count ? find(set, text, len, 0, &at, &end) : NULL;
    if (!e)
        return false;
    peri_buf_init(&out, len * PERI_PERSONAL_MARK + 64);
    for (; e; e = find(set, text, len, from, &at, &end)) {
        (void)peri_buf_append(&out, text + from, at - from);
        (void)peri_buf_puts(&out, e->mark);
        from = end;
    }
    (void)peri_buf_append(&out, text + from, len - from);
    char *taken = out.failed ? NULL : peri_buf_take(&out, ret_len);
    peri_buf_finish(&out);
    if (taken)
        *ret = taken;
    return taken != NULL;
}

bool peri_personal_hide(struct peri_personal *set, const char *text, size_t len, char **ret, size_t *ret_len)
{
    pthread_mutex_lock(&set->lock);
    bool found = hide(set, text, len, ret, ret_len);
    pthread_mutex_unlock(&set->lock);
    return found;
}

static bool hide_any(void *ctx, const char *text, size_t len, char **ret, size_t *ret_len)
{
    return hide(ctx, text, len, ret, ret_len);
}

struct peri_value *peri_personal_hide_value(struct peri_personal *set, struct peri_value *v)
{
    struct peri_hiding hiding = {hide_any, set, true, "[personal]", DEPTH_MAX};
    pthread_mutex_lock(&set->lock);
    struct peri_value *clean = v && set->count ? peri_value_hidden(&hiding, v) : peri_value_ref(v);
    pthread_mutex_unlock(&set->lock);
    return clean;
}
