/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_LUA_VM_PATTERN_H
#define PERI_PLUGIN_LUA_VM_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <lua.h>

/* Lua patterns with every comparison counted and charged. Raises on a malformed pattern and when items nest too deeply.
 */

#define PERI_PATTERN_CAPTURES 32

struct peri_vm_pattern {
    lua_State *L;
    const char *text, *text_end;
    const char *pattern, *pattern_end; /* without the anchor */
    unsigned steps;
    int depth;
    int captures;
    struct {
        const char *start;
        ptrdiff_t len; /* or one of the kinds in the source file */
    } capture[PERI_PATTERN_CAPTURES];
};

void peri_vm_pattern_init(struct peri_vm_pattern *m, lua_State *L, const char *text, size_t text_len,
    const char *pattern, size_t pattern_len);
/* Matches at exactly `at`; the end of the match or NULL. */
const char *peri_vm_pattern_match(struct peri_vm_pattern *m, const char *at);
/* Pushes capture i (0-based) of the match [start, end); without captures 0 is the whole match. */
void peri_vm_pattern_push(struct peri_vm_pattern *m, int i, const char *start, const char *end);
/* Pushes all captures, or the whole match when there are none and start is set; returns how many. */
int peri_vm_pattern_push_all(struct peri_vm_pattern *m, const char *start, const char *end);

#endif
