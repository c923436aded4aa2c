/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_LUA_VM_WATCH_H
#define PERI_PLUGIN_LUA_VM_WATCH_H

#include <stdint.h>

struct peri_vm;

/* The last resort against instructions that take long: a timer on the processor time of the thread, whose signal ends
 * the call when it finds the thread inside the code of liblua itself. All four are for the thread that is inside a
 * state. */

/* Around everything that runs in a state; begin comes after sigsetjmp. */
void peri_vm_watch_begin(struct peri_vm *vm);
void peri_vm_watch_end(void);
/* From now on the thread may use left_ns of processor time. Once an entry. */
void peri_vm_watch_arm(int64_t left_ns);
/* True when the backstop works here: liblua is a shared object and the processor is known. For `doctor`. */
int peri_vm_watch_works(void);

#endif
