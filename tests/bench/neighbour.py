#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a rule feels of a bad neighbour: time from sending an event to the end of its run, one event after the other, while another
plugin misbehaves for 50 events a second: its condition waits for a server that does not answer, or loops to its limit, or takes long
and stays below it; its action loops; the same in a process of its own.

PERIGEE_BIN=$PWD/build/release/bin/perigee PERIGEE_SOURCE=$PWD tests/bench/neighbour.py [--json] [EVENTS]"""
import http.client
import json
import os
import socket
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import harness  # noqa: E402
from test_hostile import Held, put_plugin  # noqa: E402

PLUGIN = """return { conditions = {
  ["ID.ask"] = { evaluate = function(params, ctx) return ctx.http.get("http://" .. ctx.config.host .. "/").status == 200 end },
  ["ID.loop"] = { evaluate = function() local n = 0 while true do n = n + 1 end end },
  ["ID.slow"] = { evaluate = function() local t = {} for n = 1, 60 do t[n] = ("x"):rep(500000) .. n end return #t > 99 end },
  ["ID.yes"] = { evaluate = function() return true end } },
  actions = { ["ID.spin"] = { execute = function() while true do pcall(string.rep, "x", 100) end end } } }"""
# What disturbs, the event that sets it off, the plugin it is in.
NEIGHBOURS = (("nothing", None, None), ("a condition that waits", "t.Ask", "bad"), ("a condition that loops", "t.Loop", "bad"),
              ("a slow condition below its limits", "t.Slow", "bad"), ("an action that loops", "t.Spin", "bad"),
              ("a condition that loops in a process", "t.Loop2", "worse"), ("an action that loops in a process", "t.Spin2", "worse"))
KINDS = (("set", "t.Set", "a rule, one set step"), ("lua", "t.Lua", "a rule, a Lua condition, one set step"))


def rule(name, type, condition=None, action="set: {n: 1}"):
    lines = [f"name: {name}", f"trigger: {{event: {type}}}"] + ([f"conditions: [{{operator: {condition}}}]"] if condition else [])
    return "\n".join([*lines, "mode: parallel", "max: 1000", f"actions: [{{{action}}}]", ""])


RULES = {"set": rule("Set", "t.Set"), "lua": rule("Lua", "t.Lua", "good.yes"), "ask": rule("Ask", "t.Ask", "bad.ask"),
         "loop": rule("Loop", "t.Loop", "bad.loop"), "slow": rule("Slow", "t.Slow", "bad.slow"), "spin": rule("Spin", "t.Spin", None, "operator: bad.spin"),
         "loop2": rule("Loop2", "t.Loop2", "worse.loop"), "spin2": rule("Spin2", "t.Spin2", None, "operator: worse.spin")}


class Stream:
    """Ends of runs, as the service tells them."""

    def __init__(self, service):
        self.socket = socket.create_connection(("127.0.0.1", service.port), timeout=60)
        self.socket.sendall(f"GET /v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.token}\r\n\r\n".encode())
        self.rest, self.ended, self.news = b"", set(), threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while True:
            part = self.socket.recv(65536)
            if not part:
                return
            *lines, self.rest = (self.rest + part).split(b"\n")
            for line in lines:
                if line.startswith(b"data:") and b'"succeeded"' in line:
                    with self.news:
                        self.ended.add(json.loads(line[5:]).get("event"))
                        self.news.notify_all()

    def wait(self, event):
        with self.news:
            if not self.news.wait_for(lambda: event in self.ended, 60):
                raise SystemExit(f"{event} has not ended within a minute")


def measure(service, stream, type, count):
    """(p50, p99) in ms"""
    connection, times = http.client.HTTPConnection("127.0.0.1", service.port), []
    for _ in range(count):
        begun = time.monotonic()
        connection.request("POST", f"/v1/events?type={type}", "{}", {"Authorization": "Bearer " + service.token, "Content-Type": "application/json"})
        stream.wait(json.loads(connection.getresponse().read())["id"])
        times.append((time.monotonic() - begun) * 1000)
    times.sort()
    return statistics.median(times), times[int(len(times) * 0.99)]


def beside(service, stream, type, count):
    """What the rules of KINDS take while events of this type come in."""
    stop, result = threading.Event(), {}

    def disturb():
        while type and not stop.wait(0.02):
            service.emit(type)

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        for kind, event, _ in KINDS:
            result[kind] = measure(service, stream, event, count)
    finally:
        stop.set()
        thread.join()
    return result


def run(count):
    """{(neighbour, kind): (p50, p99)}; each neighbour beside a service of its own, so that none works off the last one's queue."""
    result = {}
    for name, type, _ in NEIGHBOURS:
        held = Held()
        service = harness.Service(f"plugins: {{bad: {{config: {{host: '{held.at}'}}}}}}", {k + ".yaml": v for k, v in RULES.items()})
        try:
            for id in ("bad", "worse", "good"):
                put_plugin(service, id, PLUGIN.replace("ID.", id + "."), ["network:outbound:{config.host}"] if id == "bad" else [],
                           configSchema={"type": "object", "properties": {"host": {"type": "string"}}})
            os.makedirs(service.state, exist_ok=True)
            with open(os.path.join(service.state, "policy.yaml"), "w") as f:
                f.write("plugins: {worse: {isolation: process}}\n")
            service.start("--plugins", service.dir + "/plugins", "--approve-all")
            stream = Stream(service)
            measure(service, stream, "t.Lua", 50)
            for kind, times in beside(service, stream, type, count).items():
                result[name, kind] = times
        finally:
            held.close()
            service.close()
    return result


def main():
    numbers = [a for a in sys.argv[1:] if a.isdigit()]
    result = run(int(numbers[0]) if numbers else 300)
    if "--json" in sys.argv:
        print(json.dumps({f"neighbour.{name}.{kind}.{part}_ms": round(value, 3)
                          for (name, kind), times in result.items() for part, value in zip(("p50", "p99"), times)}))
    else:
        for (name, kind), (p50, p99) in result.items():
            print(f"{name:36} {kind:4} p50 {p50:6.2f} ms   p99 {p99:6.2f} ms")


if __name__ == "__main__":
    main()
