/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_MANIFEST_H
#define PERI_PLUGIN_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>
#include "base/diag.h"
#include "base/error.h"
#include "data/schema.h"
#include "data/semver.h"
#include "data/value.h"

/* plugin.json, checked. Keys: id, name, version, type, apiVersion, entrypoint (all required); permissions,
 * configSchema, relationships, load, events, limits, mtlsSecrets, author, description, homepage, license. Anything else
 * is an error. */

#define PERI_API_MAJOR 1
#define PERI_API_MINOR 0

enum peri_plugin_type { PERI_PLUGIN_OPERATOR, PERI_PLUGIN_CONNECTOR, PERI_PLUGIN_CHANNEL };
const char *peri_plugin_type_name(enum peri_plugin_type type);

struct peri_manifest_limits { /* 0: not given */
    int64_t instructions, running_ms, wall_ms, memory_bytes;
    int64_t operations_per_second, storage_bytes, storage_keys, log_bytes;
};
/* The members of a "limits" object by name: in plugin.json, and as caps in policy.yaml. NULL-ended. */
extern const char *const peri_limit_names[];
/* The member of this name (which must be one of them), and the most that may be written there. */
int64_t *peri_limit_at(struct peri_manifest_limits *limits, const char *name, int64_t *ret_most);

enum peri_relation_kind {
    PERI_RELATION_REQUIRES,
    PERI_RELATION_OPTIONAL,
    PERI_RELATION_CONFLICTS,
    PERI_RELATION_BEFORE,
    PERI_RELATION_AFTER
};
struct peri_relation {
    enum peri_relation_kind kind;
    char *id;
    struct peri_range *range; /* NULL: every version */
};

struct peri_event_decl {
    char *name; /* an event type or a glob */
    bool publish, subscribe;
    struct peri_schema *schema; /* of the data; NULL: anything */
    int64_t max_bytes;          /* of the data as JSON; 0: the usual bound */
};

struct peri_manifest {
    char *id, *name, *version, *entrypoint;          /* entrypoint without "./" */
    char *description, *author, *homepage, *license; /* "" when absent */
    enum peri_plugin_type type;
    bool native;        /* the entrypoint is a shared object */
    char **permissions; /* NULL-ended, as written, without repeats */
    size_t permission_count;
    struct peri_schema *config_schema; /* NULL: no settings */
    struct peri_manifest_limits limits;
    struct peri_relation *relations;
    size_t relation_count, relation_cap;
    int priority; /* of loading: 0 first, 1 early, 2 default, 3 late, 4 last */
    struct peri_event_decl *events;
    size_t event_count, event_cap;
    struct peri_value *source; /* the whole document */
};

/* Checks the text of a plugin.json. file names it in findings (copied). Every mistake goes to diag with its place;
 * PERI_EINVAL when there was an error. */
enum peri_status peri_manifest_parse(
    const char *file, const char *text, size_t len, struct peri_manifest **ret, struct peri_diag *diag) PERI_MUST_CHECK;
void peri_manifest_destroy(struct peri_manifest *manifest);

/* ^[a-z0-9][a-z0-9.-]{1,126}[a-z0-9]$ */
bool peri_plugin_id_ok(const char *id);

/* A permission is one of
 *   network:outbound:<host>[:port]   host name, "*.name" (exactly one label), address, or {config.KEY}: the host, the
 * host of the URL, or each of the list, that the operator set under KEY in this plugin's settings (a host the operator
 * names may be a private address) network:inbound  filesystem:read:<absolute path>  event:publish:<glob>
 * event:subscribe:<glob> data:read:<type>  data:write:<type>   an entity type, its plural ("calls"), or * storage:read
 * storage:write  scheduler:read  scheduler:write  operators:call  actions:intercept  channels:send:<type or *>
 * accounts:<provider> secrets:mtls  contacts:read (the same as data:read:contact) PERI_EINVAL says what is wrong. */
enum peri_status peri_permission_check(const char *permission, struct peri_error *err);
/* "calls" -> "call", "calendar_events" -> "calendar_event"; others unchanged. borrow. */
const char *peri_entity_type_singular(const char *type);

#endif
