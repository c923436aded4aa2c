/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/native_value.h"

#include <stdlib.h>
#include <string.h>

#include "data/json.h"

struct perigee_value *peri_native_null(void)
{
    return peri_native_out(peri_value_null());
}

struct perigee_value *peri_native_bool(int b)
{
    return peri_native_out(peri_value_bool(b != 0));
}

struct perigee_value *peri_native_int(int64_t i)
{
    return peri_native_out(peri_value_int(i));
}

struct perigee_value *peri_native_real(double r)
{
    return peri_native_out(peri_value_real(r));
}

struct perigee_value *peri_native_text(const char *text)
{
    return text ? peri_native_out(peri_value_str(text)) : NULL;
}

struct perigee_value *peri_native_list(void)
{
    return peri_native_out(peri_value_list());
}

struct perigee_value *peri_native_map(void)
{
    return peri_native_out(peri_value_map());
}

struct perigee_value *peri_native_json(const char *text, size_t len)
{
    struct peri_value *v = NULL;
    return peri_json_parse(text, len, &v, NULL) ? NULL : peri_native_out(v);
}
char *peri_native_to_json(const struct perigee_value *v)
{
    return peri_json_text(peri_native_in(v), PERI_JSON_COMPACT);
}
void peri_native_text_free(char *text)
{
    free(text);
}

struct perigee_value *peri_native_ref(const struct perigee_value *v)
{
    return peri_native_out(peri_value_ref(peri_native_in(v)));
}
void peri_native_unref(struct perigee_value *v)
{
    peri_value_unref(peri_native_in(v));
}
enum perigee_type peri_native_type(const struct perigee_value *v)
{
    return (enum perigee_type)peri_value_type(peri_native_in(v)); /* the same numbers */
}
int peri_native_as_bool(const struct perigee_value *v)
{
    return peri_value_as_bool(peri_native_in(v));
}
int64_t peri_native_as_int(const struct perigee_value *v)
{
    return peri_value_as_int(peri_native_in(v));
}
double peri_native_as_real(const struct perigee_value *v)
{
    return peri_value_as_real(peri_native_in(v));
}
const char *peri_native_as_text(const struct perigee_value *v)
{
    return peri_value_text(peri_native_in(v));
}
size_t peri_native_count(const struct perigee_value *v)
{
    return peri_value_count(peri_native_in(v));
}

struct perigee_value *peri_native_list_at(const struct perigee_value *list, size_t i)
{
    return peri_native_out(peri_list_at(peri_native_in(list), i));
}
int peri_native_list_push(struct perigee_value *list, struct perigee_value *item)
{
    return peri_list_push(peri_native_in(list), peri_native_in(item)) ? -1 : 0;
}

struct perigee_value *peri_native_map_at(const struct perigee_value *map, const char *key)
{
    return peri_native_out(peri_map_at(peri_native_in(map), key));
}
int peri_native_map_put(struct perigee_value *map, const char *key, struct perigee_value *item)
{
    return peri_map_put(peri_native_in(map), key, peri_native_in(item)) ? -1 : 0;
}
int peri_native_map_next(
    const struct perigee_value *map, void **cursor, const char **ret_key, struct perigee_value **ret_item)
{
    *cursor = *cursor ? peri_map_next(peri_native_in(map), *cursor) : peri_map_first(peri_native_in(map));
    if (!*cursor)
        return 0;
    *ret_key = peri_map_key(*cursor, NULL);
    *ret_item = peri_native_out(peri_map_item(*cursor));
    return 1;
}
