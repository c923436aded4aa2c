/* SPDX-License-Identifier: Apache-2.0 */
/* The forms of the files that are no rules, for completion and hover. What is wrong in them say their readers
 * (trial_read.c, config.c): when a key comes there, it comes here. */
#include "app/lsp_internal.h"

#include <string.h>

#include "base/str.h"
#include "data/json.h"

/* clang-format off */
static const char test_form[] =
    "{\"definitions\":{\"operator\":{\"type\":\"string\"},\"error\":{\"type\":\"object\",\"properties\":{\"code\":{\"typ"
    "e\":\"string\",\"description\":\"the error's stable name\"},\"message\":{\"type\":\"string\",\"description\":\"w"
    "hat went wrong\"},\"retryable\":{\"type\":\"boolean\",\"description\":\"may a later try succeed?\"},\"outcom"
    "e_unknown\":{\"type\":\"boolean\",\"description\":\"may it have arrived all the same?\"}},\"description\":\""
    "fails instead\"},\"reply\":{\"type\":\"object\",\"properties\":{\"status\":{\"type\":\"integer\",\"description\":"
    "\"of the answer, default 200\"},\"headers\":{\"type\":\"object\",\"description\":\"of the answer\"},\"json\":{"
    "\"description\":\"the body, as JSON\"},\"body\":{\"type\":\"string\",\"description\":\"the body, as it is\"},\""
    "error\":{\"$ref\":\"#/definitions/error\"}}},\"answer\":{\"type\":\"object\",\"properties\":{\"when\":{\"type\":\""
    "object\",\"description\":\"a pattern of the parameters: only then\"},\"holds\":{\"type\":\"boolean\",\"descr"
    "iption\":\"of a condition\"},\"detail\":{\"description\":\"what a condition compared\"},\"result\":{\"descri"
    "ption\":\"of an action\"},\"error\":{\"$ref\":\"#/definitions/error\"}}},\"expect\":{\"type\":\"object\",\"prope"
    "rties\":{\"verdicts\":{\"type\":\"object\",\"description\":\"{rule: fired}, also no, error, none; or parts"
    " of the verdict. The newest of each rule counts\"},\"actions\":{\"type\":\"array\",\"items\":{\"type\":\"obj"
    "ect\",\"properties\":{\"operator\":{\"$ref\":\"#/definitions/operator\",\"description\":\"the action\"},\"para"
    "ms\":{\"type\":\"object\",\"description\":\"its parameters, as far as they are given\"},\"rule\":{\"type\":\"s"
    "tring\",\"description\":\"the rule that called it\"},\"match\":{\"type\":\"object\",\"description\":\"a patter"
    "n of its parameters\"},\"times\":{\"type\":\"integer\",\"description\":\"so many calls alike\"}},\"required\""
    ":[\"operator\"]},\"description\":\"all calls of action operators since the last expect, in their orde"
    "r\"},\"counts\":{\"type\":\"object\",\"description\":\"{operator: n}: how often it was called\"},\"messages\""
    ":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"description\":\"parts of a message\"},\"description\":\"all"
    " messages, in order\"},\"requests\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"method\""
    ":{\"type\":\"string\",\"description\":\"default any\"},\"url\":{\"type\":\"string\",\"description\":\"of the requ"
    "est\"},\"headers\":{\"type\":\"object\",\"description\":\"of the request\"},\"json\":{\"description\":\"its body"
    " as JSON\"},\"body\":{\"type\":\"string\",\"description\":\"its body\"}}},\"description\":\"all HTTP requests,"
    " in order\"},\"response\":{\"type\":\"object\",\"properties\":{\"status\":{\"type\":\"integer\",\"description\":\""
    "of the answer\"},\"headers\":{\"type\":\"object\",\"description\":\"of the answer\"},\"json\":{\"description\":"
    "\"its body\"},\"body\":{\"type\":\"string\",\"description\":\"its body\"}},\"description\":\"what the plugin an"
    "swered to the webhook\"},\"events\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"type\":{"
    "\"type\":\"string\",\"description\":\"the event's type\"},\"data\":{\"description\":\"its payload\"},\"subject\""
    ":{\"type\":\"string\",\"description\":\"its subject\"}},\"required\":[\"type\"]},\"description\":\"all events t"
    "hat rules emitted, in order\"},\"runs\":{\"type\":\"object\",\"description\":\"{rule: succeeded}: the stat"
    "e of its last run; a list: of all its runs\"},\"data\":{\"type\":\"object\",\"description\":\"{type: [...]"
    "}: all entities of the type, in any order\"}},\"description\":\"looks at what happened since the las"
    "t expect\"},\"step\":{\"type\":\"object\",\"properties\":{\"event\":{\"type\":\"string\",\"description\":\"sends a"
    "n event of this type\"},\"data\":{\"description\":\"the payload of the event\"},\"id\":{\"type\":\"string\",\""
    "description\":\"the sender's id of the event\"},\"source\":{\"type\":\"string\",\"description\":\"of the eve"
    "nt, default test\"},\"subject\":{\"type\":\"string\",\"description\":\"of the event\"},\"time\":{\"type\":\"stri"
    "ng\",\"description\":\"when it happened, default now\"},\"webhook\":{\"type\":\"string\",\"description\":\"plu"
    "gin/path: sends a request to the plugin's webhook\"},\"method\":{\"type\":\"string\",\"description\":\"of "
    "the webhook, default POST\"},\"query\":{\"description\":\"of the webhook\"},\"headers\":{\"type\":\"object\","
    "\"description\":\"of the webhook\"},\"form\":{\"type\":\"object\",\"description\":\"the webhook's body\"},\"jso"
    "n\":{\"description\":\"the webhook's body\"},\"body\":{\"type\":\"string\",\"description\":\"the webhook's bod"
    "y\"},\"sign\":{\"type\":\"object\",\"description\":\"{as: twilio, secret} or {as: hmac-sha256, secret, hea"
    "der}\"},\"advance\":{\"type\":\"string\",\"description\":\"lets time pass: 3d, 10m\"},\"until\":{\"type\":\"stri"
    "ng\",\"description\":\"lets time pass up to an instant\"},\"put\":{\"type\":\"object\",\"description\":\"{type"
    ": [...]}: writes data\"},\"delete\":{\"type\":\"object\",\"description\":\"{type: [id]}: deletes data\"},\"a"
    "pprove\":{\"description\":\"answers the run that has waited longest\"},\"step\":{\"type\":\"string\",\"descr"
    "iption\":\"the id of the step that waits for the answer\"},\"edit\":{\"type\":\"object\",\"description\":\"{"
    "rule: {key: value}}: edits rules while the engine runs; null takes a key or a rule away\"},\"resta"
    "rt\":{\"type\":\"boolean\",\"description\":\"stops the engine and starts it again\"},\"expect\":{\"$ref\":\"#/"
    "definitions/expect\"}}}},\"type\":\"object\",\"properties\":{\"rules\":{\"description\":\"the rule files or "
    "folders; default: the file of the same name without .test\"},\"timezone\":{\"type\":\"string\",\"descrip"
    "tion\":\"of schedules that name none, default UTC\"},\"location\":{\"type\":\"object\",\"properties\":{\"lat"
    "itude\":{\"type\":\"number\",\"description\":\"in degrees\"},\"longitude\":{\"type\":\"number\",\"description\":\""
    "in degrees\"}},\"description\":\"where the sun rises\"},\"start\":{\"type\":\"string\",\"description\":\"the t"
    "ime at which a test starts: 2026-01-05T09:00\"},\"data\":{\"type\":\"object\",\"description\":\"entities a"
    "t the start: {type: [...]}\"},\"stubs\":{\"type\":\"object\",\"description\":\"operators that are not call"
    "ed: {operator: answer} or a list of answers\",\"additionalProperties\":{\"anyOf\":[{\"$ref\":\"#/definit"
    "ions/answer\"},{\"type\":\"array\",\"items\":{\"$ref\":\"#/definitions/answer\"}}]}},\"http\":{\"type\":\"array\""
    ",\"items\":{\"type\":\"object\",\"properties\":{\"method\":{\"type\":\"string\",\"description\":\"default any\"},\""
    "url\":{\"type\":\"string\",\"description\":\"* stands for any text\"},\"match\":{\"type\":\"object\",\"descripti"
    "on\":\"a pattern of {method, url, headers, json, body}\"},\"reply\":{\"description\":\"one answer, or a "
    "list\",\"anyOf\":[{\"$ref\":\"#/definitions/reply\"},{\"type\":\"array\",\"items\":{\"$ref\":\"#/definitions/rep"
    "ly\"}}]}},\"required\":[\"url\",\"reply\"]},\"description\":\"what the network answers\"},\"secrets\":{\"type\""
    ":\"object\",\"description\":\"{name: value}: for !secret\"},\"plugins\":{\"type\":\"object\",\"description\":\""
    "settings as in perigee.yaml\"},\"tests\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"na"
    "me\":{\"type\":\"string\",\"description\":\"what it tests\"},\"start\":{\"type\":\"string\",\"description\":\"the "
    "time at which a test starts: 2026-01-05T09:00\"},\"data\":{\"type\":\"object\",\"description\":\"entities "
    "at the start: {type: [...]}\"},\"stubs\":{\"type\":\"object\",\"description\":\"operators that are not cal"
    "led: {operator: answer} or a list of answers\",\"additionalProperties\":{\"anyOf\":[{\"$ref\":\"#/defini"
    "tions/answer\"},{\"type\":\"array\",\"items\":{\"$ref\":\"#/definitions/answer\"}}]}},\"http\":{\"type\":\"array"
    "\",\"items\":{\"type\":\"object\",\"properties\":{\"method\":{\"type\":\"string\",\"description\":\"default any\"},"
    "\"url\":{\"type\":\"string\",\"description\":\"* stands for any text\"},\"match\":{\"type\":\"object\",\"descript"
    "ion\":\"a pattern of {method, url, headers, json, body}\"},\"reply\":{\"description\":\"one answer, or a"
    " list\",\"anyOf\":[{\"$ref\":\"#/definitions/reply\"},{\"type\":\"array\",\"items\":{\"$ref\":\"#/definitions/re"
    "ply\"}}]}},\"required\":[\"url\",\"reply\"]},\"description\":\"what the network answers\"},\"steps\":{\"type\":"
    "\"array\",\"items\":{\"$ref\":\"#/definitions/step\"},\"description\":\"what happens, one after the other\"}"
    "},\"required\":[\"name\",\"steps\"]},\"description\":\"the tests\"}},\"required\":[\"tests\"]}";

static const char config_form[] =
    "{\"type\":\"object\",\"properties\":{\"state_dir\":{\"type\":\"string\",\"description\":\"database, token, secr"
    "ets, policy\"},\"rules\":{\"description\":\"list of rule folders or files\"},\"plugin_path\":{\"descriptio"
    "n\":\"list of folders that hold plugin folders\"},\"policy\":{\"type\":\"string\",\"description\":\"what was"
    " granted to plugins; written by `perigee plugins approve`\"},\"timezone\":{\"type\":\"string\",\"descrip"
    "tion\":\"zone of schedules that name none\"},\"location\":{\"type\":\"object\",\"properties\":{\"latitude\":{"
    "\"type\":\"number\",\"description\":\"in degrees\"},\"longitude\":{\"type\":\"number\",\"description\":\"in degre"
    "es\"}},\"description\":\"where the house stands, for sun triggers\"},\"http\":{\"type\":\"object\",\"propert"
    "ies\":{\"listen\":{\"type\":\"string\",\"description\":\"address and port, [::1]:8420, or unix:/path\"},\"to"
    "ken\":{\"type\":\"string\",\"description\":\"bearer token of the API; better left to the state folder\"},"
    "\"public_url\":{\"type\":\"string\",\"description\":\"how senders of webhooks see us\"},\"tls\":{\"type\":\"obj"
    "ect\",\"properties\":{\"cert\":{\"type\":\"string\",\"description\":\"PEM file\"},\"key\":{\"type\":\"string\",\"des"
    "cription\":\"PEM file\"}},\"description\":\"HTTPS\"},\"max_body_bytes\":{\"type\":\"integer\",\"description\":\""
    "larger requests get 413\"}},\"description\":\"the API and webhooks\"},\"log\":{\"type\":\"object\",\"propert"
    "ies\":{\"level\":{\"type\":\"string\",\"description\":\"how much is told\",\"enum\":[\"debug\",\"info\",\"warn\",\"e"
    "rror\"]},\"format\":{\"type\":\"string\",\"description\":\"of log lines\",\"enum\":[\"text\",\"json\"]}},\"descrip"
    "tion\":\"the log\"},\"limits\":{\"type\":\"object\",\"properties\":{\"instructions\":{\"type\":\"integer\",\"descr"
    "iption\":\"cap for every plugin call\"},\"running_ms\":{\"type\":\"integer\",\"description\":\"cap for every"
    " plugin call\"},\"wall_ms\":{\"type\":\"integer\",\"description\":\"cap for every plugin call\"},\"memory_by"
    "tes\":{\"type\":\"integer\",\"description\":\"cap for every plugin call\"},\"max_event_bytes\":{\"type\":\"int"
    "eger\",\"description\":\"payload of one event\"},\"workers\":{\"type\":\"integer\",\"description\":\"threads t"
    "hat run plugins\"},\"source_rate\":{\"type\":\"integer\",\"description\":\"events a second that one source"
    " may send\"},\"source_burst\":{\"type\":\"integer\",\"description\":\"how many at once\"},\"max_backlog\":{\"t"
    "ype\":\"integer\",\"description\":\"events that wait to be evaluated\"},\"max_live_runs\":{\"type\":\"intege"
    "r\",\"description\":\"runs that are not final\"},\"sources\":{\"type\":\"object\",\"description\":\"{source: e"
    "vents a second}\"}},\"description\":\"bounds\"},\"retention\":{\"type\":\"object\",\"properties\":{\"events\":{"
    "\"type\":\"string\",\"description\":\"how long events are kept: 14d\"},\"runs\":{\"type\":\"string\",\"descript"
    "ion\":\"how long runs are kept: 30d\"},\"audit\":{\"type\":\"string\",\"description\":\"how long the audit t"
    "rail is kept\"},\"max_events\":{\"type\":\"integer\",\"description\":\"above this the oldest go\"},\"max_run"
    "s\":{\"type\":\"integer\",\"description\":\"above this the oldest ended ones go\"},\"max_bytes\":{\"type\":\"i"
    "nteger\",\"description\":\"above this size the oldest go\"}},\"description\":\"how long things are kept\""
    "},\"channels\":{\"type\":\"object\",\"description\":\"{sms: twilio}: which plugin serves a channel type; "
    "or {plugin, fallback}\"},\"accounts\":{\"type\":\"object\",\"description\":\"providers of accounts, by nam"
    "e\"},\"privacy\":{\"type\":\"object\",\"properties\":{\"personal\":{\"type\":\"object\",\"properties\":{\"events\":"
    "{\"type\":\"object\",\"description\":\"{type or glob: [path]}\"},\"data\":{\"type\":\"object\",\"description\":\""
    "{type: [field]}\"}},\"description\":\"fields that hold personal data\"}},\"description\":\"what is hidde"
    "n\"},\"plugins\":{\"type\":\"object\",\"description\":\"{id: {enabled, config}}\"},\"bus\":{\"type\":\"string\",\""
    "description\":\"where events travel\",\"enum\":[\"local\"]}}}";
/* clang-format on */

static struct peri_value *read_form(const char *text)
{
    struct peri_value *v = NULL;
    return peri_json_parse(text, strlen(text), &v, NULL) == PERI_OK ? v : NULL;
}

/* The operators that are there, for `operator` of expectations. */
static bool put_operators(struct peri_lsp *lsp)
{
    struct peri_value *names = peri_value_list();
    for (size_t i = 0; names && i < peri_value_count(lsp->operators); i++)
        if (peri_list_push(names, peri_value_str(peri_map_text(peri_list_at(lsp->operators, i), "id"))))
            break;
    return peri_map_put(peri_map_at(peri_map_at(lsp->tests, "definitions"), "operator"), "enum", names) == PERI_OK;
}

/* Each plugin with the schema of its settings. */
static bool put_plugins(struct peri_lsp *lsp)
{
    struct peri_value *all = peri_value_map();
    bool good = all != NULL;
    for (size_t i = 0; good && i < peri_value_count(lsp->types.plugins); i++) {
        const struct peri_value *plugin = peri_list_at(lsp->types.plugins, i);
        const char *id = peri_map_text(plugin, "id");
        const struct peri_value *config = peri_host_config_schema(lsp->bench->host, id);
        struct peri_value *entry =
            read_form("{\"type\":\"object\",\"properties\":{\"enabled\":{\"type\":\"boolean\"}}}");
        struct peri_value *properties = peri_map_at(entry, "properties");
        if (entry && peri_map_text(plugin, "description"))
            good = peri_map_put_text(entry, "description", peri_map_text(plugin, "description")) == PERI_OK;
        if (good && config)
            good = peri_map_put_ref(properties, "config", config) == PERI_OK;
        good = peri_map_put(all, id, entry) == PERI_OK && good;
    }
    struct peri_value *plugins = peri_map_at(peri_map_at(lsp->config, "properties"), "plugins");
    return peri_map_put(plugins, "properties", all) == PERI_OK && good;
}

bool peri_lsp_forms(struct peri_lsp *lsp)
{
    lsp->tests = read_form(test_form);
    lsp->config = read_form(config_form);
    return lsp->tests && lsp->config && put_operators(lsp) && put_plugins(lsp);
}

enum peri_lsp_kind peri_lsp_kind(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (peri_str_ends(path, ".test.yaml") || peri_str_ends(path, ".test.yml"))
        return PERI_LSP_TESTS;
    if (peri_streq(name, "perigee.yaml"))
        return PERI_LSP_CONFIG;
    return peri_str_ends(path, ".yaml") || peri_str_ends(path, ".yml") ? PERI_LSP_RULES : PERI_LSP_OTHER;
}

const struct peri_value *peri_lsp_schema(const struct peri_lsp *lsp, const struct peri_lsp_doc *doc)
{
    enum peri_lsp_kind kind = peri_lsp_kind(doc->path);
    return kind == PERI_LSP_TESTS ? lsp->tests : kind == PERI_LSP_CONFIG ? lsp->config : lsp->schema;
}
