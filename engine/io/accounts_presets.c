/* SPDX-License-Identifier: Apache-2.0 */
/* Providers that come with perigee: an operator adds a client id and secret. Scopes are what sending and reading need;
 * other ones are the operator's to name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "data/json.h"
#include "io/accounts.h"

#define GOOGLE                                                                                                         \
    "\"authorize_url\":\"https://accounts.google.com/o/oauth2/v2/auth\","                                              \
    "\"token_url\":\"https://oauth2.googleapis.com/token\",\"revoke_url\":\"https://oauth2.googleapis.com/revoke\","   \
    "\"token_auth\":\"body\",\"authorize_params\":{\"access_type\":\"offline\",\"prompt\":\"consent\"}"

static const struct preset {
    const char *name, *json;
} presets[] = {
    {"asana", "{\"label\":\"Asana\",\"authorize_url\":\"https://app.asana.com/-/oauth_authorize\","
              "\"token_url\":\"https://app.asana.com/-/oauth_token\","
              "\"revoke_url\":\"https://app.asana.com/-/oauth_revoke\",\"token_auth\":\"body\","
              "\"scopes\":[\"default\"],\"label_from\":\"/data/email\",\"hosts\":[\"app.asana.com\"]}"},
    {"fitbit",
        "{\"label\":\"Fitbit\",\"authorize_url\":\"https://www.fitbit.com/oauth2/authorize\","
        "\"token_url\":\"https://api.fitbit.com/oauth2/token\",\"revoke_url\":\"https://api.fitbit.com/oauth2/revoke\","
        "\"token_auth\":\"basic\",\"scopes\":[\"activity\",\"heartrate\",\"sleep\",\"weight\",\"profile\"],"
        "\"label_from\":\"/user_id\",\"hosts\":[\"api.fitbit.com\"]}"},
    {"gmail", "{\"label\":\"Gmail\"," GOOGLE ",\"scopes\":[\"https://www.googleapis.com/auth/gmail.send\","
              "\"https://www.googleapis.com/auth/gmail.readonly\"],\"hosts\":[\"gmail.googleapis.com\"]}"},
    {"google", "{\"label\":\"Google\"," GOOGLE
               ",\"hosts\":[\"gmail.googleapis.com\",\"fitness.googleapis.com\",\"health.googleapis.com\"]}"},
    {"google-fit",
        "{\"label\":\"Google Fit\"," GOOGLE ",\"scopes\":[\"https://www.googleapis.com/auth/fitness.activity.read\","
        "\"https://www.googleapis.com/auth/fitness.sleep.read\","
        "\"https://www.googleapis.com/auth/fitness.heart_rate.read\","
        "\"https://www.googleapis.com/auth/fitness.body.read\"],\"hosts\":[\"fitness.googleapis.com\"]}"},
    {"google-health", "{\"label\":\"Google Health\"," GOOGLE
                      ",\"scopes\":[\"https://www.googleapis.com/auth/googlehealth.activity_and_fitness.readonly\","
                      "\"https://www.googleapis.com/auth/googlehealth.sleep.readonly\"],"
                      "\"hosts\":[\"health.googleapis.com\"]}"},
    {"microsoft", "{\"label\":\"Microsoft\","
                  "\"authorize_url\":\"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize\","
                  "\"token_url\":\"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token\","
                  "\"tenant\":\"common\",\"token_auth\":\"body\",\"scopes\":[\"offline_access\",\"User.Read\","
                  "\"Mail.ReadWrite\",\"Mail.Send\",\"Contacts.Read\",\"Calendars.Read\"],"
                  "\"hosts\":[\"graph.microsoft.com\"]}"},
    {"notion", "{\"label\":\"Notion\",\"authorize_url\":\"https://api.notion.com/v1/oauth/authorize\","
               "\"token_url\":\"https://api.notion.com/v1/oauth/token\","
               "\"revoke_url\":\"https://api.notion.com/v1/oauth/revoke\",\"token_auth\":\"basic\","
               "\"token_format\":\"json\",\"pkce\":\"none\",\"authorize_params\":{\"owner\":\"user\"},"
               "\"label_from\":\"/workspace_name\",\"hosts\":[\"api.notion.com\"]}"},
    {"ntfy", "{\"kind\":\"key\",\"label\":\"ntfy\",\"prefix\":\"Bearer \",\"hosts\":[\"ntfy.sh\"]}"},
    {"slack",
        "{\"label\":\"Slack\",\"authorize_url\":\"https://slack.com/oauth/v2/authorize\","
        "\"token_url\":\"https://slack.com/api/oauth.v2.access\",\"revoke_url\":\"https://slack.com/api/auth.revoke\","
        "\"revoke_style\":\"bearer\",\"token_auth\":\"basic\",\"pkce\":\"none\",\"scope_separator\":\",\","
        "\"scopes\":[\"chat:write\",\"channels:read\",\"channels:history\",\"users:read\"],"
        "\"label_from\":\"/team/name\",\"hosts\":[\"slack.com\"]}"},
    {"usda-fdc", "{\"kind\":\"key\",\"label\":\"USDA FoodData Central\",\"hosts\":[\"api.nal.usda.gov\"]}"},
    {"whatsapp", "{\"kind\":\"key\",\"label\":\"WhatsApp Business\",\"prefix\":\"Bearer \","
                 "\"hosts\":[\"graph.facebook.com\"]}"},
};
#define PRESETS (sizeof(presets) / sizeof(presets[0]))

static const char *const names[] = {"asana", "fitbit", "gmail", "google", "google-fit", "google-health", "microsoft",
    "notion", "ntfy", "slack", "usda-fdc", "whatsapp", NULL};
_Static_assert(sizeof(names) / sizeof(names[0]) == PRESETS + 1, "names are those of the presets");

const char *const *peri_provider_presets(void)
{
    return names;
}

struct peri_value *peri_provider_preset(const char *name)
{
    struct peri_value *v = NULL;
    for (size_t i = 0; i < PRESETS; i++)
        if (!strcmp(presets[i].name, name) &&
            peri_json_parse(presets[i].json, strlen(presets[i].json), &v, NULL) == PERI_OK)
            return v;
    return NULL;
}

bool peri_account_name_ok(const char *name)
{
    size_t n = strlen(name);
    bool ok = n > 0 && n <= PERI_ACCOUNT_NAME_MAX && strchr("abcdefghijklmnopqrstuvwxyz0123456789", name[0]);
    for (size_t i = 0; ok && i < n; i++)
        ok = strchr("abcdefghijklmnopqrstuvwxyz0123456789-_.", name[i]) != NULL;
    return ok;
}

/* --- what the operator wrote over a preset --- */

static const char *const urls[] = {"authorize_url", "token_url", "revoke_url", NULL};

static enum peri_status overlay(struct peri_value *to, const struct peri_value *given)
{
    struct peri_value *own = peri_value_list();
    enum peri_status st = own ? PERI_OK : PERI_ENOMEM;
    for (void *it = peri_map_first(given); !st && it; it = peri_map_next(given, it)) {
        const char *key = peri_map_key(it, NULL);
        if (strcmp(key, "preset") != 0)
            st = peri_map_put_ref(to, key, peri_map_item(it));
        for (const char *const *u = urls; !st && *u; u++)
            if (!strcmp(*u, key))
                st = peri_list_push(own, peri_value_str(key));
    }
    if (st) {
        peri_value_unref(own);
        return st;
    }
    return peri_map_put(to, "own", own);
}

static enum peri_status fill(struct peri_value *v)
{
    bool key = peri_streq(peri_map_text(v, "kind"), "key");
    const struct {
        const char *name, *text;
        bool oauth;
    } defaults[] = {{"kind", "oauth2", false}, {"prefix", key ? "" : "Bearer ", false}, {"pkce", "S256", true},
        {"token_auth", "basic", true}, {"token_format", "form", true}, {"scope_separator", " ", true},
        {"revoke_style", "token", true}};
    enum peri_status st = PERI_OK;
    for (size_t i = 0; !st && i < sizeof(defaults) / sizeof(defaults[0]); i++)
        if (!peri_map_at(v, defaults[i].name) && !(key && defaults[i].oauth))
            st = peri_map_put_text(v, defaults[i].name, defaults[i].text);
    return st;
}

/* "{tenant}" in a URL. */
static enum peri_status put_tenant(struct peri_value *v)
{
    const char *tenant = peri_map_text(v, "tenant");
    enum peri_status st = PERI_OK;
    for (const char *const *u = urls; tenant && !st && *u; u++) {
        const char *url = peri_map_text(v, *u), *at = url ? strstr(url, "{tenant}") : NULL;
        if (!at)
            continue;
        char *text = peri_asprintf("%.*s%s%s", (int)(at - url), url, tenant, at + strlen("{tenant}"));
        st = text ? peri_map_put_text(v, *u, text) : PERI_ENOMEM;
        free(text);
    }
    return st;
}

static enum peri_status missing(const char *key, const char *what, const char **ret_key, struct peri_error *err)
{
    *ret_key = key;
    return peri_error_set(err, PERI_EINVAL, "missing-key", "\"%s\" is missing: %s", key, what);
}

static enum peri_status check(const struct peri_value *v, const char **ret_key, struct peri_error *err)
{
    bool key = peri_streq(peri_map_text(v, "kind"), "key");
    if (!peri_value_count(peri_map_at(v, "hosts")))
        return missing("hosts", "where may its token be sent?", ret_key, err);
    if (key)
        return PERI_OK;
    if (!peri_map_text(v, "authorize_url"))
        return missing("authorize_url", "the provider's page for users", ret_key, err);
    if (!peri_map_text(v, "token_url"))
        return missing("token_url", "where the provider gives tokens", ret_key, err);
    if (!peri_map_text(v, "client_id"))
        return missing("client_id", "the provider gives one for each application", ret_key, err);
    if (!peri_map_at(v, "client_secret") && !peri_streq(peri_map_text(v, "token_auth"), "none"))
        return missing("client_secret", "a !secret, or token_auth: none when the provider gave none", ret_key, err);
    if (peri_streq(peri_map_text(v, "token_auth"), "none") && !peri_streq(peri_map_text(v, "pkce"), "S256")) {
        *ret_key = "pkce";
        return peri_error_set(err, PERI_EINVAL, "wrong-value", "a client without a secret needs \"pkce\": S256");
    }
    return PERI_OK;
}

enum peri_status peri_provider_complete(const char *name, const struct peri_value *given, struct peri_value **ret,
    const char **ret_key, struct peri_error *err)
{
    const char *asked = peri_map_text(given, "preset");
    struct peri_value *v = peri_provider_preset(asked ? asked : name);
    *ret_key = NULL;
    if (asked && !v) {
        const char *near = peri_nearest(asked, names);
        *ret_key = "preset";
        return peri_error_set(err, PERI_EINVAL, "unknown-preset",
            "there is no provider \"%s\" that is known here%s%s%s", asked, near ? " (did you mean \"" : "",
            near ? near : "", near ? "\"?)" : "");
    }
    if (!v)
        v = peri_value_map();
    enum peri_status st = v ? overlay(v, given) : PERI_ENOMEM;
    if (!st)
        st = fill(v);
    if (!st)
        st = put_tenant(v);
    if (st)
        (void)peri_error_nomem(err);
    else
        st = check(v, ret_key, err);
    if (st)
        peri_value_unref(v);
    else
        *ret = v;
    return st;
}
