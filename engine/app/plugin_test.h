/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_APP_PLUGIN_TEST_H
#define PERI_APP_PLUGIN_TEST_H

#include "app/cli.h"

/* perigee plugins test DIR: the specs of a package by busted in plain Lua with lua/testkit, then the examples of its
 * examples.json by the host itself. Returns the exit code. */
int peri_plugin_test(struct peri_cli *cli, const char *dir);

#endif
