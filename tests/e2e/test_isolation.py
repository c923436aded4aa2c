#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A plugin in a process of its own, as an operator sees it: approved so, shown so, lost and started again, gone when it should be."""
import json
import os
import signal

import harness

LUA = """local calls = 0
return {
  conditions = { ["cell.even"] = { evaluate = function(p, ctx) return p.n % 2 == 0, { n = p.n } end } },
  actions = {
    ["cell.count"] = { execute = function(_, ctx)
      calls = calls + 1
      ctx.storage.set("calls", (ctx.storage.get("calls") or 0) + 1)
      ctx.emit("cell.Counted", { calls = calls })
      return { calls = calls, stored = ctx.storage.get("calls") }
    end },
    ["cell.burn"] = { execute = function() while true do pcall(error) end end },
  },
}"""
RULE = """name: Cell
trigger: {event: t.Go}
conditions: [{operator: cell.even, params: {n: "{{ event.n }}"}}]
actions: [{operator: cell.count, id: count}]
"""


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def alive(pid):
    try:
        return read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Isolation(harness.Case):
    def setUp(self):
        self.p = self.service(f"plugin_path: [{'plugins'}]", rules={"cell.yaml": RULE}, start=False)
        folder = os.path.join(self.p.dir, "plugins", "cell")
        os.makedirs(folder)
        self.p.write_config(f"plugin_path: ['{os.path.dirname(folder)}']", [self.p.rules])
        with open(os.path.join(folder, "plugin.json"), "w") as f:
            json.dump({"id": "test.cell", "name": "Cell", "version": "1.0.0", "type": "operator", "apiVersion": "1.0", "entrypoint": "./init.lua",
                       "permissions": ["storage:read", "storage:write", "event:publish:cell.*"]}, f)
        with open(os.path.join(folder, "init.lua"), "w") as f:
            f.write(LUA)
        self.p.cli("plugins", "approve", "test.cell", "--isolation", "process", "--yes", expect=0)

    def show(self):
        return json.loads(self.p.cli("plugins", "show", "test.cell", "--json", expect=0).stdout)

    def wait_active(self):
        harness.wait_for(lambda: self.show()["state"] == "active" and self.show().get("pid"), "the plugin to be active")
        return self.show()["pid"]

    def go(self, n):
        event = self.p.emit("t.Go", {"n": n})
        self.p.matched(event)
        return self.p.runs_of(event)

    def test_it_runs_apart_and_is_shown_so(self):
        self.p.start()
        pid = self.wait_active()
        status, limits, stat = (read(f"/proc/{pid}/{name}") for name in ("status", "limits", "stat"))
        self.assertIn("Seccomp:\t2", status)
        self.assertIn("NoNewPrivs:\t1", status)
        limits = {line[:26].strip(): line[26:].split()[0] for line in limits.splitlines()[1:]}
        self.assertEqual((limits["Max processes"], limits["Max open files"], limits["Max file size"], limits["Max core file size"]), ("0", "4", "0", "0"))
        self.assertEqual(int(stat.rsplit(")", 1)[1].split()[3]), pid)  # a session of its own
        run, = self.go(2)
        self.assertEqual(self.p.get("/v1/runs/" + run["id"])["steps"][0]["result"], {"calls": 1, "stored": 1})
        self.assertEqual(self.go(3), [])
        self.assertEqual(len(self.p.get("/v1/events?type=cell.Counted")["items"]), 1)
        self.assertIn("1 of them in a process of their own", self.p.cli("doctor").stdout)
        self.assertEqual(self.show()["isolation"], "process")
        burnt = self.p.request("POST", "/v1/operators/cell.burn/call", {"params": {}}).json
        self.assertEqual(burnt["error"]["code"], "limit.instructions")
        self.assertEqual(self.show()["pid"], pid)

    def test_it_comes_back_when_it_was_lost(self):
        self.p.start()
        pid = self.wait_active()
        self.go(2)
        os.kill(pid, signal.SIGKILL)
        harness.wait_for(lambda: not alive(pid), "the process to end")
        harness.wait_for(lambda: self.show().get("pid", pid) != pid, "another process")
        run, = self.go(4)
        self.assertEqual(self.p.get("/v1/runs/" + run["id"])["steps"][0]["result"], {"calls": 1, "stored": 2})
        self.assertEqual(self.show()["restarts"], 1)
        self.assertIn('perigee_plugin_process_losses_total{plugin="test.cell"} 1', self.p.request("GET", "/metrics").body.decode())

    def test_it_is_gone_when_it_should_be(self):
        self.p.start()
        pid = self.wait_active()
        self.p.cli("plugins", "disable", "test.cell", expect=0)
        harness.wait_for(lambda: not alive(pid), "the process to end after disable")
        self.p.cli("plugins", "enable", "test.cell", expect=0)
        pid = self.wait_active()
        self.p.cli("plugins", "reload", "test.cell", expect=0)
        harness.wait_for(lambda: not alive(pid), "the process to end after reload")
        pid = self.wait_active()
        self.p.cli("plugins", "revoke", "test.cell", expect=0)
        harness.wait_for(lambda: not alive(pid), "the process to end after revoke")
        self.p.cli("plugins", "approve", "test.cell", "--isolation", "process", "--yes", expect=0)
        pid = self.wait_active()
        self.p.stop()
        self.assertFalse(alive(pid))
        self.p.start()
        pid = self.wait_active()
        self.p.kill()
        harness.wait_for(lambda: not alive(pid), "the process to end with the killed service")

    def test_without_the_service(self):
        answer = json.loads(self.p.cli("operators", "call", "cell.count", "--params", "{}", "--json", expect=0).stdout)
        self.assertEqual(answer["result"]["calls"], 1)
        self.assertIn("isolation is process or none", self.p.cli("plugins", "approve", "test.cell", "--isolation", "jail", "--yes", expect=2).stderr)
        with open(os.path.join(self.p.state, "policy.yaml")) as f:
            text = f.read()
        self.assertIn('isolation: "process"', text)
        with open(os.path.join(self.p.state, "policy.yaml"), "w") as f:
            f.write(text.replace('"process"', "jail"))
        self.assertIn("isolation must be process or none", self.p.cli("check").stdout + self.p.cli("check").stderr)


if __name__ == "__main__":
    harness.main()
