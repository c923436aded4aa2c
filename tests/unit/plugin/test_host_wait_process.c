/* SPDX-License-Identifier: Apache-2.0 */
#define RIG_PROCESS
#include "test_host_wait.c"
