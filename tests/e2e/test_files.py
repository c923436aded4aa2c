#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ctx.files.read through the program: what was granted is read, and nothing leads out of it. In the service's process and in one of its own."""
import json
import os

import harness

LUA = """return { actions = { ["file.read"] = { execute = function(p, ctx)
  local text, size = ctx.files.read(p.path, { offset = p.offset, limit = p.limit })
  return { text = text, size = size }
end } } }"""


class Files(harness.Case):
    isolation = None

    def setUp(self):
        p = self.p = self.service(start=False)
        self.granted, self.secret = os.path.join(p.dir, "granted"), os.path.join(p.dir, "secret.txt")
        os.makedirs(os.path.join(self.granted, "deep"))
        for path, text in ((self.secret, "not yours"), (os.path.join(self.granted, "a.txt"), "hello world"), (os.path.join(self.granted, "deep/b.txt"), "deeper"),
                           (os.path.join(p.dir, "granted-too.txt"), "a neighbour with the same beginning")):
            with open(path, "w") as f:
                f.write(text)
        folder = os.path.join(p.dir, "plugins", "file")
        os.makedirs(folder)
        with open(os.path.join(folder, "init.lua"), "w") as f:
            f.write(LUA)
        with open(os.path.join(folder, "plugin.json"), "w") as f:
            json.dump({"id": "test.file", "name": "File", "version": "1.0.0", "type": "operator", "apiVersion": "1.0", "entrypoint": "./init.lua",
                       "permissions": [f"filesystem:read:{self.granted}"]}, f)
        p.write_config(f"plugin_path: ['{p.dir}/plugins']", [p.rules])
        isolation = ["--isolation", self.isolation] if self.isolation else []
        p.cli("plugins", "approve", "test.file", *isolation, "--yes", expect=0)
        p.start()

    def read(self, path, **more):
        answer = self.p.request("POST", "/v1/operators/file.read/call", {"params": {"path": path, **more}})
        self.assertEqual(answer.status, 200, answer)
        return answer.json["result"] if answer.json["ok"] else answer.json["error"]["code"]

    def test_what_was_granted_and_no_more(self):
        def inside(name):
            return os.path.join(self.granted, name)

        os.symlink(self.secret, inside("link.txt"))
        os.symlink("../secret.txt", inside("relative.txt"))
        os.symlink(self.p.dir, inside("folder"))
        os.symlink("a.txt", inside("harmless.txt"))
        os.mkfifo(inside("pipe"))
        self.assertEqual(self.read(inside("a.txt")), {"text": "hello world", "size": 11})
        self.assertEqual(self.read(inside("a.txt"), offset=6, limit=3), {"text": "wor", "size": 11})
        self.assertEqual(self.read(inside("deep/b.txt"))["text"], "deeper")
        wanted = {"../secret.txt": ("denied", "file.escape"), "deep/../../secret.txt": ("denied", "file.escape"), "link.txt": ("file.escape",),
                  "relative.txt": ("file.escape",), "folder/secret.txt": ("file.escape",), "harmless.txt": ("file.escape",), "nothing.txt": ("file.missing",),
                  "deep": ("file.kind",), "pipe": ("file.kind",), "a.txt/x": ("file.missing",)}
        for name, codes in wanted.items():
            with self.subTest(name):
                self.assertIn(self.read(f"{self.granted}/{name}"), codes)
        for path in (self.secret, os.path.join(self.p.dir, "granted-too.txt"), "/etc/passwd", "/proc/self/environ", os.path.join(self.p.state, "token")):
            with self.subTest(path):
                self.assertEqual(self.read(path), "denied")
        self.assertEqual(self.read("a.txt"), "bad_argument")
        self.assertEqual(self.read(inside("a.txt\0/../../secret.txt")), "bad_argument")
        self.p.cli("plugins", "revoke", "test.file", expect=0)
        harness.wait_for(lambda: self.p.request("POST", "/v1/operators/file.read/call", {"params": {"path": inside("a.txt")}}).status == 404, "the revocation")


class FilesFromAProcessOfItsOwn(Files):
    isolation = "process"


if __name__ == "__main__":
    harness.main()
