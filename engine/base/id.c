/* SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static const char crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

enum peri_status peri_random(void *out, size_t len)
{
    unsigned char *p = out;
    while (len > 0) {
        ssize_t got = getrandom(p, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return PERI_EIO;
        p += got;
        len -= (size_t)got;
    }
    return PERI_OK;
}

enum peri_status peri_ulid(int64_t wall_ms, char out[PERI_ULID_TEXT])
{
    unsigned char b[16];
    for (int i = 0; i < 6; i++)
        b[i] = (unsigned char)((uint64_t)wall_ms >> (40 - 8 * i));
    enum peri_status st = peri_random(b + 6, 10);
    if (st)
        return st;
    /* 130 bits of text hold 128 bits of value: two zero bits lead. */
    for (int i = 0; i < 26; i++) {
        int bit = i * 5 - 2, v = 0;
        for (int k = 0; k < 5; k++) {
            int at = bit + k;
            v = v << 1 | (at < 0 ? 0 : b[at / 8] >> (7 - at % 8) & 1);
        }
        out[i] = crockford[v];
    }
    out[26] = '\0';
    return PERI_OK;
}

enum peri_status peri_uuid4(char out[37])
{
    unsigned char b[16];
    enum peri_status st = peri_random(b, sizeof(b));
    if (st)
        return st;
    b[6] = (unsigned char)((b[6] & 0x0F) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3F) | 0x80);
    snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3],
        b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
    return PERI_OK;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc_by_machine(const unsigned char *p, size_t len)
{
    uint64_t crc = 0xFFFFFFFF, word;
    for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        crc = __builtin_ia32_crc32di(crc, word);
    }
    for (; len > 0; p++, len--)
        crc = __builtin_ia32_crc32qi((uint32_t)crc, *p);
    return ~(uint32_t)crc;
}
#endif

uint32_t peri_crc32c(const void *data, size_t len)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        return crc_by_machine(data, len);
#endif
    /* Reflected polynomial 0x82F63B78, four bits a step: 16 entries, no start-up work, no shared state. */
    static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a,
        0xf36e6f75};
    const unsigned char *p = data;
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < len; i++) {
        crc = table[(crc ^ p[i]) & 15] ^ crc >> 4;
        crc = table[(crc ^ p[i] >> 4) & 15] ^ crc >> 4;
    }
    return ~crc;
}

size_t peri_hmac(
    const char *algorithm, const void *key, size_t key_len, const void *data, size_t len, unsigned char out[64])
{
    unsigned n = 0;
    const EVP_MD *md = strcmp(algorithm, "sha256") == 0 ? EVP_sha256()
                       : strcmp(algorithm, "sha1") == 0 ? EVP_sha1()
                                                        : NULL;
    return md && key_len <= 1 << 20 && HMAC(md, key, (int)key_len, data, len, out, &n) ? n : 0;
}
