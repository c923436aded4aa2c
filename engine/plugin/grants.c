/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/grants.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"
#include "lang/glob.h"

struct host {
    size_t item; /* whose it is; SIZE_MAX: of the policy's hosts */
    char *name;  /* lower case; "*.example.com" stands for exactly one more label */
    int port;    /* 0: any */
    bool named;  /* by the operator: private addresses are meant */
};

struct peri_grants {
    char **items;
    _Atomic bool *used; /* one for each */
    size_t count, cap, used_cap;
    struct host *hosts;
    size_t host_count, host_cap;
};

struct peri_grants *peri_grants_create(void)
{
    return calloc(1, sizeof(struct peri_grants));
}

void peri_grants_destroy(struct peri_grants *grants)
{
    if (!grants)
        return;
    for (size_t i = 0; i < grants->count; i++)
        free(grants->items[i]);
    for (size_t i = 0; i < grants->host_count; i++)
        free(grants->hosts[i].name);
    free(grants->items);
    free(grants->used);
    free(grants->hosts);
    free(grants);
}

static int default_port(const char *scheme, size_t len)
{
    static const struct {
        const char *name;
        int port;
    } known[] = {{"http", 80}, {"https", 443}, {"smtp", 0}, {"smtps", 465}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strlen(known[i].name) == len && !strncasecmp(known[i].name, scheme, len))
            return known[i].port;
    return 0;
}

/* Deliberately narrow: whatever this and the HTTP client might read differently (user info, backslashes, blanks) is
 * refused. The client asks again with the host it really connects to. */
bool peri_host_of(const char *text, char **ret_host, int *ret_port)
{
    int port = 0;
    const char *sep = strstr(text, "://"), *p = text;
    if (sep) {
        port = default_port(text, (size_t)(sep - text));
        p = sep + 3;
    }
    size_t len = strcspn(p, "/?#");
    if (memchr(p, '@', len) || memchr(p, '\\', len) || len == 0)
        return false;
    const char *host = p, *colon;
    size_t host_len = len;
    if (*p == '[') {
        const char *end = memchr(p, ']', len);
        if (!end)
            return false;
        host = p + 1;
        host_len = (size_t)(end - host);
        colon = end + 1 < p + len ? end + 1 : NULL;
    } else {
        colon = memchr(p, ':', len);
        if (colon)
            host_len = (size_t)(colon - p);
    }
    if (colon) {
        char digits[8] = "";
        size_t n = (size_t)(p + len - colon - 1);
        long long value;
        if (*colon != ':' || n == 0 || n >= sizeof(digits))
            return false;
        memcpy(digits, colon + 1, n);
        if (!peri_parse_i64(digits, &value) || value < 1 || value > 65535)
            return false;
        port = (int)value;
    }
    if (host_len == 0)
        return false;
    for (size_t i = 0; i < host_len; i++)
        if (!isgraph((unsigned char)host[i]) || host[i] == '%')
            return false;
    char *copy = peri_strndup(host, host_len);
    if (!copy)
        return false;
    for (char *c = copy; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    while (host_len > 1 && copy[host_len - 1] == '.') /* the root's dot */
        copy[--host_len] = '\0';
    *ret_host = copy;
    *ret_port = port;
    return true;
}

static enum peri_status add_host(struct peri_grants *grants, const char *text, bool named, size_t item)
{
    struct host host = {.named = named, .item = item};
    if (!text || !peri_host_of(text, &host.name, &host.port))
        return PERI_OK;
    if (!peri_vec_grow(&grants->hosts, &grants->host_cap, grants->host_count + 1, sizeof(*grants->hosts))) {
        free(host.name);
        return PERI_ENOMEM;
    }
    grants->hosts[grants->host_count++] = host;
    return PERI_OK;
}

enum peri_status peri_grants_add_host(struct peri_grants *grants, const char *text, bool named)
{
    return add_host(grants, text, named, SIZE_MAX);
}

/* KEY of {config.KEY} may be a dotted path. */
static const struct peri_value *config_at(const struct peri_value *config, const char *key, size_t len)
{
    while (config && len) {
        const char *dot = memchr(key, '.', len);
        size_t n = dot ? (size_t)(dot - key) : len;
        config = peri_map_atn(config, key, n);
        if (!dot)
            break;
        key += n + 1;
        len -= n + 1;
    }
    return config;
}

static enum peri_status add_outbound(
    struct peri_grants *grants, const char *arg, const struct peri_value *config, const struct peri_value *given)
{
    size_t item = grants->count - 1;
    if (arg[0] != '{')
        return add_host(grants, arg, false, item);
    const char *key = arg + strlen("{config.");
    const struct peri_value *v = config_at(config, key, strlen(key) - 1), *own = config_at(given, key, strlen(key) - 1);
    bool named = own && peri_value_equal(v, own);
    enum peri_status st = PERI_OK;
    if (peri_value_is(v, PERI_STRING))
        return add_host(grants, peri_value_text(v), named, item);
    for (size_t i = 0; peri_value_is(v, PERI_LIST) && !st && i < peri_value_count(v); i++)
        st = add_host(grants, peri_value_text(peri_list_at(v, i)), named, item);
    return st;
}

enum peri_status peri_grants_add(
    struct peri_grants *grants, const char *permission, const struct peri_value *config, const struct peri_value *given)
{
    if (!peri_vec_grow(&grants->items, &grants->cap, grants->count + 1, sizeof(*grants->items)))
        return PERI_ENOMEM;
    if (grants->cap > grants->used_cap) {
        _Atomic bool *more = realloc(grants->used, grants->cap * sizeof(*more));
        if (!more)
            return PERI_ENOMEM;
        for (size_t i = grants->used_cap; i < grants->cap; i++)
            atomic_init(&more[i], false);
        grants->used = more;
        grants->used_cap = grants->cap;
    }
    char *copy = peri_strdup(permission);
    if (!copy)
        return PERI_ENOMEM;
    grants->items[grants->count++] = copy;
    if (peri_str_starts(permission, "network:outbound:"))
        return add_outbound(grants, permission + strlen("network:outbound:"), config, given);
    return PERI_OK;
}

bool peri_grants_has(const struct peri_grants *grants, const char *permission)
{
    for (size_t i = 0; i < grants->count; i++)
        if (!strcmp(grants->items[i], permission))
            return true;
    return false;
}

static bool use(const struct peri_grants *grants, size_t i)
{
    atomic_store_explicit(&grants->used[i], true, memory_order_relaxed);
    return true;
}

bool peri_grants_uses(const struct peri_grants *grants, const char *permission)
{
    for (size_t i = 0; i < grants->count; i++)
        if (!strcmp(grants->items[i], permission))
            return use(grants, i);
    return false;
}

void peri_grants_take_used(const struct peri_grants *grants, void (*fn)(void *arg, const char *permission), void *arg)
{
    for (size_t i = 0; i < grants->count; i++)
        if (atomic_exchange_explicit(&grants->used[i], false, memory_order_relaxed))
            fn(arg, grants->items[i]);
}

bool peri_grants_any(const struct peri_grants *grants, const char *prefix)
{
    for (size_t i = 0; i < grants->count; i++)
        if (peri_str_starts(grants->items[i], prefix))
            return true;
    return !strcmp(prefix, "network:outbound:") && grants->host_count > 0;
}

bool peri_grants_data(const struct peri_grants *grants, const char *access, const char *type)
{
    char prefix[32];
    type = peri_entity_type_singular(type);
    size_t n = (size_t)snprintf(prefix, sizeof(prefix), "data:%s:", access);
    for (size_t i = 0; i < grants->count; i++) {
        const char *arg = grants->items[i] + n;
        if (peri_str_starts(grants->items[i], prefix) &&
            (!strcmp(arg, "*") || !strcmp(peri_entity_type_singular(arg), type)))
            return use(grants, i);
    }
    return !strcmp(access, "read") && !strcmp(type, "contact") && peri_grants_uses(grants, "contacts:read");
}

static bool event_granted(const struct peri_grants *grants, const char *prefix, const char *event_type)
{
    for (size_t i = 0; i < grants->count; i++)
        if (peri_str_starts(grants->items[i], prefix) && peri_glob_match(grants->items[i] + strlen(prefix), event_type))
            return use(grants, i);
    return false;
}

bool peri_grants_publish(const struct peri_grants *grants, const char *event_type)
{
    return event_granted(grants, "event:publish:", event_type);
}

bool peri_grants_subscribe(const struct peri_grants *grants, const char *event_type)
{
    return event_granted(grants, "event:subscribe:", event_type);
}

bool peri_grants_subscribe_glob(const struct peri_grants *grants, const char *glob)
{
    static const char prefix[] = "event:subscribe:";
    for (size_t i = 0; i < grants->count; i++)
        if (peri_str_starts(grants->items[i], prefix) && !strcmp(grants->items[i] + strlen(prefix), glob))
            return use(grants, i);
    return event_granted(grants, prefix, glob); /* the stars of glob are characters like others */
}

bool peri_grants_channel(const struct peri_grants *grants, const char *channel_type)
{
    for (size_t i = 0; i < grants->count; i++) {
        const char *arg = grants->items[i] + strlen("channels:send:");
        if (peri_str_starts(grants->items[i], "channels:send:") && (!strcmp(arg, "*") || !strcmp(arg, channel_type)))
            return use(grants, i);
    }
    return false;
}

const char *peri_grants_path(const struct peri_grants *grants, const char *path)
{
    static const char prefix[] = "filesystem:read:";
    for (size_t i = 0; i < grants->count; i++) {
        const char *granted = grants->items[i] + strlen(prefix);
        if (!peri_str_starts(grants->items[i], prefix))
            continue;
        size_t n = strlen(granted);
        while (n > 1 && granted[n - 1] == '/')
            n--;
        if (!strncmp(path, granted, n) && (path[n] == '/' || path[n] == '\0' || granted[n - 1] == '/') &&
            use(grants, i))
            return granted;
    }
    return NULL;
}

static bool host_matches(const struct host *grant, const char *host)
{
    if (!peri_str_starts(grant->name, "*."))
        return !strcmp(grant->name, host);
    const char *dot = strchr(host, '.');
    return dot && dot != host && !strcmp(dot, grant->name + 1);
}

bool peri_grants_host(const struct peri_grants *grants, const char *host, int port, bool *ret_named)
{
    bool granted = false, named = false;
    char lower[256];
    size_t n = strlen(host);
    if (n == 0 || n >= sizeof(lower))
        return false;
    for (size_t i = 0; i <= n; i++)
        lower[i] = (char)tolower((unsigned char)host[i]);
    if (n > 1 && lower[n - 1] == '.')
        lower[n - 1] = '\0';
    for (size_t i = 0; i < grants->host_count; i++) {
        const struct host *grant = &grants->hosts[i];
        if ((grant->port && grant->port != port) || !host_matches(grant, lower))
            continue;
        granted = true;
        if (grant->item != SIZE_MAX)
            use(grants, grant->item);
        named = named || (grant->named && grant->name[0] != '*');
    }
    if (ret_named)
        *ret_named = named;
    return granted;
}

struct peri_value *peri_grants_value(const struct peri_grants *grants)
{
    struct peri_value *list = peri_value_list();
    enum peri_status st = list ? PERI_OK : PERI_ENOMEM;
    for (size_t i = 0; grants && !st && i < grants->count; i++)
        st = peri_list_push(list, peri_value_str(grants->items[i]));
    if (st) {
        peri_value_unref(list);
        return NULL;
    }
    return list;
}

bool peri_grants_equal(const struct peri_grants *a, const struct peri_grants *b)
{
    if (!a || !b)
        return a == b;
    if (a->count != b->count || a->host_count != b->host_count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->items[i], b->items[i]))
            return false;
    for (size_t i = 0; i < a->host_count; i++)
        if (strcmp(a->hosts[i].name, b->hosts[i].name) || a->hosts[i].port != b->hosts[i].port ||
            a->hosts[i].named != b->hosts[i].named)
            return false;
    return true;
}
