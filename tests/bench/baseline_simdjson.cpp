/* SPDX-License-Identifier: Apache-2.0 */
/* What bench_match compares the matcher with: simdjson reads the same events, one a line. */
#include <cstddef>
#include <simdjson.h>

extern "C" size_t baseline_simdjson(const char *text, const size_t *at, size_t count, bool whole);

/* The place a document begins and its length, with the padding that simdjson wants to be readable behind it: the events
 * that follow, and for the last ones the room of the buffer. */
static simdjson::padded_string_view document(const char *text, const size_t *at, size_t i)
{
    size_t len = at[i + 1] - at[i] - 1;
    return simdjson::padded_string_view(text + at[i], len, len + simdjson::SIMDJSON_PADDING);
}

static size_t read_whole(simdjson::dom::parser &parser, const char *text, const size_t *at, size_t count)
{
    size_t done = 0;
    for (size_t i = 0; i < count; i++) {
        simdjson::dom::element value;
        done += parser.parse(text + at[i], at[i + 1] - at[i] - 1, false).get(value) == simdjson::SUCCESS;
    }
    return done;
}

static size_t read_field(simdjson::ondemand::parser &parser, const char *text, const size_t *at, size_t count)
{
    size_t done = 0;
    for (size_t i = 0; i < count; i++) {
        simdjson::ondemand::document doc;
        std::string_view subject;
        if (parser.iterate(document(text, at, i)).get(doc) != simdjson::SUCCESS)
            continue;
        if (doc.find_field_unordered("subject").get_string().get(subject) == simdjson::SUCCESS)
            done += subject != "device-37/floor-3" ? 1 : 2;
        else
            done++;
    }
    return done;
}

size_t baseline_simdjson(const char *text, const size_t *at, size_t count, bool whole)
{
    static simdjson::dom::parser dom;
    static simdjson::ondemand::parser ondemand;
    return whole ? read_whole(dom, text, at, count - 1) + 1 : read_field(ondemand, text, at, count - 1) + 1;
}
