/* SPDX-License-Identifier: Apache-2.0 */
/* From a folder to an active plugin: found, checked, granted (host_check.c), loaded on a worker, its operators claimed,
 * its init run. A reload builds the new version beside the old one and swaps them only when that has ended well. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "base/vec.h"
#include "plugin/grants.h"
#include "plugin/host_check.h"

/* --- endings --- */

static void load_next(struct peri_host *host);

static void run_ready(struct peri_host *host)
{
    for (size_t i = 0; i < host->plugin_count; i++) {
        struct peri_plugin *p = host->plugins[i];
        if (p->state == PERI_PLUGIN_ACTIVE && p->has_ready)
            (void)!peri_plugin_hook(p, "ready", false, NULL);
    }
}

static void one_ended(struct peri_host *host)
{
    if (!host->loading || --host->load_pending)
        return;
    host->loading = false;
    host->load_diag = NULL;
    if (!host->closing)
        run_ready(host);
    if (host->load_done)
        host->load_done(host->load_arg);
    if (host->change_seen) /* while this load was under way */
        peri_host_rescan(host);
}

/* "init.lua:12: text" is a place in the package. */
static void add_finding(
    struct peri_host *host, const struct peri_plugin *p, enum peri_severity severity, const struct peri_error *err)
{
    char file[256];
    int line = 0, used = 0;
    const char *text = err->message;
    if (!host->load_diag)
        return;
    bool placed = sscanf(text, "%255[^: ]:%d:%n", file, &line, &used) == 2 && used > 0 && peri_str_ends(file, ".lua");
    char *whole = peri_asprintf("%s/%s", p->path, placed ? file : "plugin.json");
    if (placed)
        for (text += used; *text == ' '; text++)
            ;
    peri_diag_add(host->load_diag, (struct peri_place){whole ? whole : p->path, placed ? line : 0, placed ? 1 : 0},
        severity, err->code, NULL, "%s", text);
    free(whole);
}

static void drop_slot(struct peri_host *host, size_t i)
{
    struct peri_plugin *p = host->plugins[i];
    memmove(&host->plugins[i], &host->plugins[i + 1], (host->plugin_count - i - 1) * sizeof(*host->plugins));
    host->plugin_count--;
    peri_plugin_unref(p);
}

static void drop_plugin(struct peri_plugin *p)
{
    for (size_t i = 0; i < p->host->plugin_count; i++)
        if (p->host->plugins[i] == p) {
            drop_slot(p->host, i);
            return;
        }
}

static void give_up_claims(struct peri_plugin *p)
{
    for (size_t i = 0; i < p->op_count; i++)
        if (peri_map_get(p->host->operators, p->ops[i].id) == &p->ops[i])
            peri_map_remove(p->host->operators, p->ops[i].id);
    peri_host_operators_changed(p->host);
}

static void reload_over(struct peri_plugin *p)
{
    void (*done)(void *arg) = p->reload_done;
    void *arg = p->reload_arg;
    p->reload_done = NULL;
    if (done && !p->host->closing)
        done(arg);
}

static void load_failed(struct peri_plugin *p)
{
    struct peri_host *host = p->host;
    p->state = PERI_PLUGIN_FAILED;
    if (!host->closing)
        peri_err(host->options.log, p->area, "not loaded: %s [%s]", p->error.message, p->error.code);
    peri_plugin_release(p, true);
    if (!p->candidate) {
        add_finding(host, p, PERI_SEV_ERROR, &p->error);
        give_up_claims(p);
        one_ended(host);
        return;
    }
    struct peri_plugin *old = peri_host_plugin(host, p->id);
    if (old)
        old->error = p->error; /* the old version keeps running, the fault is shown */
    reload_over(p);
    drop_plugin(p);
}

/* --- operators --- */

static bool claim(struct peri_plugin *p, bool test)
{
    struct peri_host *host = p->host;
    for (size_t i = 0; i < p->op_count; i++) {
        const struct peri_op_def *other = peri_map_get(host->operators, p->ops[i].id);
        if (other && other->owner != p && strcmp(other->owner->id, p->id)) {
            peri_error_set(&p->error, PERI_EEXIST, "plugin.operator",
                "operator \"%s\" is defined by %s and by %s: ids must be unique", p->ops[i].id, other->owner->id,
                p->id);
            return false;
        }
        if (!test && !peri_map_set(host->operators, p->ops[i].id, &p->ops[i], NULL)) {
            peri_error_nomem(&p->error);
            return false;
        }
    }
    return true;
}

/* --- swapping --- */

static void stop_old(struct peri_plugin *old)
{
    bool active = old->state == PERI_PLUGIN_ACTIVE;
    give_up_claims(old);
    old->state = PERI_PLUGIN_DISABLED; /* calls under way finish on it */
    if (active && old->has_stop)
        (void)!peri_plugin_hook(old, "stop", false, NULL);
}

static void activate(struct peri_plugin *p)
{
    struct peri_host *host = p->host;
    struct peri_plugin *old = p->candidate ? peri_host_plugin(host, p->id) : NULL;
    bool candidate = p->candidate;
    if (old)
        stop_old(old);
    p->candidate = false;
    p->state = PERI_PLUGIN_ACTIVE;
    if (!claim(p, false)) {
        if (old)
            drop_plugin(old);
        load_failed(p);
        return;
    }
    if (old)
        drop_plugin(old);
    peri_host_operators_changed(host);
    peri_info(host->options.log, p->area, "%s %s is active", p->manifest->name, p->manifest->version);
    if (!candidate) {
        one_ended(host);
        return;
    }
    if (p->has_ready)
        (void)!peri_plugin_hook(p, "ready", false, NULL);
    if (p->enabling && p->has_enable)
        (void)!peri_plugin_hook(p, "on_enable", false, NULL);
    reload_over(p);
}

static void init_done(struct peri_plugin *p, const struct peri_error *err)
{
    if (!err) {
        activate(p);
        return;
    }
    p->error = *err;
    peri_error_prefix(&p->error, "init failed");
    load_failed(p);
}

void peri_plugin_loaded(struct peri_plugin *p)
{
    struct peri_host *host = p->host;
    bool candidate = p->candidate;
    if (host->closing)
        return;
    if (p->error.status || !claim(p, candidate)) {
        load_failed(p);
    } else {
        p->state = PERI_PLUGIN_READY;
        if (!p->has_init)
            activate(p);
        else if (peri_plugin_hook(p, "init", true, init_done)) {
            peri_error_nomem(&p->error);
            load_failed(p);
        }
    }
    if (!candidate)
        load_next(host);
}

/* After a reset: init again before anything else. */
static void init_again(struct peri_plugin *p, const struct peri_error *err)
{
    if (err && p->state == PERI_PLUGIN_ACTIVE) {
        p->error = *err;
        p->state = PERI_PLUGIN_FAILED;
        give_up_claims(p);
        peri_err(p->host->options.log, p->area, "init failed after a reset: %s", err->message);
    }
    peri_plugin_release(p, err != NULL);
}

void peri_plugin_was_reset(struct peri_plugin *p)
{
    p->reset_item.plugin = NULL;
    if (!p->host->closing) {
        if (p->state != PERI_PLUGIN_ACTIVE || peri_plugin_hook(p, "init", true, init_again))
            peri_plugin_release(p, true);
    }
    peri_plugin_unref(p);
}

/* --- sending to the workers --- */

static void send_load(struct peri_plugin *p)
{
    p->state = PERI_PLUGIN_LOADING;
    p->load_item = (struct peri_item){.kind = PERI_ITEM_LOAD, .plugin = p};
    (void)!peri_item_send(p->host, p, &p->load_item, true);
}

static bool is_pending(const struct peri_plugin *p)
{
    return p->state == PERI_PLUGIN_LOADING && !p->load_item.plugin && !p->candidate;
}

static void load_next(struct peri_host *host)
{
    for (size_t i = 0; i < host->plugin_count; i++)
        if (is_pending(host->plugins[i])) {
            send_load(host->plugins[i]);
            return;
        }
}

/* --- discovery --- */

static bool add_plugin(struct peri_host *host, struct peri_plugin *p)
{
    if (!peri_vec_grow(&host->plugins, &host->plugin_cap, host->plugin_count + 1, sizeof(*host->plugins))) {
        peri_plugin_unref(p);
        return false;
    }
    host->plugins[host->plugin_count++] = p;
    return true;
}

static bool being_loaded(struct peri_host *host, const char *id)
{
    for (size_t i = 0; i < host->plugin_count; i++)
        if (host->plugins[i]->candidate && !strcmp(host->plugins[i]->id, id))
            return true;
    return false;
}

/* Puts p, freshly read, in the place of old: at once when there is nothing to run, else when it has loaded. p: take. */
static enum peri_status replace(
    struct peri_plugin *old, struct peri_plugin *p, void (*done)(void *arg), void *arg, struct peri_error *err)
{
    struct peri_host *host = old->host;
    if (p->state == PERI_PLUGIN_FAILED || (p->state == PERI_PLUGIN_BLOCKED && old->state == PERI_PLUGIN_ACTIVE)) {
        old->error = p->error; /* the last good version stays */
        if (err)
            *err = p->error;
        enum peri_status st = p->error.status ? p->error.status : PERI_EINVAL;
        peri_warn(
            host->options.log, p->area, "the new version is not loaded: %s [%s]", p->error.message, p->error.code);
        peri_plugin_unref(p);
        return st;
    }
    if (p->state != PERI_PLUGIN_LOADING) { /* disabled, unconfigured, blocked */
        stop_old(old);
        if (add_plugin(host, p))
            drop_plugin(old);
        return done ? peri_loop_post(host->options.loop, done, arg) : PERI_OK;
    }
    p->candidate = true;
    p->reload_done = done;
    p->reload_arg = arg;
    if (!add_plugin(host, p))
        return peri_error_nomem(err);
    send_load(p);
    return PERI_OK;
}

static void load_ended(void *arg);

/* Same files, settings and grants: nothing to do. */
static bool unchanged(const struct peri_plugin *old, const struct peri_plugin *p)
{
    bool runs = old->state == PERI_PLUGIN_ACTIVE && p->state == PERI_PLUGIN_LOADING;
    if (!old->package || !p->package || (!runs && old->state != p->state))
        return false;
    return !strcmp(peri_package_hash(old->package), peri_package_hash(p->package)) &&
           peri_grants_equal(old->grants, p->grants) &&
           (!old->config || !p->config ? old->config == p->config : peri_value_equal(old->config, p->config));
}

/* A second load finds what is there already: perhaps a new version of it. */
static void found_again(struct peri_plugin *old, struct peri_plugin *p)
{
    struct peri_host *host = old->host;
    if (being_loaded(host, p->id) || unchanged(old, p)) {
        peri_plugin_unref(p);
        return;
    }
    host->load_pending++;
    if (replace(old, p, load_ended, host, NULL))
        host->load_pending--;
}

static void found(struct peri_host *host, const char *dir, bool bundled)
{
    struct peri_plugin *p = peri_plugin_prepare(host, dir, bundled, false);
    if (!p)
        return;
    struct peri_plugin *other = peri_host_plugin(host, p->id);
    if (other && !strcmp(other->path, p->path)) {
        other->seen = true;
        found_again(other, p);
        return;
    }
    if (other) {
        struct peri_error err = {0};
        peri_error_set(
            &err, PERI_EEXIST, "plugin.duplicate", "plugin id \"%s\" is used by %s already", p->id, other->path);
        add_finding(host, p, PERI_SEV_ERROR, &err);
        peri_err(host->options.log, p->area, "%s: %s", p->path, err.message);
        peri_plugin_unref(p);
        return;
    }
    if (p->state == PERI_PLUGIN_BLOCKED) {
        add_finding(host, p, PERI_SEV_WARNING, &p->error);
        peri_warn(host->options.log, p->area, "blocked: %s [%s]", p->error.message, p->error.code);
    } else if (p->state == PERI_PLUGIN_FAILED) {
        peri_err(host->options.log, p->area, "not loaded: %s [%s]", p->error.message, p->error.code);
    }
    p->seen = true;
    add_plugin(host, p);
}

static bool is_package(const char *dir)
{
    char *path = peri_asprintf("%s/plugin.json", dir);
    bool there = path && access(path, F_OK) == 0;
    free(path);
    return there;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* A folder of plugin folders, or one plugin folder. Sorted, so that the order is the same every time. */
static void scan(struct peri_host *host, const char *folder, bool bundled)
{
    struct dirent **names = NULL;
    if (is_package(folder)) {
        found(host, folder, bundled);
        return;
    }
    int n = scandir(folder, &names, visible, by_name);
    for (int i = 0; i < n; i++) {
        char *dir = peri_asprintf("%s/%s", folder, names[i]->d_name);
        if (dir && is_package(dir))
            found(host, dir, bundled);
        free(dir);
        free(names[i]);
    }
    free(names);
}

static void check_requirements(struct peri_host *host)
{
    for (size_t i = 0; i < host->plugin_count; i++) {
        struct peri_plugin *p = host->plugins[i];
        const struct peri_value *list =
            p->manifest ? peri_map_at(peri_map_at(p->manifest->source, "relationships"), "requires") : NULL;
        for (size_t k = 0; is_pending(p) && k < peri_value_count(list); k++) {
            const struct peri_value *item = peri_list_at(list, k);
            const char *id = peri_value_text(item) ? peri_value_text(item) : peri_map_text(item, "pluginId");
            const struct peri_plugin *other = id ? peri_host_plugin(host, id) : NULL;
            if (other && (other->state == PERI_PLUGIN_LOADING || other->state == PERI_PLUGIN_ACTIVE))
                continue;
            peri_error_set(&p->error, PERI_ESTATE, "relationship.missing", "it requires the plugin %s, which is %s",
                id ? id : "?", other ? peri_plugin_state_name(other->state) : "not there");
            p->state = PERI_PLUGIN_BLOCKED;
            add_finding(host, p, PERI_SEV_WARNING, &p->error);
            peri_warn(host->options.log, p->area, "blocked: %s [%s]", p->error.message, p->error.code);
        }
    }
}

static void load_ended(void *arg)
{
    one_ended(arg);
}

/* Packages whose folder is gone. */
static void drop_vanished(struct peri_host *host)
{
    for (size_t i = host->plugin_count; i-- > 0;) {
        struct peri_plugin *p = host->plugins[i];
        if (p->seen || p->candidate || is_package(p->path))
            continue;
        peri_info(host->options.log, p->area, "its folder is gone");
        stop_old(p);
        drop_plugin(p);
    }
}

static void watched_load_ended(void *arg)
{
    struct peri_host *host = arg;
    for (size_t i = 0; i < host->watch_diag.count; i++)
        peri_warn(host->options.log, "plugins", "%s:%d: %s", host->watch_diag.items[i].file,
            host->watch_diag.items[i].line, host->watch_diag.items[i].message);
    peri_diag_finish(&host->watch_diag);
    if (host->options.on_change && !host->closing)
        host->options.on_change(host->options.change_ctx);
}

void peri_host_rescan(struct peri_host *host)
{
    host->change_seen = host->loading;
    if (!host->loading && !host->closing)
        (void)!peri_host_load(host, &host->watch_diag, watched_load_ended, host);
}

static void changed(void *arg)
{
    peri_host_rescan(arg);
}

static void start_watching(struct peri_host *host)
{
    size_t n = 0;
    while (host->plugin_path[n])
        n++;
    if (!host->options.watch || host->watches || !n || !(host->watches = calloc(n, sizeof(*host->watches))))
        return;
    host->watch_count = n;
    for (size_t i = 0; i < n; i++)
        if (peri_loop_watch(host->options.loop, host->plugin_path[i], 500, changed, host, &host->watches[i]))
            peri_warn(
                host->options.log, "plugins", "cannot watch %s: changes are seen on SIGHUP only", host->plugin_path[i]);
}

enum peri_status peri_host_load(struct peri_host *host, struct peri_diag *diag, void (*done)(void *arg), void *arg)
{
    static const char *const kinds[] = {"operators", "connectors", "channels", NULL};
    if (host->loading)
        return PERI_ESTATE;
    host->load_diag = diag;
    host->load_done = done;
    host->load_arg = arg;
    host->load_pending = 1; /* this function's own */
    host->loading = true;
    peri_host_read_policies(host, diag);
    start_watching(host);
    for (size_t i = 0; i < host->plugin_count; i++)
        host->plugins[i]->seen = false;
    for (const char *const *kind = kinds; host->bundled_path && !host->options.leave_bundled && *kind; kind++) {
        char *folder = peri_asprintf("%s/%s", host->bundled_path, *kind);
        if (folder)
            scan(host, folder, true);
        free(folder);
    }
    for (char **folder = host->plugin_path; *folder; folder++)
        scan(host, *folder, false);
    drop_vanished(host);
    check_requirements(host);
    for (size_t i = 0; i < host->plugin_count; i++)
        host->load_pending += is_pending(host->plugins[i]);
    enum peri_status st = peri_loop_post(host->options.loop, load_ended, host);
    if (st) {
        host->loading = false;
        return st;
    }
    load_next(host);
    return PERI_OK;
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

enum peri_status peri_host_load_now(struct peri_host *host, struct peri_diag *diag)
{
    bool ended = false;
    enum peri_status st = peri_host_load(host, diag, set_flag, &ended);
    while (!st && !ended)
        peri_loop_once(host->options.loop, 100);
    return st;
}

/* --- reload, enable, disable --- */

static enum peri_status start_reload(struct peri_host *host, struct peri_plugin *old, bool enable,
    void (*done)(void *arg), void *arg, struct peri_error *err)
{
    if (being_loaded(host, old->id))
        return peri_error_set(err, PERI_EBUSY, NULL, "plugin %s is being loaded already", old->id);
    struct peri_diag diag;
    peri_diag_init(&diag);
    struct peri_diag *outer = host->load_diag;
    host->load_diag = &diag;
    peri_host_read_policies(host, &diag);
    struct peri_plugin *p = peri_plugin_prepare(host, old->path, old->bundled, enable);
    host->load_diag = outer;
    peri_diag_finish(&diag);
    if (!p)
        return peri_error_nomem(err);
    if (strcmp(p->id, old->id) && p->manifest) {
        enum peri_status st = peri_error_set(
            err, PERI_EINVAL, "plugin.id", "%s now says that it is %s, not %s", old->path, p->id, old->id);
        peri_plugin_unref(p);
        return st;
    }
    p->enabling = enable;
    return replace(old, p, done, arg, err);
}

enum peri_status peri_host_reload(
    struct peri_host *host, const char *plugin_id, void (*done)(void *arg), void *arg, struct peri_error *err)
{
    struct peri_plugin *old = peri_host_plugin(host, plugin_id);
    if (!old)
        return peri_error_set(err, PERI_ENOTFOUND, NULL, "there is no plugin %s", plugin_id);
    return start_reload(host, old, false, done, arg, err);
}

enum peri_status peri_host_set_enabled(
    struct peri_host *host, const char *plugin_id, bool enabled, struct peri_error *err)
{
    struct peri_plugin *p = peri_host_plugin(host, plugin_id);
    if (!p)
        return peri_error_set(err, PERI_ENOTFOUND, NULL, "there is no plugin %s", plugin_id);
    if (enabled && p->state == PERI_PLUGIN_ACTIVE)
        return PERI_OK;
    if (enabled)
        return start_reload(host, p, true, NULL, NULL, err);
    if (p->state == PERI_PLUGIN_ACTIVE && p->has_disable)
        (void)!peri_plugin_hook(p, "on_disable", false, NULL);
    stop_old(p);
    return PERI_OK;
}
