/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_PLUGIN_NATIVE_VALUE_H
#define PERI_PLUGIN_NATIVE_VALUE_H

#include <stdint.h>
#include "data/value.h"
#include "perigee/plugin.h"

/* Values of plugins in C are the engine's under another name. */
static inline struct peri_value *peri_native_in(const struct perigee_value *v)
{
    return (struct peri_value *)(uintptr_t)v;
}

static inline struct perigee_value *peri_native_out(const struct peri_value *v)
{
    return (struct perigee_value *)(uintptr_t)v;
}

/* The functions for values of struct perigee_host_api. */
struct perigee_value *peri_native_null(void);
struct perigee_value *peri_native_bool(int b);
struct perigee_value *peri_native_int(int64_t i);
struct perigee_value *peri_native_real(double r);
struct perigee_value *peri_native_text(const char *text);
struct perigee_value *peri_native_list(void);
struct perigee_value *peri_native_map(void);
struct perigee_value *peri_native_json(const char *text, size_t len);
char *peri_native_to_json(const struct perigee_value *v);
void peri_native_text_free(char *text);
struct perigee_value *peri_native_ref(const struct perigee_value *v);
void peri_native_unref(struct perigee_value *v);
enum perigee_type peri_native_type(const struct perigee_value *v);
int peri_native_as_bool(const struct perigee_value *v);
int64_t peri_native_as_int(const struct perigee_value *v);
double peri_native_as_real(const struct perigee_value *v);
const char *peri_native_as_text(const struct perigee_value *v);
size_t peri_native_count(const struct perigee_value *v);
struct perigee_value *peri_native_list_at(const struct perigee_value *list, size_t i);
int peri_native_list_push(struct perigee_value *list, struct perigee_value *item);
struct perigee_value *peri_native_map_at(const struct perigee_value *map, const char *key);
int peri_native_map_put(struct perigee_value *map, const char *key, struct perigee_value *item);
int peri_native_map_next(
    const struct perigee_value *map, void **cursor, const char **ret_key, struct perigee_value **ret_item);

#endif
