/* SPDX-License-Identifier: Apache-2.0 */
/* `perigee plugins approve` and `revoke`: the changes to the operator's policy file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "base/timefmt.h"
#include "data/json.h"
#include "data/yaml.h"
#include "plugin/policy.h"

#define POLICY_MAX ((size_t)1 << 20)

/* --- writing YAML: strings in double quotes (JSON strings are YAML), two levels of mapping (numbers of limits in a
 * third), lists in block form --- */

static void write_text(struct peri_buf *out, const char *text)
{
    peri_json_write_string(out, text, strlen(text));
}

static void write_member(struct peri_buf *out, const char *key, const struct peri_value *v)
{
    peri_buf_printf(out, "    %s:", key);
    if (peri_value_is(v, PERI_LIST)) {
        if (!peri_value_count(v))
            peri_buf_puts(out, " []");
        peri_buf_putc(out, '\n');
        for (size_t i = 0; i < peri_value_count(v); i++) {
            peri_buf_puts(out, "      - ");
            write_text(out, peri_value_text(peri_list_at(v, i)) ? peri_value_text(peri_list_at(v, i)) : "");
            peri_buf_putc(out, '\n');
        }
        return;
    }
    peri_buf_putc(out, ' ');
    if (peri_value_is(v, PERI_MAP)) { /* limits */
        const char *sep = "{";
        for (void *it = peri_map_first(v); it; it = peri_map_next(v, it), sep = ", ")
            peri_buf_printf(out, "%s%s: %s", sep, peri_map_key(it, NULL), peri_value_text(peri_map_item(it)));
        peri_buf_puts(out, *sep == '{' ? "{}" : "}");
    } else if (peri_value_is(v, PERI_BOOL))
        peri_buf_puts(out, peri_value_as_bool(v) ? "true" : "false");
    else
        write_text(out, peri_value_text(v) ? peri_value_text(v) : "");
    peri_buf_putc(out, '\n');
}

static void write_policy(struct peri_buf *out, const struct peri_value *plugins)
{
    peri_buf_puts(out, "# What each plugin may do. Written by `perigee plugins approve` and `revoke`.\nplugins:");
    peri_buf_puts(out, peri_value_count(plugins) ? "\n" : " {}\n");
    for (void *it = peri_map_first(plugins); it; it = peri_map_next(plugins, it)) {
        const struct peri_value *entry = peri_map_item(it);
        peri_buf_printf(out, "  %s:", peri_map_key(it, NULL));
        peri_buf_puts(out, peri_value_count(entry) ? "\n" : " {}\n");
        for (void *m = peri_map_first(entry); m; m = peri_map_next(entry, m))
            write_member(out, peri_map_key(m, NULL), peri_map_item(m));
    }
}

static enum peri_status write_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return PERI_EIO;
        data += n;
        len -= (size_t)n;
    }
    return fsync(fd) ? PERI_EIO : PERI_OK;
}

/* Missing folders above the file are made, private to their owner. */
static void make_parents(const char *path)
{
    char *copy = peri_strdup(path);
    for (char *p = copy ? strchr(copy + 1, '/') : NULL; p; p = strchr(p + 1, '/')) {
        *p = '\0';
        (void)!mkdir(copy, 0700);
        *p = '/';
    }
    free(copy);
}

static enum peri_status replace_file(const char *path, const struct peri_buf *text, struct peri_error *err)
{
    char *temp = peri_asprintf("%s.new", path);
    struct stat info;
    mode_t mode = stat(path, &info) ? 0600 : info.st_mode & 0777;
    if (!temp || text->failed) {
        free(temp);
        return peri_error_nomem(err);
    }
    make_parents(path);
    unlink(temp);
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    enum peri_status st = fd < 0 ? PERI_EIO : write_all(fd, peri_buf_text(text), text->len);
    int why = errno;
    if (fd >= 0 && close(fd) && !st) {
        st = PERI_EIO;
        why = errno;
    }
    if (!st && rename(temp, path)) {
        st = PERI_EIO;
        why = errno;
    }
    if (st) {
        unlink(temp);
        peri_error_set(err, st, NULL, "%s: %s", path, strerror(why));
    }
    free(temp);
    return st;
}

/* --- the entries --- */

static enum peri_status load(const char *path, struct peri_value **ret_plugins, struct peri_error *err)
{
    struct peri_diag diag;
    struct peri_policy *policy = NULL;
    peri_diag_init(&diag);
    enum peri_status st = peri_policy_load(path, &policy, &diag);
    if (st && diag.count)
        peri_error_set(err, st, NULL, "%s:%d:%d: %s", diag.items[0].file, diag.items[0].line, diag.items[0].column,
            diag.items[0].message);
    else if (st)
        peri_error_nomem(err);
    peri_diag_finish(&diag);
    if (st)
        return st;
    *ret_plugins = peri_value_copy(peri_policy_entries(policy));
    peri_policy_destroy(policy);
    return *ret_plugins ? PERI_OK : peri_error_nomem(err);
}

static struct peri_value *texts(char *const *items, size_t count)
{
    struct peri_value *list = peri_value_list();
    for (size_t i = 0; list && i < count; i++)
        if (peri_list_push(list, peri_value_str(items[i]))) {
            peri_value_unref(list);
            return NULL;
        }
    return list;
}

static bool has_text(const struct peri_value *list, const char *text)
{
    for (size_t i = 0; i < peri_value_count(list); i++)
        if (peri_streq(peri_value_text(peri_list_at(list, i)), text))
            return true;
    return false;
}

static enum peri_status put_hosts(struct peri_value *entry, const struct peri_value *old, const char *const *more)
{
    const struct peri_value *before = peri_map_at(old, "hosts");
    struct peri_value *hosts = before ? peri_value_copy(before) : peri_value_list();
    enum peri_status st = hosts ? PERI_OK : PERI_ENOMEM;
    for (; !st && more && *more; more++)
        if (!has_text(hosts, *more))
            st = peri_list_push(hosts, peri_value_str(*more));
    if (st || !peri_value_count(hosts)) {
        peri_value_unref(hosts);
        return st;
    }
    return peri_map_put(entry, "hosts", hosts);
}

static enum peri_status save(const char *path, const struct peri_value *plugins, struct peri_error *err)
{
    struct peri_buf out;
    peri_buf_init(&out, POLICY_MAX);
    write_policy(&out, plugins);
    enum peri_status st = replace_file(path, &out, err);
    peri_buf_finish(&out);
    return st;
}

enum peri_status peri_policy_approve(const char *path, const struct peri_approval *a, struct peri_error *err)
{
    struct peri_value *plugins = NULL, *entry = NULL;
    enum peri_status st = load(path, &plugins, err);
    if (st)
        return st;
    const struct peri_manifest *m = a->manifest;
    entry = peri_value_map();
    st = entry ? PERI_OK : PERI_ENOMEM;
    if (!st)
        st = peri_map_put_text(entry, "version", m->version);
    if (!st)
        st = peri_map_put_text(entry, "sha256", a->hash);
    if (!st)
        st = peri_map_put(entry, "permissions", texts(m->permissions, m->permission_count));
    if (!st)
        st = put_hosts(entry, peri_map_at(plugins, m->id), a->hosts);
    const struct peri_value *caps = peri_map_at(peri_map_at(plugins, m->id), "limits");
    if (!st && caps)
        st = peri_map_put_ref(entry, "limits", (struct peri_value *)(uintptr_t)caps);
    const char *isolation = a->isolation ? a->isolation : peri_map_text(peri_map_at(plugins, m->id), "isolation");
    if (!st && isolation)
        st = peri_map_put_text(entry, "isolation", isolation);
    if (!st)
        st = peri_map_put_time(entry, "approved", a->now_ms);
    if (!st)
        st = peri_map_put_text(entry, "by", a->by);
    if (!st) {
        st = peri_map_put(plugins, m->id, entry);
        entry = NULL;
    }
    if (st)
        peri_error_nomem(err);
    else
        st = save(path, plugins, err);
    peri_value_unref(entry);
    peri_value_unref(plugins);
    return st;
}

enum peri_status peri_policy_revoke(const char *path, const char *plugin_id, struct peri_error *err)
{
    struct peri_value *plugins = NULL;
    enum peri_status st = load(path, &plugins, err);
    if (st)
        return st;
    if (peri_map_at(plugins, plugin_id)) {
        peri_map_drop(plugins, plugin_id);
        st = save(path, plugins, err);
    } else {
        st = peri_error_set(err, PERI_ENOTFOUND, NULL, "%s has no entry for %s", path, plugin_id);
    }
    peri_value_unref(plugins);
    return st;
}

/* Whose name it acts in. */
static enum peri_status warn_of_accounts(struct peri_value *out, const struct peri_manifest *m)
{
    struct peri_buf text;
    enum peri_status st = PERI_OK;
    peri_buf_init(&text, 8192);
    for (size_t i = 0; i < m->permission_count; i++)
        if (peri_str_starts(m->permissions[i], "accounts:"))
            (void)peri_buf_printf(&text, "%s%s", text.len ? ", " : "it acts for you with your account at ",
                m->permissions[i] + strlen("accounts:"));
    if (text.len)
        st = peri_list_push(out, peri_value_strn(text.data, text.len));
    peri_buf_finish(&text);
    return st;
}

/* Pairs that let data leave, or strangers in: worth a second look before saying yes. */
static enum peri_status add_warnings(struct peri_value *out, const struct peri_manifest *m)
{
    bool reads = false, net = false, any_data = false, calls = false, inbound = false, sees = false;
    for (size_t i = 0; i < m->permission_count; i++) {
        const char *p = m->permissions[i];
        reads = reads || peri_str_starts(p, "data:read:") || peri_str_starts(p, "filesystem:read:") ||
                !strcmp(p, "contacts:read");
        net = net || peri_str_starts(p, "network:outbound:");
        any_data = any_data || !strcmp(p, "data:read:*") || !strcmp(p, "data:write:*");
        calls = calls || !strcmp(p, "operators:call");
        sees = sees || !strcmp(p, "actions:intercept");
        inbound = inbound || !strcmp(p, "network:inbound");
    }
    enum peri_status st = PERI_OK;
    if (m->native)
        st = peri_list_push(out,
            peri_value_str("it is a shared object: it runs outside the sandbox and can do whatever the service can"));
    if (!st && reads && net)
        st = peri_list_push(out, peri_value_str("it reads data and reaches the network: it could send that data away"));
    if (!st)
        st = warn_of_accounts(out, m);
    if (!st && any_data)
        st = peri_list_push(out, peri_value_str("it reaches every type of data"));
    if (!st && calls)
        st = peri_list_push(out, peri_value_str("it may call any operator, with that operator's permissions"));
    if (!st && sees)
        st = peri_list_push(out, peri_value_str(net ? "it sees the parameters and results of every action, can forbid "
                                                      "each of them, and reaches the network"
                                                    : "it sees the parameters and results of every action, and can "
                                                      "forbid each of them"));
    if (!st && inbound)
        st = peri_list_push(
            out, peri_value_str("it answers requests from outside: check that it verifies their signatures"));
    return st;
}

enum peri_status peri_policy_preview(
    const struct peri_policy *policy, const struct peri_manifest *m, const char *hash, struct peri_value **ret)
{
    const struct peri_value *entry = policy ? peri_map_at(peri_policy_entries(policy), m->id) : NULL,
                            *old = peri_map_at(entry, "permissions");
    struct peri_value *out = peri_value_map(), *added = peri_value_list(), *removed = peri_value_list(),
                      *warnings = peri_value_list();
    struct peri_value *now = texts(m->permissions, m->permission_count);
    enum peri_status st = out && added && removed && warnings && now ? PERI_OK : PERI_ENOMEM;
    for (size_t i = 0; !st && i < m->permission_count; i++)
        if (!has_text(old, m->permissions[i]))
            st = peri_list_push(added, peri_value_str(m->permissions[i]));
    for (size_t i = 0; !st && i < peri_value_count(old); i++)
        if (!has_text(now, peri_value_text(peri_list_at(old, i))))
            st = peri_list_push(removed, peri_value_ref(peri_list_at(old, i)));
    if (!st)
        st = add_warnings(warnings, m);
    if (!st)
        st = peri_map_put_text(out, "id", m->id);
    if (!st)
        st = peri_map_put_text(out, "version", m->version);
    if (!st)
        st = peri_map_put_text(out, "sha256", hash);
    if (!st)
        st = peri_map_put_bool(out, "known", entry != NULL);
    if (!st)
        st = peri_map_put_ref(out, "permissions", now);
    if (!st)
        st = peri_map_put_ref(out, "added", added);
    if (!st)
        st = peri_map_put_ref(out, "removed", removed);
    if (!st)
        st = peri_map_put_ref(out, "warnings", warnings);
    peri_value_unref(now);
    peri_value_unref(added);
    peri_value_unref(removed);
    peri_value_unref(warnings);
    if (st)
        peri_value_unref(out);
    else
        *ret = out;
    return st;
}
