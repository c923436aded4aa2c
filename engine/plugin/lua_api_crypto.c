/* SPDX-License-Identifier: Apache-2.0 */
/* ctx.crypto. Keys may be secrets: their value is used here and goes no further. */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "base/str.h"
#include "plugin/lua_api.h"

static void push_hex(lua_State *L, const unsigned char *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    char text[2 * EVP_MAX_MD_SIZE];
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = digits[data[i] >> 4];
        text[2 * i + 1] = digits[data[i] & 15];
    }
    lua_pushlstring(L, text, 2 * len);
}

/* A digest in the asked form: "hex" (default), "base64", "raw". */
static int push_digest(lua_State *L, const unsigned char *data, size_t len, int form_idx)
{
    const char *form = lua_isnoneornil(L, form_idx) ? "hex" : peri_lua_text(L, form_idx, "form");
    unsigned char text[EVP_MAX_MD_SIZE * 2];
    if (!strcmp(form, "hex"))
        push_hex(L, data, len);
    else if (!strcmp(form, "raw"))
        lua_pushlstring(L, (const char *)data, len);
    else if (!strcmp(form, "base64"))
        lua_pushlstring(L, (const char *)text, (size_t)EVP_EncodeBlock(text, data, (int)len));
    else
        return peri_vm_raisef(L, "bad_argument", "form must be \"hex\", \"base64\" or \"raw\"");
    return 1;
}

/* The HMAC key at idx, a text or a secret, applied before anything can be raised again. */
static enum peri_status hmac_key(struct peri_job *job, const char *secret, const EVP_MD *md, const char *data,
    size_t len, unsigned char *out, unsigned *out_len, struct peri_error *err)
{
    char *key = NULL;
    size_t key_len = 0;
    if (!job->host->options.secrets)
        return peri_error_set(err, PERI_ENOTFOUND, "secret.missing", "there is no secret store for \"%s\"", secret);
    enum peri_status st = peri_secrets_get(job->host->options.secrets, secret, &key, &key_len, err);
    if (st)
        return peri_error_set(err, st, "secret.missing",
            "there is no secret \"%s\": set it with `perigee secrets set %s`", secret, secret);
    if (!HMAC(md, key, (int)key_len, (const unsigned char *)data, len, out, out_len))
        st = peri_error_set(err, PERI_EINTERNAL, NULL, "HMAC failed");
    peri_secret_free(key, key_len);
    return st;
}

/* hmac(algorithm, key, data, form?) */
static int crypto_hmac(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    struct peri_error err = {0};
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned out_len = 0;
    size_t len, key_len;
    const char *name = peri_lua_text(L, 1, "algorithm");
    const EVP_MD *md = !strcmp(name, "sha256") ? EVP_sha256() : !strcmp(name, "sha1") ? EVP_sha1() : NULL;
    if (!md)
        return peri_vm_raisef(L, "bad_argument", "algorithm must be \"sha1\" or \"sha256\"");
    const char *data = peri_lua_textn(L, 3, "data", &len);
    const char *secret = peri_vm_secret_name(L, 2);
    if (peri_account_of(secret))
        return peri_vm_raisef(L, "bad_argument", "the token of an account is for requests only");
    peri_vm_charge(L, 200 + (int64_t)len / 16);
    if (secret) {
        peri_lua_check(L, hmac_key(job, secret, md, data, len, out, &out_len, &err), &err);
    } else {
        const char *key = peri_lua_textn(L, 2, "key", &key_len);
        if (!HMAC(md, key, (int)key_len, (const unsigned char *)data, len, out, &out_len))
            return peri_vm_raisef(L, "internal", "HMAC failed");
    }
    return push_digest(L, out, out_len, 4);
}

/* sha256(data, form?) */
static int crypto_sha256(lua_State *L)
{
    (void)peri_lua_job(L);
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned out_len = 0;
    size_t len;
    const char *data = peri_lua_textn(L, 1, "data", &len);
    peri_vm_charge(L, 100 + (int64_t)len / 16);
    if (!EVP_Digest(data, len, out, &out_len, EVP_sha256(), NULL))
        return peri_vm_raisef(L, "internal", "SHA-256 failed");
    return push_digest(L, out, out_len, 2);
}

static int encode_at(lua_State *L, int idx)
{
    (void)peri_lua_job(L);
    size_t len;
    const char *data = peri_lua_textn(L, idx, "data", &len);
    if (len > 512 * 1024)
        return peri_vm_raisef(L, "too_large", "base64 takes at most 512 KiB");
    peri_vm_charge(L, 20 + (int64_t)len / 8);
    unsigned char *room = lua_newuserdatauv(L, (len + 2) / 3 * 4 + 1, 0);
    int n = EVP_EncodeBlock(room, (const unsigned char *)data, (int)len);
    lua_pushlstring(L, (const char *)room, (size_t)n);
    return 1;
}

static int base64_encode(lua_State *L)
{
    return encode_at(L, 1);
}

static int base64_call(lua_State *L)
{
    return encode_at(L, 2); /* 1 is the table that was called */
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

/* Both alphabets, padding optional, blanks and line ends skipped; nil and a message for anything else. */
static int base64_decode(lua_State *L)
{
    (void)peri_lua_job(L);
    size_t len, n = 0;
    unsigned bits = 0;
    int have = 0;
    const char *text = peri_lua_textn(L, 1, "text", &len);
    peri_vm_charge(L, 20 + (int64_t)len / 8);
    unsigned char *room = lua_newuserdatauv(L, len + 1, 0);
    while (len && (text[len - 1] == '=' || text[len - 1] == '\n' || text[len - 1] == '\r' || text[len - 1] == ' '))
        len--;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\n' || text[i] == '\r' || text[i] == ' ')
            continue;
        int digit = base64_digit(text[i]);
        if (digit < 0) {
            lua_pushnil(L);
            lua_pushfstring(L, "byte %d is no base64", (int)i + 1);
            return 2;
        }
        bits = bits << 6 | (unsigned)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            room[n++] = (unsigned char)(bits >> have);
        }
    }
    if (have >= 6) {
        lua_pushnil(L);
        lua_pushliteral(L, "the text is cut");
        return 2;
    }
    lua_pushlstring(L, (const char *)room, n);
    return 1;
}

static int crypto_uuid(lua_State *L)
{
    (void)peri_lua_job(L);
    char text[37];
    if (peri_uuid4(text))
        return peri_vm_raisef(L, "io_error", "no random numbers");
    lua_pushstring(L, text);
    return 1;
}

/* equals(a, b): in constant time; each may be a secret. */
static int crypto_equals(lua_State *L)
{
    struct peri_job *job = peri_lua_job(L);
    struct peri_error err = {0};
    const char *text[2], *name[2];
    char *revealed[2] = {NULL, NULL};
    size_t len[2];
    enum peri_status st = PERI_OK;
    for (int i = 0; i < 2; i++) {
        name[i] = peri_vm_secret_name(L, i + 1);
        if (peri_account_of(name[i]))
            return peri_vm_raisef(L, "bad_argument", "the token of an account is for requests only");
        text[i] = name[i] ? NULL : peri_lua_textn(L, i + 1, "both sides", &len[i]);
    }
    peri_vm_charge(L, 200);
    for (int i = 0; !st && i < 2; i++) {
        if (text[i])
            continue;
        st = job->host->options.secrets
                 ? peri_secrets_get(job->host->options.secrets, name[i], &revealed[i], &len[i], &err)
                 : peri_error_set(
                       &err, PERI_ENOTFOUND, "secret.missing", "there is no secret store for \"%s\"", name[i]);
        text[i] = revealed[i];
    }
    bool equal = !st && peri_equal_secret(text[0], len[0], text[1], len[1]);
    for (int i = 0; i < 2; i++)
        if (revealed[i])
            peri_secret_free(revealed[i], len[i]);
    if (st == PERI_ENOTFOUND) /* as hmac says it */
        snprintf(err.code, sizeof(err.code), "secret.missing");
    peri_lua_check(L, st, &err);
    lua_pushboolean(L, equal);
    return 1;
}

void peri_lua_api_crypto(lua_State *L, const struct peri_plugin *plugin)
{
    static const luaL_Reg functions[] = {{"hmac", crypto_hmac}, {"sha256", crypto_sha256}, {"uuid", crypto_uuid},
        {"equals", crypto_equals}, {NULL, NULL}};
    static const luaL_Reg base64[] = {{"encode", base64_encode}, {"decode", base64_decode}, {NULL, NULL}};
    lua_newtable(L);
    peri_lua_set_functions(L, functions);
    lua_newtable(L);
    peri_lua_set_functions(L, base64);
    lua_newtable(L); /* base64(text) is base64.encode(text) */
    lua_pushcfunction(L, base64_call);
    lua_setfield(L, -2, "__call");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, "base64");
    lua_setfield(L, -2, "crypto");
}
