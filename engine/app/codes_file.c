/* SPDX-License-Identifier: Apache-2.0 */
/* Codes of files as such: YAML, folders, the configuration. */
#include "app/codes.h"

const struct peri_code peri_codes_file[] = {
    {"yaml-syntax", "the file is not YAML",
        "The text breaks off or goes on in a way that YAML does not know: an open quote or bracket, a tab as "
        "indentation, a key in the wrong "
        "column, a template without quotes. The finding stands where the reader gave up; the cause is there or shortly "
        "before.",
        PERI_EXAMPLE_RULE, "description: {{ event.name }}", "description: \"{{ event.name }}\""},
    {"yaml-encoding", "the file is not UTF-8",
        "Rules and configuration are UTF-8 text without NUL characters. Save the file as UTF-8 in your editor.",
        PERI_EXAMPLE_NONE, NULL, NULL},
    {"yaml-limit", "the file breaks a limit of the reader",
        "A file holds at most 1 MiB, 64 levels of nesting and 100,000 nodes after aliases are expanded. Split the "
        "file, or write the value without "
        "so many aliases.",
        PERI_EXAMPLE_NONE, NULL, NULL},
    {"unreadable", "a file cannot be read", "It is not there, is no regular file, or its permissions forbid it.",
        PERI_EXAMPLE_SHELL, "perigee check rules/no-such-file.yaml", "perigee check rules/hello.yaml"},
    {"no-file", "there is no such file or folder", "A path of the command line or of $PERIGEE_CONFIG leads nowhere.",
        PERI_EXAMPLE_SHELL, "perigee check rule/", "perigee check rules/"},
    {"folder", "a rule folder cannot be read",
        "The folder is there but its permissions forbid reading it, or it has vanished while the service runs; then "
        "its last good rules keep running.",
        PERI_EXAMPLE_NONE, NULL, NULL},
    {"duplicate-key", "the same key twice in one mapping",
        "Only one of the two could count, and a reader would not know which.", PERI_EXAMPLE_RULE,
        "priority: 1\npriority: 2", "priority: 2"},
    {"merge-key", "YAML merge keys are not accepted",
        "\"<<\" was dropped from YAML 1.2. Write the keys out, or use an alias for the whole value.", PERI_EXAMPLE_RULE,
        "actions:\n  - operator: core.log\n    params: &p {message: hello}\n  - operator: core.log\n    params: {<<: "
        "*p}",
        "actions:\n  - operator: core.log\n    params: &p {message: hello}\n  - operator: core.log\n    params: *p"},
    {"comment-in-text", "a part of a text is read as a comment",
        "A warning. In a text without quotes ' #' begins a comment. It is reported when a number follows at once.",
        PERI_EXAMPLE_RULE, "description: Room #5 is warm", "description: \"Room #5 is warm\""},
    {"bad-key", "this cannot be a key",
        "A key is a text: not a list, a mapping, a number, true, false or null, and it has no tag.", PERI_EXAMPLE_RULE,
        "trigger:\n  event: demo.Hello\n  match:\n    true: [1]",
        "trigger:\n  event: demo.Hello\n  match:\n    \"true\": [1]"},
    {"bad-number", "a number that cannot be kept exactly",
        "Integers have 64 bits, other numbers are doubles; 0x and 0o numbers are integers. Put it in quotes if it is a "
        "text.",
        PERI_EXAMPLE_RULE, "actions:\n  - set: {n: 123456789012345678901234567890}",
        "actions:\n  - set: {n: \"123456789012345678901234567890\"}"},
    {"unknown-tag", "a YAML tag that is not known here",
        "Rules know !secret. A text that starts with an exclamation mark needs quotes.", PERI_EXAMPLE_RULE,
        "actions:\n  - set: {key: !secrets mail}", "actions:\n  - set: {key: !secret mail}"},
    {"bad-tag", "a YAML tag in the wrong place", "A tag goes with a single text, not with a list or a mapping.",
        PERI_EXAMPLE_RULE, "actions:\n  - set: {key: !secret [mail]}", "actions:\n  - set: {key: !secret mail}"},
    {"unknown-alias", "an alias without its anchor",
        "\"*name\" repeats what \"&name\" marked earlier in the same document. A text that starts with a star needs "
        "quotes.",
        PERI_EXAMPLE_RULE, "trigger:\n  event: *all", "trigger:\n  event: \"all.*\""},
    {"wrong-value", "a configuration value that its key does not take",
        "docs/configuration.md says what each key of perigee.yaml takes.", PERI_EXAMPLE_CONFIG, "log: {level: loud}",
        "log: {level: debug}"},
    {"secret-here", "!secret in a place that cannot hide it",
        "Secrets of the store are opened for plugins and accounts only, so !secret works under plugins.<id>.config and "
        "as "
        "client_secret of an account. Elsewhere use !env or a credential file.",
        PERI_EXAMPLE_CONFIG, "http: {token: !secret api}", "http: {listen: \"127.0.0.1:8420\"}"},
    {"unknown-preset", "a provider that perigee does not know",
        "`preset` names a description that comes with perigee: asana, fitbit, gmail, google, google-fit, "
        "google-health, "
        "microsoft, notion, ntfy, slack, usda-fdc, whatsapp. Another provider is described by its URLs and hosts; "
        "docs/accounts.md says how.",
        PERI_EXAMPLE_CONFIG, "accounts: {mail: {preset: gogle, client_id: x, client_secret: !secret google}}",
        "accounts: {mail: {preset: gmail, client_id: x, client_secret: !secret google}}"},
    {"insecure-url", "a URL for tokens that is not encrypted",
        "Codes, client secrets and tokens go to the URLs of an account. Only on this machine (localhost, 127.0.0.1) "
        "may "
        "they be http.",
        PERI_EXAMPLE_CONFIG,
        "accounts:\n  x: {authorize_url: \"http://example.com/a\", token_url: \"https://example.com/t\", client_id: x, "
        "token_auth: none, hosts: [example.com]}",
        "accounts:\n  x: {authorize_url: \"https://example.com/a\", token_url: \"https://example.com/t\", client_id: "
        "x, "
        "token_auth: none, hosts: [example.com]}"},
    {"env", "an environment variable that is not set",
        "\"!env NAME\" reads a variable of the environment in which perigee runs.", PERI_EXAMPLE_CONFIG,
        "timezone: !env NO_SUCH_VARIABLE", "timezone: !env TZ"},
    {"tls", "certificate and key must come together", "http.tls.cert and http.tls.key are set both or not at all.",
        PERI_EXAMPLE_CONFIG, "http: {tls: {cert: cert.pem}}", "http: {listen: \"127.0.0.1:8420\"}"},
    {"test-failed", "a test of a rule expected something else",
        "The finding says what happened instead. Either the rule or the expectation is wrong.", PERI_EXAMPLE_SHELL,
        "perigee test rules/", "perigee test rules/hello.test.yaml"},
    {"not-covered", "tests never reached this",
        "perigee test --coverage: a condition that was true in all tests, or false in all, a pattern that never "
        "matched or "
        "always did, a branch that was never taken. Write a test in which it goes the other way.",
        PERI_EXAMPLE_SHELL, "perigee test --coverage rules/", "perigee test --coverage rules/hello.test.yaml"},
    {"not-noticed", "no test fails when this is changed",
        "perigee test --mutate: the rule was tried without this condition, field, throttle or `if`, or with it turned "
        "round, and all tests passed. Write a test with an event that differs just there, and expect the verdict.",
        PERI_EXAMPLE_SHELL, "perigee test --mutate rules/", "perigee test --mutate rules/hello.test.yaml"},
    {0},
};
