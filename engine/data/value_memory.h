/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_DATA_VALUE_MEMORY_H
#define PERI_DATA_VALUE_MEMORY_H

/* For value.c and json.c. jansson does not always say that memory was out: its reader calls the text wrong, its copies
 * leave members out. So its allocations are counted where they fail. */

/* How many allocations of values have failed in this thread so far: what was made between two looks with different
 * results is not to be used. */
unsigned long peri_value_refused(void);

#endif
