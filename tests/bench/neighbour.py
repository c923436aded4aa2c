#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a rule feels of a slow neighbour: time from sending an event to the end of its run, one event after the other, while
another rule's condition waits for a server that does not answer, or loops to its limit.

PERIGEE_BIN=$PWD/build/release/bin/perigee PERIGEE_SOURCE=$PWD tests/bench/neighbour.py [EVENTS]"""
import http.client
import json
import os
import socket
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import harness
from test_hostile import Held, put_plugin

PLUGIN = """return { conditions = {
  ["test.ask"] = { evaluate = function(params, ctx) return ctx.http.get("http://" .. ctx.config.host .. "/").status == 200 end },
  ["test.loop"] = { evaluate = function() local n = 0 while true do n = n + 1 end end },
  ["test.yes"] = { evaluate = function() return true end } } }"""
RULES = {"set": "name: Set\ntrigger: {event: t.Set}\nactions: [{set: {n: 1}}]\n",
         "lua": "name: Lua\ntrigger: {event: t.Lua}\nconditions: [{operator: test2.yes}]\nactions: [{set: {n: 1}}]\n",
         "ask": "name: Ask\ntrigger: {event: t.Ask}\nmode: queued\nconditions: [{operator: test.ask}]\nactions: [{stop: true}]\n",
         "loop": "name: Loop\ntrigger: {event: t.Loop}\nconditions: [{operator: test.loop}]\nactions: [{stop: true}]\n"}


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
    connection, times = http.client.HTTPConnection("127.0.0.1", service.port), []
    for _ in range(count):
        begun = time.monotonic()
        connection.request("POST", f"/v1/events?type={type}", "{}", {"Authorization": "Bearer " + service.token, "Content-Type": "application/json"})
        stream.wait(json.loads(connection.getresponse().read())["id"])
        times.append((time.monotonic() - begun) * 1000)
    times.sort()
    return f"p50 {statistics.median(times):6.2f} ms   p99 {times[int(len(times) * 0.99)]:6.2f} ms"


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    held = Held()
    service = harness.Service(f"plugins: {{test: {{config: {{host: '{held.at}'}}}}}}", {k + ".yaml": v for k, v in RULES.items()})
    try:
        for id in ("test", "test2"):
            put_plugin(service, id, PLUGIN.replace("test.", id + "."), ["network:outbound:{config.host}"] if id == "test" else [],
                       configSchema={"type": "object", "properties": {"host": {"type": "string"}}})
        service.start("--plugins", service.dir + "/plugins", "--approve-all")
        stream = Stream(service)
        measure(service, stream, "t.Lua", 50)
        for name, type, rate in (("nothing else", None, 0), ("a condition that waits", "t.Ask", 0.02), ("a condition that loops", "t.Loop", 0.02)):
            stop = threading.Event()

            def disturb():
                while type and not stop.wait(rate):
                    service.emit(type)

            thread = threading.Thread(target=disturb)
            thread.start()
            for kind in ("Set", "Lua"):
                print(f"{name:24} {kind:4} {measure(service, stream, 't.' + kind, count)}", flush=True)
            stop.set()
            thread.join()
        held.go.set()
    finally:
        held.close()
        service.close()


main()
