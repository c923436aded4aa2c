# SPDX-License-Identifier: Apache-2.0
"""Node-RED (npm install -g node-red) with the nearest thing that it can do: an HTTP endpoint, a switch and a function. It keeps nothing: what it
has accepted is lost when it stops, so its figures stand beside perigee's without durability. Used by measure.py; skipped when it is not installed."""
import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile

import harness

FLOW = [
    {"id": "tab", "type": "tab", "label": "bench"},
    {"id": "in", "type": "http in", "z": "tab", "url": "/event", "method": "post", "wires": [["answer", "switch"]]},
    {"id": "answer", "type": "http response", "z": "tab", "statusCode": "202", "wires": []},
    {"id": "switch", "type": "switch", "z": "tab", "property": "payload.direction", "propertyType": "msg", "checkall": "true", "outputs": 1,
     "rules": [{"t": "eq", "v": "inbound", "vt": "str"}], "wires": [["set"]]},
    {"id": "set", "type": "function", "z": "tab", "func": "msg.who = msg.payload.fromContactId; return msg;", "outputs": 1, "wires": [[]]},
]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def answers(port):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("POST", "/event", "{}", {"Content-Type": "application/json"})
        return connection.getresponse().status == 202
    except OSError:
        return False


def measure(result, options, program):
    if not shutil.which("node-red"):
        return
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="perigee-bench-", dir=options.folder) as folder:
        with open(os.path.join(folder, "flows.json"), "w") as f:
            json.dump(FLOW, f)
        with open(os.path.join(folder, "settings.js"), "w") as f:
            f.write("module.exports = {uiHost: '127.0.0.1', logging: {console: {level: 'error'}}, editorTheme: {tours: false}};")
        server = subprocess.Popen(["node-red", "-u", folder, "-p", str(port), "-s", os.path.join(folder, "settings.js"), "flows.json"], cwd=folder,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            harness.wait_for(lambda: answers(port), "Node-RED to answer")
            got = program("bench_load", "rate", port, "bench.None", 16, 1, options.events, "/event", PERIGEE_TOKEN="none")
            result["nodered.accepted_per_s"] = got["accepted_per_s"]
        finally:
            server.kill()
            server.wait()


def report(row, result):
    if "nodered.accepted_per_s" not in result:
        print("\nNode-RED is not installed: skipped (npm install -g node-red)")
        return
    print("\nNode-RED, single events over HTTP, 16 keep-alive connections, nothing kept on disk")
    row("an endpoint, a switch, a function: accepted", "nodered.accepted_per_s", "/s")
