/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"

static void test_crc32c(void **state)
{
    char zeros[32] = {0}, ones[32];
    memset(ones, 0xFF, sizeof(ones));
    assert_int_equal(peri_crc32c("123456789", 9), 0xE3069283);
    assert_int_equal(peri_crc32c("", 0), 0);
    /* RFC 3720, appendix B.4 */
    assert_int_equal(peri_crc32c(zeros, 32), 0x8A9136AA);
    assert_int_equal(peri_crc32c(ones, 32), 0x62A8AB43);
}

static void test_sha256(void **state)
{
    char hex[65];
    peri_sha256_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    peri_sha256_hex("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void test_ulid(void **state)
{
    char a[PERI_ULID_TEXT], b[PERI_ULID_TEXT];
    assert_int_equal(peri_ulid(1469918176385, a), PERI_OK);
    assert_int_equal(strlen(a), 26);
    assert_memory_equal(a, "01ARYZ6S41", 10); /* the example of the specification */
    assert_int_equal(strspn(a, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"), 26);
    assert_int_equal(peri_ulid(1469918176385, b), PERI_OK);
    assert_string_not_equal(a, b);
    assert_int_equal(peri_ulid(1469918176386, b), PERI_OK);
    assert_true(strcmp(a, b) < 0); /* sorts by time */
    assert_int_equal(peri_ulid((INT64_C(1) << 48) - 1, a), PERI_OK);
    assert_memory_equal(a, "7ZZZZZZZZZ", 10);
}

static void test_uuid4(void **state)
{
    char a[37], b[37];
    assert_int_equal(peri_uuid4(a), PERI_OK);
    assert_int_equal(peri_uuid4(b), PERI_OK);
    assert_int_equal(strlen(a), 36);
    assert_int_equal(a[14], '4');
    assert_non_null(strchr("89ab", a[19]));
    assert_true(a[8] == '-' && a[13] == '-' && a[18] == '-' && a[23] == '-');
    assert_string_not_equal(a, b);
}

/* Every length around the ends of blocks, as OpenSSL has it. */
static void test_sha256_of_all_lengths(void **state)
{
    unsigned char data[300], digest[32];
    char hex[65], want[65];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (unsigned char)(i * 167 + 13);
    for (size_t len = 0; len <= sizeof(data); len++) {
        unsigned n = 0;
        assert_int_equal(EVP_Digest(data, len, digest, &n, EVP_sha256(), NULL), 1);
        for (size_t i = 0; i < 32; i++)
            snprintf(want + 2 * i, 3, "%02x", digest[i]);
        peri_sha256_hex(data, len, hex);
        assert_string_equal(hex, want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc32c),
        cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_sha256_of_all_lengths),
        cmocka_unit_test(test_ulid),
        cmocka_unit_test(test_uuid4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
