/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/refusal.h"

#include <stddef.h>
#include <string.h>

const char *const peri_refusal_codes[] = {
    "policy.not-approved",
    "policy.changed",
    "policy.new-permission",
    "policy.isolation",
    "relationship.missing",
    "relationship.inactive",
    "relationship.version",
    "relationship.conflict",
    "relationship.cycle",
    "settings.missing",
    "settings.invalid",
    "manifest.invalid",
    "manifest.entrypoint",
    "package.symlink",
    "package.special",
    "package.limit",
    "plugin.package",
    "plugin.operator",
    "plugin.duplicate",
    "plugin.id",
    "native.load",
    "native.format",
    "native.arch",
    "native.library",
    "native.symbol",
    "native.entry",
    "native.version",
    "native.init",
    "native.crashed",
    "native.hangs",
    "native.operator",
    "limit.instructions",
    "limit.time",
    "limit.memory",
    NULL,
};

static const char *const remedies[] = {
    "perigee plugins approve ID",
    "look at what changed, then: perigee plugins approve ID",
    "look at what it asks for, then: perigee plugins approve ID",
    "if you trust its code: perigee plugins approve ID --isolation none",
    "install the plugin that it requires into a folder of plugin_path",
    "get the plugin that it requires to run: perigee plugins list",
    "install a version that its relationships allow",
    "disable one of the two: perigee plugins disable ID",
    "ask the authors: one of these relationships has to go",
    "set plugins.ID.config in perigee.yaml, then: perigee plugins reload ID",
    "correct plugins.ID.config in perigee.yaml, then: perigee plugins reload ID",
    "correct plugin.json: perigee plugins check DIR",
    "put the file there, or name another entrypoint",
    "replace the symbolic link by the file itself",
    "remove what is neither a file nor a folder",
    "make the package smaller",
    "correct init.lua: perigee plugins check DIR",
    "give the operator another id, or disable the other plugin",
    "remove one of the two folders",
    "give the other plugin a folder of its own",
    "build the shared object for this system: perigee plugins probe FILE.so",
    "build it with -shared: perigee plugins probe FILE.so",
    "build it for this machine",
    "install the library that it needs: ldd FILE.so",
    "link the library that has it, or install the version it was built with",
    "export perigee_plugin_init",
    "install the version of the plugin made for this perigee",
    "see the plugin's own message",
    "ask its author; perigee plugins probe FILE.so shows it again; once it is corrected: perigee plugins reload ID",
    "let init return at once: what takes time belongs into start",
    "correct what it registers: perigee plugins check DIR",
    "do less while loading, or ask for a higher limit in plugin.json",
    "do less while loading, or ask for a higher limit in plugin.json",
    "need less memory, or ask for a higher limit in plugin.json",
};

_Static_assert(sizeof(peri_refusal_codes) / sizeof(peri_refusal_codes[0]) == sizeof(remedies) / sizeof(remedies[0]) + 1,
    "each code has its remedy");

const char *peri_refusal_remedy(const char *code)
{
    for (size_t i = 0; peri_refusal_codes[i]; i++)
        if (!strcmp(peri_refusal_codes[i], code))
            return remedies[i];
    return NULL;
}
