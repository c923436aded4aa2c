/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_PRIVACY_H
#define PERI_APP_PRIVACY_H

#include "app/cli.h"
#include "io/store.h"
#include "plugin/host.h"
#include "run/privacy.h"

/* What is shown of events, verdicts, runs and all that comes of them has placeholders in place of personal data; what
 * is stored and what actions get has not. A row is what belongs to one event or run: it is looked for what is marked in
 * that event, in those that led to it, in the entities that they name, and in what the row itself holds of both. */

/* Of the configuration and of what the host's plugins declare; new reference. */
enum peri_status peri_privacy_marks_of(const struct peri_config *config, struct peri_host *host,
    struct peri_value **ret, struct peri_error *err) PERI_MUST_CHECK;
/* Keeps them in the database, and the key if it has none. */
enum peri_status peri_privacy_store(
    struct peri_tx *tx, const struct peri_value *marks, const char *key, struct peri_error *err) PERI_MUST_CHECK;
/* *ret NULL: nothing is marked. */
enum peri_status peri_privacy_load(
    struct peri_reader *reader, struct peri_privacy **ret, struct peri_error *err) PERI_MUST_CHECK;

/* Replaces *v, a row, a list of rows or {items: [rows]}, by what may be shown. event: the one that rows belong to
 * that do not name it (verdicts), or 0. On failure *v is gone: what cannot be looked through is not shown. */
enum peri_status peri_privacy_hide(
    struct peri_reader *reader, uint64_t event, struct peri_value **v, struct peri_error *err) PERI_MUST_CHECK;
/* The marks of configuration and plugins as they are now, with the key of recorded (may be NULL), for a world beside
 * the service's. *ret NULL with --show-personal: hide_by does nothing then. */
enum peri_status peri_privacy_here(struct peri_cli *cli, struct peri_host *host, struct peri_reader *recorded,
    struct peri_privacy **ret, struct peri_error *err) PERI_MUST_CHECK;
/* Events are in one database, the entities that they name in another (may be NULL). */
enum peri_status peri_privacy_hide_by(const struct peri_privacy *privacy, struct peri_reader *reader,
    struct peri_reader *entities, uint64_t event, struct peri_value **v, struct peri_error *err) PERI_MUST_CHECK;
/* For a command: nothing is hidden with --show-personal, which the audit trail then tells. */
enum peri_status peri_cli_hide(struct peri_cli *cli, struct peri_reader *reader, uint64_t event, struct peri_value **v,
    struct peri_error *err) PERI_MUST_CHECK;

#endif
