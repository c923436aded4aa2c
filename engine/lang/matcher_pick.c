/* SPDX-License-Identifier: Apache-2.0 */
/* The second pass: members whose path some pattern asks for become items. In an object only the colons are visited: the
 * key ends before the colon, so its last bytes are there to be compared. Of what nobody wants not even the beginning is
 * looked at: a bracket before the next colon is the container that is stepped over, or the end of the object. */
#include "lang/matcher_internal.h"

#include <string.h>

#include "base/vec.h"
#include "lang/matcher_hash.h"

static bool blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* What numbers, true, false and null are made of. */
static const bool in_word[256] = {
    ['+'] = true, ['-'] = true, ['.'] = true, ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true};

/* The first set bit from at on. There is one. */
static uint32_t next_bit(const uint64_t *bits, uint32_t at)
{
    uint32_t word = at >> 6;
    uint64_t rest = bits[word] & ~UINT64_C(0) << (at & 63);
    while (!rest)
        rest = bits[++word];
    return word << 6 | (uint32_t)__builtin_ctzll(rest);
}

/* The last set bit before at. There is one. */
static uint32_t bit_before(const uint64_t *bits, uint32_t at)
{
    uint32_t word = at >> 6;
    uint64_t rest = bits[word] & ((UINT64_C(1) << (at & 63)) - 1);
    while (!rest)
        rest = bits[--word];
    return word << 6 | (63 - (uint32_t)__builtin_clzll(rest));
}

/* A key with escapes, or one beside the start of the text. */
static uint32_t find_key_slow(
    struct peri_matcher_scratch *r, const struct matcher_path *path, const char *key, uint32_t len, bool escaped)
{
    const struct peri_matcher *m = r->m;
    if (escaped) {
        if (len > r->decoded_cap && !peri_vec_grow(&r->decoded, &r->decoded_cap, len, 1)) {
            r->nomem = true;
            return MATCHER_NONE;
        }
        len = (uint32_t)peri_json_unescape(key, len, r->decoded);
        key = r->decoded;
    }
    for (uint32_t i = 0; i < path->child_count; i++) {
        const struct matcher_key *k = &m->keys[path->child_first + i];
        if (k->len == len && memcmp(m->text + k->text, key, len) == 0)
            return k->path;
    }
    return MATCHER_NONE;
}

/* end: where the closing quote of the key stands. */
static uint32_t find_key(struct peri_matcher_scratch *r, const struct matcher_path *path, uint32_t end)
{
    const struct peri_matcher *m = r->m;
    const char *text = r->scan.text;
    if (r->scan.slashes || end < 8) {
        uint32_t start = bit_before(r->scan.quotes, end) + 1, len = end - start;
        bool escaped = r->scan.slashes && memchr(text + start, '\\', len);
        return find_key_slow(r, path, text + start, len, escaped);
    }
    uint64_t tail = matcher_word(text + end - 8);
    for (uint32_t i = 0; i < path->child_count; i++) {
        const struct matcher_key *k = &m->keys[path->child_first + i];
        if ((tail ^ k->tail) & k->mask)
            continue;
        if (k->len >= end || text[end - k->len - 1] != '"')
            continue;
        if (k->len <= 8 || memcmp(text + end - k->len, m->text + k->text, k->len) == 0)
            return k->path;
    }
    return MATCHER_NONE;
}

static bool more_items(struct peri_matcher_scratch *r)
{
    if (peri_vec_grow(&r->items, &r->item_cap, r->item_count + 1, sizeof(*r->items)))
        return true;
    r->nomem = true;
    return false;
}

static inline struct matcher_item *push(struct peri_matcher_scratch *r, const struct matcher_item *item)
{
    if (r->item_count == r->item_cap && !more_items(r))
        return NULL;
    struct matcher_item *at = &r->items[r->item_count++];
    *at = *item;
    return at;
}

/* The path has an item in this event. */
static void occupy(struct peri_matcher_scratch *r, uint32_t path, size_t item)
{
    if (r->slots[path].stamp == r->stamp)
        r->plain = false;
    r->slots[path].stamp = r->stamp;
    r->slots[path].item = (uint32_t)item;
}

/* A member of an object: is it the first of its path there? */
static void note_member(struct peri_matcher_scratch *r, uint32_t path, uint32_t object)
{
    struct matcher_slots *slot = &r->slots[path];
    r->repeated |= slot->member_stamp == r->stamp && slot->object == object;
    slot->member_stamp = r->stamp;
    slot->object = object;
}

static void take_scalar(struct peri_matcher_scratch *r, const struct matcher_item *item)
{
    struct matcher_scalar scalar;
    const struct matcher_path *path = &r->m->paths[item->path];
    if (path->kept) {
        struct matcher_item *kept = push(r, item);
        if (!kept)
            return;
        kept->end = (uint32_t)r->item_count;
        occupy(r, item->path, r->item_count - 1);
    }
    if (matcher_scalar_read(r, item, &scalar))
        matcher_find(r, &r->m->fields[path->field], &scalar);
}

/* The scalar at the offset; returns where it ends. */
static uint32_t scalar_at(struct peri_matcher_scratch *r, uint32_t path, uint32_t parent, uint32_t at)
{
    const char *text = r->scan.text;
    struct matcher_item item = {.path = path, .off = at, .parent = parent};
    uint32_t end;
    if (text[at] == '"') {
        end = next_bit(r->scan.quotes, at + 1);
        item.off = at + 1;
        item.len = end - at - 1;
        item.kind = PERI_JSON_STRING;
        item.escaped = r->scan.slashes && memchr(text + item.off, '\\', item.len);
        end++;
    } else {
        end = at + 1;
        while (in_word[(unsigned char)text[end]])
            end++;
        item.len = end - at;
        item.kind = text[at] == 't'   ? PERI_JSON_TRUE
                    : text[at] == 'f' ? PERI_JSON_FALSE
                    : text[at] == 'n' ? PERI_JSON_NULL
                                      : PERI_JSON_NUMBER;
    }
    if (r->m->paths[path].field != MATCHER_NONE)
        take_scalar(r, &item);
    return end;
}

/* item: the container itself, when its path is kept. The next bracket is the first one in it, or the one at end. */
static void pick_object(struct peri_matcher_scratch *r, uint32_t path, uint32_t item, uint32_t at, uint32_t end);
static void pick_array(struct peri_matcher_scratch *r, uint32_t path, uint32_t item, uint32_t at, uint32_t end);

/* The container whose bracket is the next one. Returns its end. */
static uint32_t container(struct peri_matcher_scratch *r, uint32_t path, uint32_t parent)
{
    size_t opening = r->bracket_at, closing = matcher_scan_closing(&r->scan, opening);
    uint32_t at = r->scan.brackets[opening], end = r->scan.brackets[closing];
    const struct matcher_path *p = &r->m->paths[path];
    bool object = r->scan.text[at] == '{';
    if (!object || p->child_count) {
        uint32_t item = (uint32_t)r->item_count;
        if (p->kept &&
            !push(r, &(struct matcher_item){
                         .path = path, .parent = parent, .kind = object ? PERI_JSON_OBJECT : PERI_JSON_ARRAY}))
            return end;
        r->bracket_at++;
        if (object) {
            if (p->kept)
                occupy(r, path, item);
            pick_object(r, path, item, at, end);
        } else {
            pick_array(r, path, item, at, end);
            r->plain &= !p->kept || r->item_count == item + 1; /* an array without anything is as good as none */
        }
        if (p->kept)
            r->items[item].end = (uint32_t)r->item_count;
    }
    r->bracket_at = closing + 1;
    return end;
}

static void pick_array(struct peri_matcher_scratch *r, uint32_t path, uint32_t item, uint32_t at, uint32_t end)
{
    const char *text = r->scan.text;
    if (r->m->paths[path].field == MATCHER_NONE) { /* only containers can have what is wanted */
        while (r->scan.brackets[r->bracket_at] < end)
            container(r, path, item);
        return;
    }
    for (at++;; at++) {
        while (blank(text[at]))
            at++;
        if (at == end)
            return;
        at = text[at] == '{' || text[at] == '[' ? container(r, path, item) + 1 : scalar_at(r, path, item, at);
        while (blank(text[at]))
            at++;
        if (at == end)
            return;
    }
}

/* A member, if it is wanted: returns where its value ends, else 0. */
static __attribute__((noinline)) uint32_t pick_member(
    struct peri_matcher_scratch *r, const struct matcher_path *path, uint32_t item, uint32_t key_end, uint32_t value)
{
    const char *text = r->scan.text;
    uint32_t child = find_key(r, path, key_end);
    if (child == MATCHER_NONE)
        return 0;
    if (r->m->paths[child].kept)
        note_member(r, child, item);
    while (blank(text[value]))
        value++;
    return text[value] == '{' || text[value] == '[' ? container(r, child, item) : scalar_at(r, child, item, value);
}

/* A container that nobody wants: returns where it ends. */
static __attribute__((noinline)) uint32_t skip_container(struct peri_matcher_scratch *r)
{
    size_t closing = matcher_scan_closing(&r->scan, r->bracket_at);
    r->bracket_at = closing + 1;
    return r->scan.brackets[closing];
}

static void pick_object(struct peri_matcher_scratch *r, uint32_t id, uint32_t item, uint32_t at, uint32_t end)
{
    const struct matcher_path *path = &r->m->paths[id];
    const char *text = r->scan.text, *last = text + (end & ~63u), *block, *bracket;
    const uint64_t *word, filter = r->scan.slashes ? ~UINT64_C(0) : path->filter;
    uint64_t rest;
    for (uint32_t from = at;;) {
        bracket = text + r->scan.brackets[r->bracket_at];
        block = text + (from & ~63u);
        word = r->scan.colons + from / 64;
        rest = *word & ~UINT64_C(0) << from % 64;
        for (from = 0; !from;) {
            for (; !rest; rest = *++word, block += 64)
                if (block == last)
                    return;
            const char *colon = block + (unsigned)__builtin_ctzll(rest), *key_end = colon - 1;
            rest &= rest - 1;
            if (colon > bracket) {
                if (bracket == text + end)
                    return;
                from = skip_container(r);
                continue;
            }
            while (*key_end != '"')
                key_end--;
            if (filter >> matcher_key_hash(key_end) & 1) /* a key of the path ends so */
                from = pick_member(r, path, item, (uint32_t)(key_end - text), (uint32_t)(colon - text) + 1);
        }
    }
}

void matcher_pick(struct peri_matcher_scratch *r)
{
    r->bracket_at = 0;
    if (r->m->paths[0].child_count)
        container(r, 0, MATCHER_NONE);
}

/* --- from the plain scan, for texts that the fast one did not take --- */

static void pick_tape_item(struct peri_matcher_scratch *r, uint32_t path, uint32_t parent, uint32_t at)
{
    const struct peri_json_tape *tape = &r->tape;
    const struct peri_json_item *from = &tape->items[at];
    const struct matcher_path *p = &r->m->paths[path];
    struct matcher_item item = {.path = path,
        .off = from->off,
        .len = from->len,
        .parent = parent,
        .kind = from->kind,
        .escaped = from->escaped};
    if (from->kind > PERI_JSON_ARRAY) {
        if (p->field != MATCHER_NONE)
            take_scalar(r, &item);
        return;
    }
    bool object = from->kind == PERI_JSON_OBJECT;
    uint32_t mine = (uint32_t)r->item_count;
    if ((object && !p->child_count) || (p->kept && !push(r, &item)))
        return;
    if (object && p->kept)
        occupy(r, path, mine);
    for (uint32_t i = at + 1; i < from->end; i = tape->items[i].end) {
        const struct peri_json_item *member = &tape->items[i];
        uint32_t child = path;
        if (object)
            child = find_key_slow(r, p, tape->text + member->key, member->key_len, member->key_escaped);
        if (child != MATCHER_NONE && object && r->m->paths[child].kept)
            note_member(r, child, mine);
        if (child != MATCHER_NONE)
            pick_tape_item(r, child, mine, i);
    }
    if (!p->kept)
        return;
    if (!object)
        r->plain &= r->item_count == mine + 1;
    if (!r->nomem)
        r->items[mine].end = (uint32_t)r->item_count;
}

void matcher_pick_tape(struct peri_matcher_scratch *r)
{
    r->scan.text = r->tape.text;
    if (r->m->paths[0].child_count)
        pick_tape_item(r, 0, MATCHER_NONE, 0);
}
