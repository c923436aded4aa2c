/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_TEST_VM_FIXTURE_H
#define PERI_TEST_VM_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "data/json.h"
#include "plugin/lua_vm.h"

/* A state with one package whose handler is the function "main". */
static inline struct peri_vm *vm_with(const struct peri_vm_options *options, const char *package)
{
    struct peri_vm *vm = NULL;
    struct peri_error err = {0};
    struct peri_vm_options defaults = {.name = "test"};
    if (peri_vm_create(options ? options : &defaults, &vm, &err) != PERI_OK)
        fail_msg("create: %s", err.message);
    if (peri_vm_load(vm, "init.lua", package, strlen(package), &err) != PERI_OK)
        fail_msg("load: %s: %s", err.code, err.message);
    return vm;
}

static inline enum peri_vm_outcome vm_start(
    struct peri_vm *vm, const char *handler, struct peri_vm_call **ret, struct peri_error *err)
{
    const char *path[] = {handler, NULL};
    struct peri_vm_start start = {.path = path};
    return peri_vm_call_start(vm, &start, ret, err);
}

/* The first result as JSON; caller frees. */
static inline char *vm_result(struct peri_vm_call *call, int i)
{
    struct peri_value *v = NULL;
    struct peri_error err = {0};
    if (peri_vm_call_result(call, i, 65536, &v, &err) != PERI_OK)
        fail_msg("result: %s: %s", err.code, err.message);
    char *text = peri_json_text(v, PERI_JSON_SORTED);
    peri_value_unref(v);
    return text;
}

/* Runs body as the handler of a fresh state and compares its first result. */
static inline void expect_result(const char *body, const char *json)
{
    char package[16384];
    struct peri_vm_call *call;
    struct peri_error err = {0};
    snprintf(package, sizeof(package), "return { main = function(...) %s end }", body);
    struct peri_vm *vm = vm_with(NULL, package);
    if (vm_start(vm, "main", &call, &err) != PERI_VM_DONE)
        fail_msg("%s: %s: %s", body, err.code, err.message);
    char *text = vm_result(call, 0);
    if (strcmp(text, json) != 0)
        fail_msg("%s: %s, not %s", body, text, json);
    free(text);
    peri_vm_call_destroy(call);
    peri_vm_destroy(vm);
}

#endif
