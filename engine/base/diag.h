/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_BASE_DIAG_H
#define PERI_BASE_DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include "base/status.h"

enum peri_severity { PERI_SEV_ERROR, PERI_SEV_WARNING, PERI_SEV_NOTE };

/* A place in a text file. Lines and columns start at 1; columns count characters, not bytes. line 0: the whole file. */
struct peri_place {
    const char *file; /* borrowed: lives as long as the node tree or diagnostics that name it */
    int line, column;
};

/* What would mend it without a person's thinking: at this place of the same file stands `from`; `to` belongs there. */
struct peri_fix {
    int line, column;
    char *from, *to; /* both NULL: there is no such change */
};

struct peri_finding {
    char *file;
    int line, column;
    enum peri_severity severity;
    char *code;    /* stable, e.g. "unknown-key" */
    char *message; /* what is wrong */
    char *hint;    /* what would be right, or NULL */
    struct peri_fix fix;
};

/* Findings of one pass, in the order they were made. Not thread-safe. */
struct peri_diag {
    struct peri_finding *items;
    size_t count, cap;
    size_t errors; /* how many have severity error */
    bool lost;     /* memory ran out: at least one finding is missing */
};

void peri_diag_init(struct peri_diag *diag);
void peri_diag_finish(struct peri_diag *diag);
/* Adds a finding. hint may be NULL. */
void peri_diag_add(struct peri_diag *diag, struct peri_place place, enum peri_severity severity, const char *code,
    const char *hint, const char *fmt, ...) PERI_PRINTF(6, 7);
/* Is a finding of the code there already, at this place? Looks at the file being read: the newest findings of place's.
 */
bool peri_diag_has(const struct peri_diag *diag, struct peri_place place, const char *code);
/* Gives the finding added last its change; only what is certain to be meant. The place may be that of the text in its
 * quotes or of the opening quote. Line 0, or a text of several lines: no change. */
void peri_diag_fix(struct peri_diag *diag, struct peri_place place, const char *from, const char *to);
/* By file, line, column; equal places keep their order. */
void peri_diag_sort(struct peri_diag *diag);
/* Moves all findings of from to the end of diag and empties from. */
void peri_diag_move(struct peri_diag *diag, struct peri_diag *from);

#endif
