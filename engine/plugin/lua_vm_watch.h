/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_LUA_VM_WATCH_H
#define PERI_PLUGIN_LUA_VM_WATCH_H

#include <stdint.h>

struct peri_vm;

/* The last resort against instructions that take long: a timer on the processor time of the thread, whose signal ends
 * the call when it finds the thread inside the code of liblua itself. All of these are for the thread that is inside a
 * state. */

/* Around everything that runs in a state; begin comes after sigsetjmp. */
void peri_vm_watch_begin(struct peri_vm *vm);
void peri_vm_watch_end(void);
/* The thread, which has used now_ns of processor time, may use left_ns more. Once an entry. */
void peri_vm_watch_arm(int64_t now_ns, int64_t left_ns);
/* Around entries that follow one another: setting the timer for each would cost two calls of the system, so it stays
 * as it was set, and fires early at worst. Nothing but the states may be at work between begin and end: what else
 * waits in the kernel could be interrupted. */
void peri_vm_watch_turn(int begins);
/* Processor time until the signal comes, in ns; -1: the timer is not set. For tests. */
int64_t peri_vm_watch_left(void);
/* True when the backstop works here: liblua is a shared object and the processor is known. For `doctor`. */
int peri_vm_watch_works(void);

#endif
