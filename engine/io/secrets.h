/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_IO_SECRETS_H
#define PERI_IO_SECRETS_H

#include <stddef.h>
#include "base/error.h"
#include "data/value.h"

/* Named secret values: `<state>/secrets/<name>` (folder 0700, files 0600), and $CREDENTIALS_DIRECTORY/<name> (systemd),
 * which wins. Values never appear in logs, values or the database: others hold the name. Any thread. */
struct peri_secrets;

enum peri_status peri_secrets_open(
    const char *state_dir, struct peri_secrets **ret, struct peri_error *err) PERI_MUST_CHECK;
/* The same kind of files in another folder, without what systemd lends. */
enum peri_status peri_secrets_open_folder(
    const char *folder, struct peri_secrets **ret, struct peri_error *err) PERI_MUST_CHECK;
void peri_secrets_destroy(struct peri_secrets *secrets);
/* Names: letters, digits, '_', '-', '.', at most 100, not starting with a dot. */
enum peri_status peri_secrets_set(struct peri_secrets *secrets, const char *name, const char *value, size_t len,
    struct peri_error *err) PERI_MUST_CHECK;
/* Only for this process, over what is stored: for tests of rules. */
enum peri_status peri_secrets_lend(
    struct peri_secrets *secrets, const char *name, const char *value, struct peri_error *err) PERI_MUST_CHECK;
/* A malloc'ed, NUL-terminated copy; give it back with peri_secret_free. PERI_ENOTFOUND says which name is missing. */
enum peri_status peri_secrets_get(struct peri_secrets *secrets, const char *name, char **ret_value, size_t *ret_len,
    struct peri_error *err) PERI_MUST_CHECK;
enum peri_status peri_secrets_remove(
    struct peri_secrets *secrets, const char *name, struct peri_error *err) PERI_MUST_CHECK;
/* The last line of defence: values that this process has given out (of 6 bytes and more) are found again wherever they
 * come back, in a server's answer, an error, a log line, and replaced by "[secret NAME]". False, with *ret untouched:
 * there is none in the text, or memory is out. *ret is malloc'ed. */
bool peri_secrets_hide(struct peri_secrets *secrets, const char *text, size_t len, char **ret, size_t *ret_len);
/* The same for all texts of a value: a new reference, to v itself when there is none; NULL when memory is out. */
struct peri_value *peri_secrets_hide_value(struct peri_secrets *secrets, struct peri_value *v);
/* In an error's message. */
void peri_secrets_hide_error(struct peri_secrets *secrets, struct peri_error *err);
/* Another form in which a value leaves (Basic authorization): hidden like it. */
void peri_secrets_also(struct peri_secrets *secrets, const char *name, const char *value);
/* The same for values that are replaced again and again: of one name the last ten are known. */
void peri_secrets_passing(struct peri_secrets *secrets, const char *name, const char *value);
/* NULL-ended, sorted; free with peri_secrets_free_names. */
enum peri_status peri_secrets_names(
    struct peri_secrets *secrets, char ***ret_names, struct peri_error *err) PERI_MUST_CHECK;
void peri_secrets_free_names(char **names);
/* Zeroes and frees. */
void peri_secret_free(char *value, size_t len);

#endif
