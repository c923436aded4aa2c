/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_POLICY_H
#define PERI_PLUGIN_POLICY_H

#include <stdbool.h>
#include <stdint.h>
#include "base/diag.h"
#include "base/error.h"
#include "data/value.h"
#include "plugin/manifest.h"

/* The operator's policy.yaml and the shipped one. What a plugin may do is what its manifest asks for and its entry here
 * grants:
 *
 *   plugins:
 *     io.example.weather:
 *       version: 1.0.0
 *       sha256: 5d41…                # of the package (package.h)
 *       permissions: [storage:read, "network:outbound:api.example.com"]
 *       hosts: [localhost:9000]      # more hosts; hosts named here may be private addresses
 *       limits: {memoryBytes: 4194304}   # caps, by the names of plugin.json; may also be more than the usual ten times
 *       isolation: process           # runs in a process of its own (lua_cell.h); or none, as without the key
 *       approved: 2026-01-02T03:04:05.000Z
 *       by: ada
 *
 * The shipped file says `bundled: true` instead of version, hash and list: such a plugin is trusted because it came
 * with the installation, and only when it lies there. An entry of the operator's file for a bundled plugin narrows
 * `permissions` (when it has the key) and adds `hosts`; it needs no hash. */
struct peri_policy;

/* A missing file is an empty policy. Findings go to diag; PERI_EINVAL when there was an error. path NULL: empty. */
enum peri_status peri_policy_load(const char *path, struct peri_policy **ret, struct peri_diag *diag) PERI_MUST_CHECK;
void peri_policy_destroy(struct peri_policy *policy);
/* id -> entry, as in the file, every scalar but booleans as text. borrow. */
const struct peri_value *peri_policy_entries(const struct peri_policy *policy);

/* What one plugin was granted. Immutable; any thread. */
struct peri_grants;

struct peri_policy_question {
    const struct peri_manifest *manifest;
    const char *hash;                /* of the package */
    bool bundled;                    /* it lies in the share folder */
    bool approve_all;                /* development: grant what is asked for */
    const struct peri_value *config; /* the plugin's settings with defaults, for {config.KEY}; NULL: none */
    const struct peri_value *given;  /* the settings as the operator wrote them: only a host that stands here was named
                                        by  the operator; NULL: none */
};
/* policy: the operator's; shipped: of the share folder; either may be NULL. PERI_EDENIED with a stable code and what to
 * type: policy.not-approved, policy.changed, policy.new-permission. */
enum peri_status peri_policy_decide(const struct peri_policy *policy, const struct peri_policy *shipped,
    const struct peri_policy_question *question, struct peri_grants **ret, struct peri_error *err) PERI_MUST_CHECK;

/* The caps of the plugin's entry; 0 where it sets none. */
void peri_policy_caps(const struct peri_policy *policy, const char *plugin_id, struct peri_manifest_limits *ret);

/* Does the operator want the plugin in a process of its own? */
bool peri_policy_isolates(const struct peri_policy *policy, const char *plugin_id);

void peri_grants_destroy(struct peri_grants *grants);
bool peri_grants_has(const struct peri_grants *grants, const char *permission);  /* exactly this one */
bool peri_grants_uses(const struct peri_grants *grants, const char *permission); /* the same, and it is used now */
bool peri_grants_any(
    const struct peri_grants *grants, const char *prefix); /* one that begins so: "network:outbound:" */
/* The questions below count as a use of what they find; any thread. fn for each permission that was used since the last
 * time. */
void peri_grants_take_used(const struct peri_grants *grants, void (*fn)(void *arg, const char *permission), void *arg);
/* access "read" or "write". A plural type is taken as its singular. */
bool peri_grants_data(const struct peri_grants *grants, const char *access, const char *type);
bool peri_grants_publish(const struct peri_grants *grants, const char *event_type);
bool peri_grants_subscribe(const struct peri_grants *grants, const char *event_type);
/* May it ask for all events that this glob matches? Each is checked again when it comes. */
bool peri_grants_subscribe_glob(const struct peri_grants *grants, const char *glob);
bool peri_grants_channel(const struct peri_grants *grants, const char *channel_type);
/* The granted path (absolute, borrowed) that path is or lies below, as text; NULL: none. */
const char *peri_grants_path(const struct peri_grants *grants, const char *path);
/* May it connect to host:port? host without brackets, any case. *ret_named (may be NULL): the operator named this very
 * host, so that a private address is meant. */
bool peri_grants_host(const struct peri_grants *grants, const char *host, int port, bool *ret_named);
/* New list of texts: permissions as granted. */
struct peri_value *peri_grants_value(const struct peri_grants *grants);

/* What approving would change: {id, version, sha256, permissions: [...], added: [...], removed: [...], known: bool,
 * warnings: [...]}. New reference. */
enum peri_status peri_policy_preview(const struct peri_policy *policy, const struct peri_manifest *manifest,
    const char *hash, struct peri_value **ret) PERI_MUST_CHECK;

struct peri_approval {
    const struct peri_manifest *manifest;
    const char *hash;
    const char *const *hosts; /* NULL-ended, added to those there; or NULL */
    const char *isolation;    /* "process" or "none"; NULL: as it is */
    const char *by;
    int64_t now_ms;
};
/* Writes or replaces the plugin's entry. The file is written whole to a neighbour and renamed (0600 when it is new);
 * comments in it are not kept. PERI_EINVAL when the file that is there can not be read. */
enum peri_status peri_policy_approve(
    const char *path, const struct peri_approval *approval, struct peri_error *err) PERI_MUST_CHECK;
/* PERI_ENOTFOUND when there is no entry. */
enum peri_status peri_policy_revoke(const char *path, const char *plugin_id, struct peri_error *err) PERI_MUST_CHECK;

#endif
