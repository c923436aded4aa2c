/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_BASE_ID_H
#define PERI_BASE_ID_H

#include <stddef.h>
#include <stdint.h>
#include "base/status.h"

#define PERI_ULID_TEXT 27

/* Random bytes from the operating system's generator (OpenSSL). PERI_EIO when there are none. */
enum peri_status peri_random(void *out, size_t len) PERI_MUST_CHECK;
/* A ULID (github.com/ulid/spec): 48 bits of time, 80 random bits, 26 characters of Crockford's base 32, NUL. */
enum peri_status peri_ulid(int64_t wall_ms, char out[PERI_ULID_TEXT]) PERI_MUST_CHECK;
/* A version 4 UUID (RFC 9562) in lower case, 37 bytes with the NUL. */
enum peri_status peri_uuid4(char out[37]) PERI_MUST_CHECK;
/* SHA-256 as 64 lower-case hex digits and a NUL. */
void peri_sha256_hex(const void *data, size_t len, char out[65]);
void peri_sha256(const void *data, size_t len, unsigned char out[32]);
/* An HMAC (RFC 2104) with "sha1" or "sha256"; the length of what is in out, 0 when there is no such algorithm. */
size_t peri_hmac(
    const char *algorithm, const void *key, size_t key_len, const void *data, size_t len, unsigned char out[64]);
/* CRC-32C (Castagnoli), for stored bodies. */
uint32_t peri_crc32c(const void *data, size_t len);

#endif
