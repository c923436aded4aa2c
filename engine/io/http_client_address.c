/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

#include "io/http_client.h"

/* IANA's special-purpose registries, less what is reachable from everywhere. */
static const struct {
    uint32_t net;
    int bits;
} private4[] = {
    {0x00000000, 8},  /* this network */
    {0x0A000000, 8},  /* private */
    {0x64400000, 10}, /* carrier-grade NAT */
    {0x7F000000, 8},  /* loopback */
    {0xA9FE0000, 16}, /* link-local, cloud metadata */
    {0xAC100000, 12}, /* private */
    {0xC0000000, 24}, /* protocol assignments */
    {0xC0000200, 24}, /* documentation */
    {0xC0586300, 24}, /* 6to4 relays */
    {0xC0A80000, 16}, /* private */
    {0xC6120000, 15}, /* benchmarks */
    {0xC6336400, 24}, /* documentation */
    {0xCB007100, 24}, /* documentation */
    {0xA83F8110, 32}, /* a cloud's wire server */
    {0xE0000000, 3},  /* multicast, reserved, broadcast */
};

static bool is_private4(uint32_t address)
{
    for (size_t i = 0; i < sizeof(private4) / sizeof(private4[0]); i++)
        if ((address ^ private4[i].net) >> (32 - private4[i].bits) == 0)
            return true;
    return false;
}

static uint32_t word(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool is_private6(const unsigned char a[16])
{
    static const unsigned char zero[12], mapped[12] = {[10] = 0xFF, [11] = 0xFF}, nat64[12] = {0x00, 0x64, 0xFF, 0x9B};
    /* Forms that carry an IPv4 address are judged by it. */
    if (memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0)
        return is_private4(word(a + 12));
    if (a[0] == 0x20 && a[1] == 0x02) /* 6to4 */
        return is_private4(word(a + 2));
    if (memcmp(a, zero, 12) == 0) /* unspecified, loopback, IPv4-compatible */
        return true;
    /* Only 2000::/3 is global unicast: not link-local, site-local, unique local, multicast, discard, local NAT64. */
    if ((a[0] & 0xE0) != 0x20)
        return true;
    if (a[0] == 0x20 && a[1] == 0x01)
        return a[2] < 0x02 || (a[2] == 0x0D && a[3] == 0xB8); /* protocol assignments with Teredo; documentation */
    return a[0] == 0x3F && a[1] == 0xFF && a[2] < 0x10;       /* documentation */
}

bool peri_address_is_private(const char *text)
{
    char plain[INET6_ADDRSTRLEN + 1];
    unsigned char a[16];
    size_t len = text ? strcspn(text, "%") : sizeof(plain); /* without the zone of link-local addresses */
    if (len >= sizeof(plain))
        return true;
    memcpy(plain, text, len);
    plain[len] = '\0';
    if (inet_pton(AF_INET, plain, a) == 1)
        return is_private4(word(a));
    if (inet_pton(AF_INET6, plain, a) == 1)
        return is_private6(a);
    return true; /* not an address: nothing we would connect to */
}
