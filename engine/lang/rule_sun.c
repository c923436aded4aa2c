/* SPDX-License-Identifier: Apache-2.0 */
/* The sun as a trigger. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "lang/duration.h"
#include "lang/rule_internal.h"

const struct rule_key peri_rule_sun_keys[] = {{"at", KEY_KNOWN}, {"offset", KEY_KNOWN}, {"elevation", KEY_KNOWN},
    {"latitude", KEY_KNOWN}, {"longitude", KEY_KNOWN}, {"catch_up", KEY_KNOWN}, {"overlap", KEY_KNOWN},
    {"jitter", KEY_KNOWN}, {NULL, KEY_END}};

#define EXAMPLE "for example: sun: sunset, or sun: {at: sunset, offset: -30m}"
#define DAY_MS INT64_C(86400000)

static const char *const words[] = {"sunrise", "sunset", "dawn", "dusk", "noon", "rising", "setting", NULL};
static const struct {
    enum peri_sun_event event;
    double elevation;
    bool given; /* the trigger says which elevation */
} meanings[] = {{PERI_SUN_RISING, PERI_SUN_RISE, false}, {PERI_SUN_SETTING, PERI_SUN_RISE, false},
    {PERI_SUN_RISING, -6, false}, {PERI_SUN_SETTING, -6, false}, {PERI_SUN_NOON, 0, false}, {PERI_SUN_RISING, 0, true},
    {PERI_SUN_SETTING, 0, true}};

/* "30m" or "-30m" */
static void read_offset(struct rule_reader *r, const struct peri_node *node, struct peri_sun *sun)
{
    struct peri_error err;
    bool text = node->kind == PERI_NODE_SCALAR && !node->tag, back = text && node->text[0] == '-';
    if (!text || peri_duration_parse(node->text + back, node->len - back, &sun->offset_ms, &err) != PERI_OK)
        peri_rule_fault(
            r, node->place, "duration", "write a duration such as 30m or -1h30m", "\"offset\" must be a duration");
    else if (sun->offset_ms > DAY_MS / 2)
        peri_rule_fault(r, node->place, "duration", NULL, "\"offset\" must be at most 12h");
    else if (back)
        sun->offset_ms = -sun->offset_ms;
}

static void read_degrees(
    struct rule_reader *r, const struct peri_node *node, const char *what, double limit, double *ret)
{
    struct peri_value *v = NULL;
    bool number = node->kind == PERI_NODE_SCALAR && !node->tag && (node->type == PERI_INT || node->type == PERI_REAL) &&
                  peri_node_value(node, NULL, NULL, &v, NULL) == PERI_OK;
    double degrees = number ? peri_value_as_real(v) : 0;
    peri_value_unref(v);
    if (!number)
        peri_rule_wrong_type(r, node, what, "a number of degrees");
    else if (!(degrees >= -limit && degrees <= limit))
        peri_rule_fault(
            r, node->place, "out-of-range", NULL, "\"%s\" must be %g to %g, is %g", what, -limit, limit, degrees);
    else
        *ret = degrees;
}

/* Of the trigger, else of the service. */
static void read_location(struct rule_reader *r, const struct peri_node *node, struct peri_sun *sun)
{
    bool map = node->kind == PERI_NODE_MAP;
    const struct peri_node *latitude = map ? peri_node_get(node, "latitude", NULL) : NULL,
                           *longitude = map ? peri_node_get(node, "longitude", NULL) : NULL;
    if (latitude && longitude) {
        read_degrees(r, latitude, "latitude", 90, &sun->latitude);
        read_degrees(r, longitude, "longitude", 180, &sun->longitude);
    } else if (latitude || longitude) {
        peri_rule_fault(r, node->place, "missing-key", NULL, "\"latitude\" and \"longitude\" go together");
    } else if (r->env && r->env->has_location) {
        sun->latitude = r->env->latitude;
        sun->longitude = r->env->longitude;
    } else if (!r->env || !r->env->stored) {
        peri_rule_fault(r, node->place, "missing-key",
            "location: {latitude: 52.5, longitude: 13.4} in perigee.yaml, or latitude and longitude here",
            "where the sun stands depends on the place, which is not known");
    }
}

static void read_at(
    struct rule_reader *r, const struct peri_node *at, const struct peri_node *elevation, struct peri_sun *sun)
{
    int word = peri_rule_word(r, at, "at", words);
    if (word < 0)
        return;
    sun->event = meanings[word].event;
    sun->elevation = meanings[word].elevation;
    if (meanings[word].given && !elevation)
        peri_rule_fault(r, at->place, "missing-key", "sun: {at: rising, elevation: 10}",
            "\"at: %s\" needs \"elevation\"", words[word]);
    else if (elevation && !meanings[word].given)
        peri_rule_fault(r, elevation->place, "conflicting-keys", "with elevation: at is rising or setting",
            "\"elevation\" does not go with \"at: %s\"", words[word]);
    else if (elevation)
        read_degrees(r, elevation, "elevation", 90, &sun->elevation);
}

void peri_rule_read_sun(struct rule_reader *r, const struct peri_node *node, struct peri_trigger *t)
{
    bool map = node->kind == PERI_NODE_MAP;
    size_t errors = r->diag->errors;
    int64_t due;
    if (!peri_rule_read_times(r, node, t))
        return;
    struct peri_sun *sun = &t->schedule->sun;
    t->schedule->kind = PERI_SCHEDULE_SUN;
    if (map && peri_rule_check_keys(r, node, peri_rule_sun_keys, "the sun") > 0)
        return;
    const struct peri_node *at = map ? peri_node_get(node, "at", NULL) : node, *n;
    if (!at) {
        peri_rule_fault(r, node->place, "missing-key", EXAMPLE, "the sun needs \"at\"");
        return;
    }
    read_at(r, at, map ? peri_node_get(node, "elevation", NULL) : NULL, sun);
    if (map && (n = peri_node_get(node, "offset", NULL)))
        read_offset(r, n, sun);
    if (r->diag->errors != errors)
        return;
    read_location(r, node, sun);
    if (r->diag->errors == errors && !(r->env && r->env->stored) && !peri_sun_next(sun, 0, &due))
        peri_rule_fault(r, node->place, "sun-never", NULL,
            "the sun never comes there at latitude %g: the trigger would never fire", sun->latitude);
}
