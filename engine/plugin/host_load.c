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

#define INIT_LOSSES_MAX 5 /* processes in a row that do not live through init */

/* --- endings --- */

static void load_next(struct peri_host *host);
static void stop_old(struct peri_plugin *old, const char *reason);
static void listens(struct peri_plugin *p, const struct peri_error *err);

/* Once: a later load finds it in service already. */
static void tell_ready(struct peri_plugin *p)
{
    if (p->told_ready)
        return;
    p->told_ready = true;
    if (p->has_ready)
        (void)!peri_plugin_hook(p, "ready", false, NULL);
    if (p->has_listen && !p->native)
        (void)!peri_plugin_hook(p, "listen", false, listens);
}

static void run_ready(struct peri_host *host)
{
    for (size_t i = 0; i < host->plugin_count; i++) {
        struct peri_plugin *p = host->plugins[i];
        if (p->state == PERI_PLUGIN_ACTIVE)
            tell_ready(p);
    }
}

static void one_ended(struct peri_host *host)
{
    if (!host->loading)
        return;
    if (--host->load_pending) {
        load_next(host);
        return;
    }
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
    peri_subs_unbind(p);
    peri_host_operators_changed(p->host);
}

/* Loading p has ended, one way or the other. drop: nobody needs it any more. */
static void load_over(struct peri_plugin *p, bool drop)
{
    struct peri_host *host = p->host;
    void (*done)(void *arg) = p->reload_done;
    void *arg = p->reload_arg;
    bool in_load = p->in_load;
    p->reload_done = NULL;
    p->in_load = false;
    if (drop)
        drop_plugin(p);
    if (done && !host->closing)
        done(arg);
    if (in_load)
        one_ended(host);
}

/* A new version that came to nothing: the old one keeps running, the fault is shown. One that did not run anyway gives
 * its place. True: p is to be dropped. */
static bool give_way(struct peri_plugin *p)
{
    struct peri_plugin *old = p->candidate ? peri_host_plugin(p->host, p->id) : NULL;
    if (!old)
        return false;
    if (old->state == PERI_PLUGIN_ACTIVE || p->state == PERI_PLUGIN_FAILED) {
        old->error = p->error;
        return true;
    }
    p->candidate = false;
    drop_plugin(old);
    return false;
}

static void load_failed(struct peri_plugin *p)
{
    struct peri_host *host = p->host;
    peri_plugin_to(p, PERI_PLUGIN_FAILED);
    if (!host->closing)
        peri_err(host->options.log, p->area, "not loaded: %s [%s]", p->error.message, p->error.code);
    peri_host_audit(p, "plugin.failed");
    peri_plugin_release(p, true);
    peri_plugin_retire(p);
    if (!p->candidate) {
        add_finding(host, p, PERI_SEV_ERROR, &p->error);
        give_up_claims(p);
    }
    load_over(p, give_way(p));
}

static void tell_blocked(struct peri_host *host, struct peri_plugin *p)
{
    add_finding(host, p, PERI_SEV_WARNING, &p->error);
    peri_warn(host->options.log, p->area, "blocked: %s [%s]", p->error.message, p->error.code);
    peri_host_audit(p, "plugin.refused");
}

/* By its relationships. */
static void blocked(struct peri_host *host, struct peri_plugin *p)
{
    tell_blocked(host, p);
    load_over(p, give_way(p));
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

/* What it was allowed to do counts no longer, also for what it has begun. */
static void cut_off(struct peri_plugin *p)
{
    struct peri_error err = {0};
    peri_error_set(&err, PERI_EDENIED, "plugin.revoked", "the approval of plugin %s was withdrawn", p->id);
    peri_jobs_cut(p, &err);
}

static void stop_old(struct peri_plugin *old, const char *reason)
{
    bool active = old->state == PERI_PLUGIN_ACTIVE, revoked = !strcmp(reason, "revoked");
    if (active) {
        peri_audit_unloaded(old, reason);
    }
    peri_usage_merge(old);
    if (strcmp(reason, "replaced") != 0)
        peri_care_gone(old);
    give_up_claims(old);
    old->state = PERI_PLUGIN_DISABLED; /* calls under way finish on it, unless ... */
    peri_life_accounts(old->host);
    if (active && !strcmp(reason, "disabled"))
        peri_life_step(old, "disabled");
    if (active && revoked && old->has_listen && old->native)
        (void)!peri_plugin_hook(old, "unlisten", false, NULL);
    if (active && revoked)
        cut_off(old);
    else if (active && old->has_stop)
        (void)!peri_plugin_hook(old, "stop", false, NULL);
    peri_plugin_retire(old);
    if (active)
        peri_life_leaves(old);
}

/* A new version may be one that others can not work with: they are as they would be after a restart. */
static void recheck_neighbours(const struct peri_plugin *p)
{
    struct peri_host *host = p->host;
    for (size_t i = 0; i < host->plugin_count; i++) {
        struct peri_plugin *other = host->plugins[i];
        struct peri_error err = {0};
        if (other == p || other->state != PERI_PLUGIN_ACTIVE || other->candidate ||
            !peri_plugin_relations(host, other, &err) || !strstr(err.message, p->id))
            continue;
        stop_old(other, "blocked");
        peri_plugin_to(other, PERI_PLUGIN_BLOCKED);
        other->error = err;
        tell_blocked(host, other);
    }
}

/* A connector that hears nothing is not in service, though its operators would be. */
static void listens(struct peri_plugin *p, const struct peri_error *err)
{
    struct peri_host *host = p->host;
    if (!err || p->state != PERI_PLUGIN_ACTIVE || host->closing)
        return;
    p->error = *err;
    peri_error_prefix(&p->error, "%s failed", p->native ? "listen" : "register_realtime_listener");
    peri_err(host->options.log, p->area, "%s [%s]", p->error.message, p->error.code);
    peri_plugin_to(p, PERI_PLUGIN_FAILED);
    give_up_claims(p);
    peri_host_audit(p, "plugin.failed");
    peri_care_failed(p);
}

static void activate(struct peri_plugin *p)
{
    struct peri_host *host = p->host;
    struct peri_plugin *old = p->candidate ? peri_host_plugin(host, p->id) : NULL;
    bool candidate = p->candidate;
    if (old)
        stop_old(old, "replaced");
    p->candidate = false;
    peri_plugin_to(p, PERI_PLUGIN_ACTIVE);
    if (!claim(p, false)) {
        if (old)
            drop_plugin(old);
        load_failed(p);
        return;
    }
    if (old)
        drop_plugin(old);
    peri_host_operators_changed(host);
    peri_subs_bind(p);
    peri_plans_arm(host);
    peri_host_audit(p, "plugin.loaded");
    peri_info(host->options.log, p->area, "%s %s is active", p->manifest->name, p->manifest->version);
    peri_care_active(p);
    recheck_neighbours(p);
    if (p->has_listen && p->native)
        (void)!peri_plugin_hook(p, "listen", false, listens);
    if (candidate)
        tell_ready(p);
    if (candidate && p->enabling && p->has_enable)
        (void)!peri_plugin_hook(p, "on_enable", false, NULL);
    load_over(p, false);
}

static void init_done(struct peri_plugin *p, const struct peri_error *err)
{
    if (!err) {
        activate(p);
        return;
    }
    p->error = *err;
    peri_error_prefix(&p->error, "init failed");
    peri_care_failed(p);
    load_failed(p);
}

void peri_plugin_loaded(struct peri_plugin *p)
{
    struct peri_host *host = p->host;
    if (host->closing)
        return;
    if (p->in_load)
        host->load_busy = false;
    if (p->error.status || !claim(p, p->candidate)) {
        load_failed(p);
    } else {
        peri_plugin_to(p, PERI_PLUGIN_READY);
        if (!p->has_init)
            activate(p);
        else if (peri_plugin_hook(p, "init", true, init_done)) {
            peri_error_nomem(&p->error);
            load_failed(p);
        }
    }
    load_next(host);
}

/* After a reset: init again before anything else. */
static void init_again(struct peri_plugin *p, const struct peri_error *err)
{
    bool lost = err && !strcmp(err->code, "plugin.crashed");
    p->init_losses = lost ? p->init_losses + 1 : 0;
    if (lost && p->init_losses < INIT_LOSSES_MAX)
        return; /* its process was lost in between: another is being built, and init runs once more */
    if (err && p->state == PERI_PLUGIN_ACTIVE) {
        p->error = *err;
        peri_plugin_to(p, PERI_PLUGIN_FAILED);
        give_up_claims(p);
        peri_err(p->host->options.log, p->area, "init failed after a reset: %s", err->message);
        peri_host_audit(p, "plugin.failed");
        peri_care_failed(p);
    }
    peri_plugin_release(p, err != NULL);
    if (err)
        peri_plugin_retire(p);
    else if (p->has_listen && !p->native && p->told_ready && p->state == PERI_PLUGIN_ACTIVE)
        (void)!peri_plugin_hook(p, "listen", false, listens);
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
    peri_plugin_to(p, PERI_PLUGIN_LOADING);
    p->sent = true;
    p->load_item = (struct peri_item){.kind = PERI_ITEM_LOAD, .plugin = p};
    (void)!peri_item_send(p->host, p, &p->load_item, true);
}

static void load_next(struct peri_host *host)
{
    struct peri_plugin *p = host->loading && !host->load_busy ? peri_host_next(host, blocked) : NULL;
    if (!p || host->load_busy) /* one that was blocked on the way has let the next one go */
        return;
    host->load_busy = true;
    send_load(p);
}

/* --- discovery --- */

/* Memory was out. Whether packages are gone is not known either. */
static void not_read(struct peri_host *host, const char *path)
{
    host->scan_lost = true;
    peri_err(host->options.log, "plugins", "%s could not be read: out of memory", path);
    if (host->load_diag)
        peri_diag_add(host->load_diag, (struct peri_place){path, 0, 0}, PERI_SEV_ERROR, "unreadable", NULL,
            "could not be read: out of memory");
}

/* take p */
static bool add_plugin(struct peri_host *host, struct peri_plugin *p)
{
    if (!peri_vec_grow(&host->plugins, &host->plugin_cap, host->plugin_count + 1, sizeof(*host->plugins))) {
        not_read(host, p->path);
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

/* Would the policy, as it is now, still let the version in service run? Not after a revocation. */
static bool still_allowed(const struct peri_plugin *old)
{
    struct peri_host *host = old->host;
    struct peri_grants *grants = NULL;
    if (!old->manifest || !old->package)
        return false;
    struct peri_policy_question q = {.manifest = old->manifest,
        .hash = peri_package_hash(old->package),
        .bundled = old->bundled,
        .approve_all = host->options.approve_all};
    bool ok = !peri_policy_decide(host->policy, host->shipped, &q, &grants, NULL);
    peri_grants_destroy(grants);
    return ok;
}

/* p, freshly read, came to nothing. The last good version stays, or p takes its place to show why nothing runs. take */
static enum peri_status settle(struct peri_plugin *old, struct peri_plugin *p, struct peri_error *err)
{
    struct peri_host *host = old->host;
    bool active = old->state == PERI_PLUGIN_ACTIVE;
    if (p->state == PERI_PLUGIN_FAILED ||
        (p->state == PERI_PLUGIN_BLOCKED && active && (p->error.status == PERI_ESTATE || still_allowed(old)))) {
        old->error = p->error;
        if (err)
            *err = p->error;
        enum peri_status st = p->error.status ? p->error.status : PERI_EINVAL;
        peri_warn(
            host->options.log, p->area, "the new version is not loaded: %s [%s]", p->error.message, p->error.code);
        peri_plugin_unref(p);
        return st;
    }
    if (p->state == PERI_PLUGIN_BLOCKED)
        tell_blocked(host, p);
    bool revoked = p->state == PERI_PLUGIN_BLOCKED && p->error.status == PERI_EDENIED;
    stop_old(old, revoked ? "revoked" : p->state == PERI_PLUGIN_BLOCKED ? "blocked" : "disabled");
    if (add_plugin(host, p))
        drop_plugin(old);
    return PERI_OK;
}

/* Same files, settings and grants: nothing to do. */
static bool unchanged(const struct peri_plugin *old, const struct peri_plugin *p)
{
    if (memcmp(&old->limits, &p->limits, sizeof(p->limits)) != 0 || old->isolated != p->isolated)
        return false;
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
    peri_life_found(p);
    if (p->state != PERI_PLUGIN_LOADING) {
        (void)!settle(old, p, NULL);
        return;
    }
    p->candidate = true; /* its turn comes in the order of all that are loaded */
    add_plugin(host, p);
}

static void found(struct peri_host *host, const char *dir, bool bundled)
{
    struct peri_plugin *p = peri_plugin_prepare(host, dir, bundled, false);
    if (!p) {
        not_read(host, dir);
        return;
    }
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
    peri_life_found(p);
    if (p->state == PERI_PLUGIN_BLOCKED) {
        tell_blocked(host, p);
    } else if (p->state == PERI_PLUGIN_FAILED) {
        peri_err(host->options.log, p->area, "not loaded: %s [%s]", p->error.message, p->error.code);
    }
    p->seen = true;
    add_plugin(host, p);
}

/* When memory is out it is one: reading it fails then, and says so. */
static bool is_package(const char *dir)
{
    char *path = peri_asprintf("%s/plugin.json", dir);
    bool there = !path || access(path, F_OK) == 0;
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
        if (!dir)
            not_read(host, folder);
        else if (is_package(dir))
            found(host, dir, bundled);
        free(dir);
        free(names[i]);
    }
    free(names);
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
        stop_old(p, "gone");
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
    host->scan_lost = false;
    for (size_t i = 0; i < host->plugin_count; i++)
        host->plugins[i]->seen = false;
    for (const char *const *kind = kinds; host->bundled_path && !host->options.leave_bundled && *kind; kind++) {
        char *folder = peri_asprintf("%s/%s", host->bundled_path, *kind);
        if (folder)
            scan(host, folder, true);
        else
            not_read(host, host->bundled_path);
        free(folder);
    }
    for (char **folder = host->plugin_path; *folder; folder++)
        scan(host, *folder, false);
    if (!host->scan_lost)
        drop_vanished(host);
    host->load_busy = false;
    peri_host_order(host, blocked);
    for (size_t i = 0; i < host->plugin_count; i++) {
        struct peri_plugin *p = host->plugins[i];
        p->in_load = p->state == PERI_PLUGIN_LOADING && !p->sent;
        host->load_pending += p->in_load;
    }
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
    peri_life_found(p);
    if (p->state == PERI_PLUGIN_LOADING && peri_plugin_relations(host, p, &p->error))
        peri_plugin_to(p, PERI_PLUGIN_BLOCKED);
    if (p->state != PERI_PLUGIN_LOADING) {
        enum peri_status st = settle(old, p, err);
        return st || !done ? st : peri_loop_post(host->options.loop, done, arg);
    }
    p->candidate = true;
    p->reload_done = done;
    p->reload_arg = arg;
    if (!add_plugin(host, p))
        return peri_error_nomem(err);
    send_load(p);
    return PERI_OK;
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
    stop_old(p, "disabled");
    return PERI_OK;
}
