#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the release build: events a second, latency, memory, start, idling. script/bench builds and calls it.

The measurements are made in rounds, each of them once a round, and the median over the rounds is told: whatever else the machine does
then meets all of them. Nothing is compared with a limit: a slow machine makes other figures, no failure."""
import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARIES = ROOT / "build/release/bin"
os.environ["PERIGEE_BIN"] = str(BINARIES / "perigee")
os.environ["PERIGEE_SOURCE"] = str(ROOT)
sys.path.insert(0, str(ROOT / "tests/e2e"))
import harness  # noqa: E402  (it reads the environment)
import neighbour  # noqa: E402
import nodered  # noqa: E402
import outgoing  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
RULES = {
    "set.yaml": """name: One step
trigger: {event: bench.Set}
actions:
  - set: {who: "{{ event.fromContactId }}"}
""",
    "lua.yaml": """name: One condition in Lua
trigger: {event: bench.Lua}
conditions:
  - operator: contact.HasTag
    params: {tag: vip, contactId: "{{ event.fromContactId }}"}
actions:
  - set: {who: "{{ event.fromContactId }}"}
""",
}
# What a rule of a user looks like: a type that 1 in 50 rules hears, a pattern, an operator as condition, one as action.
MANY = """name: Rule {n}
trigger:
  event: shop.Order{type}
  match: {{customer: [c-{n}], total: [{{numeric: [">=", 100]}}]}}
conditions:
  - operator: contact.HasTag
    params: {{tag: vip, contactId: "{{{{ event.customer }}}}"}}
actions:
  - operator: notify.send
    params: {{title: "Order", message: "{{{{ event.customer }}}} ordered for {{{{ event.total }}}}"}}
"""
# 1,000 rules hear the type; the pattern of one of them matches, and its condition in Lua says no.
ONE_OF_MANY = """name: One of many {n}
trigger: {{event: bench.Many, match: {{fromContactId: [contact-{n}]}}}}
conditions:
  - operator: contact.HasTag
    params: {{tag: nobody, contactId: "{{{{ event.fromContactId }}}}"}}
actions:
  - set: {{who: "{{{{ event.fromContactId }}}}"}}
"""
KINDS = (("none", "bench.None", "no rule hears them"), ("set", "bench.Set", "a rule, one set step"), ("lua", "bench.Lua", "a rule, a Lua condition, one set step"))


CLIENTS = (1, 16, 256)


def program(name, *arguments, **environment):
    done = subprocess.run([BINARIES / name, *map(str, arguments)], env={**os.environ, **environment}, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{name} {arguments} ended with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout)


def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory_kib(pid):
    sizes = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, size = line.split(":")
        sizes[name] = int(size.split()[0])
    return sizes["Rss"], sizes["Anonymous"]


def wakeups(pid):
    """How often threads of the process slept and were woken, so far."""
    count = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                count += int(line.split()[1])
    return count


def measure_sandbox(result, options):
    for key, value in program("bench_sandbox", options.calls).items():
        result["sandbox." + key] = value


def measure_neighbours(result, options):
    for (name, kind), (p50, p99) in neighbour.run(options.neighbour).items():
        result[f"neighbour.{name}.{kind}.p50_ms"], result[f"neighbour.{name}.{kind}.p99_ms"] = p50, p99


def measure_store(result, options):
    for key, value in program("bench_store", "--json", options.folder).items():
        result["store." + key] = value


def measure_events(result, options):
    service = harness.Service(rules=RULES)
    try:
        service.start()
        service.put("contact", {"id": "contact-1", "name": "Ada", "tags": ["vip"]})
        for batch, count in ((1, options.events), (100, options.events * 5)):
            for kind, type_name, _ in KINDS:
                before = cpu_s(service.process.pid)
                got = program("bench_load", "rate", service.port, type_name, 16, batch, count, PERIGEE_TOKEN=service.token)
                used = cpu_s(service.process.pid) - before
                name = f"events.{kind}.{batch}."
                result[name + "accepted_per_s"] = got["accepted_per_s"]
                result[name + "done_per_s"] = got["done_per_s"]
                result[name + "answer_p99_us"] = got["answer_p99_us"]
                result[name + "refused"] = got["refused"]
                result[name + "cpu_us"] = used / got["events"] * 1e6
        for kind, type_name, _ in KINDS[1:]:
            got = program("bench_load", "latency", service.port, type_name, options.latency, PERIGEE_TOKEN=service.token)
            for key in ("answer_p50_us", "answer_p99_us", "end_p50_us", "end_p99_us"):
                result[f"latency.{kind}.{key}"] = got[key]
    finally:
        service.close()


def measure_baseline(result, options):
    """Durable events and their answers, single ones for 1, 16 and 256 clients and batches of 100 for 16: the bare server and perigee, in
    turn; and perigee with 1,000 rules on the type of which one matches and asks a condition in Lua."""
    with tempfile.TemporaryDirectory(prefix="perigee-bench-", dir=options.folder) as folder:
        bare = subprocess.Popen([BINARIES / "baseline_ingest", Path(folder, "bare.db")], stdout=subprocess.PIPE, text=True)
        service = harness.Service()
        many = harness.Service(rules={f"rule-{n}.yaml": ONE_OF_MANY.format(n=n) for n in range(1, 1001)})
        try:
            port = int(bare.stdout.readline())
            service.start()
            many.start()
            many.put("contact", {"id": "contact-1", "name": "Ada", "tags": ["vip"]})
            program("bench_load", "rate", many.port, "bench.Many", 1, 1, 1, PERIGEE_TOKEN=many.token)  # the rules' patterns are compiled
            for wide in CLIENTS:
                count = options.events if wide > 1 else max(1, options.events // 4)
                bare_got = program("bench_load", "rate", port, "bench.None", wide, 1, count, "/", PERIGEE_TOKEN="none")
                got = program("bench_load", "rate", service.port, "bench.None", wide, 1, count, PERIGEE_TOKEN=service.token)
                for who, figures in (("bare", bare_got), ("perigee", got)):
                    for key in ("accepted_per_s", "answer_p50_us", "answer_p99_us", "refused"):
                        result[f"ingest.{wide}.{who}.{key}"] = figures[key]
            for who, at, token in (("bare", port, "none"), ("perigee", service.port, service.token)):
                target = ["/"] if who == "bare" else []
                got = program("bench_load", "rate", at, "bench.None", 16, 100, options.events * 5, *target, PERIGEE_TOKEN=token)
                result[f"ingest.batch.{who}.accepted_per_s"] = got["accepted_per_s"]
            for name, batch, count in (("16_random", 1, options.events), ("batch_random", 100, options.events * 5)):
                got = program("bench_load", "rate", service.port, "bench.None", 16, batch, count, PERIGEE_TOKEN=service.token, PERIGEE_BENCH_IDS="random")
                result[f"ingest.{name}.perigee.accepted_per_s"] = got["accepted_per_s"]
            before = cpu_s(many.process.pid)
            got = program("bench_load", "rate", many.port, "bench.Many", 16, 1, options.events, PERIGEE_TOKEN=many.token)
            result["ingest.many.accepted_per_s"], result["ingest.many.done_per_s"] = got["accepted_per_s"], got["done_per_s"]
            result["ingest.many.cpu_us"] = (cpu_s(many.process.pid) - before) / got["events"] * 1e6
        finally:
            bare.kill()
            bare.communicate()
            service.close()
            many.close()


def is_ready(service):
    try:
        port = int(Path(service.state, "http.url").read_text().rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=harness.DEADLINE) as s:
            s.sendall(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return s.recv(64).startswith(b"HTTP/1.1 200")
    except (OSError, ValueError, IndexError):
        return False


def measure_start(result, options, rules):
    """The second start: the first one makes the database."""
    service = harness.Service(rules={f"rule-{n}.yaml": MANY.format(n=n, type=n % 50) for n in range(rules)})
    name = f"rules.{rules}."
    try:
        service.start()
        service.stop()
        begin = time.monotonic()
        service.start(ready=False)
        while not is_ready(service):
            time.sleep(0.0005)
        result[name + "start_ms"] = (time.monotonic() - begin) * 1000
        pid = service.process.pid
        result[name + "start_cpu_ms"] = cpu_s(pid) * 1000
        time.sleep(0.2)
        result[name + "rss_kib"], result[name + "anonymous_kib"] = memory_kib(pid)
        if rules == 0:
            time.sleep(6)  # the first look at what is old enough to be deleted comes 5 s after the start
            before, used = wakeups(pid), cpu_s(pid)
            time.sleep(options.idle)
            result["idle.wakeups"] = wakeups(pid) - before
            result["idle.cpu_ms"] = (cpu_s(pid) - used) * 1000
    finally:
        service.close()


def cpu_model():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def report(result, spread, machine, options):
    def row(text, key, unit, digits=0):
        low, high = spread[key]
        print(f"  {text:<66} {result[key]:>10,.{digits}f} {unit:<4} ({low:,.{digits}f} to {high:,.{digits}f})")

    print(f"{machine['command']}: medians over {options.rounds} interleaved rounds (lowest to highest)")
    print(f"{machine['cpu']}, {machine['cores']} cores, {machine['kernel']}; load average {machine['load_before']} before, {machine['load_after']} after")
    print("\nThe store alone, without HTTP, rules and runs")
    row("4 KiB written and synced", "store.fdatasync", "/s")
    for wide in (1, 16, 256):
        row(f"events alone, {wide} under way", f"store.batch_1_wide_{wide}", "/s")
    for wide in (1, 16):
        row(f"events in batches of 100, {wide} under way", f"store.batch_100_wide_{wide}", "/s")
    row("one contact's missed calls counted among 100,000 calls", "store.missed_calls_us", "us", 1)
    print("\nSingle events over HTTP that no rule hears, against a bare server (evhttp, one row an event, commits in groups, same pragmas)")
    for wide in CLIENTS:
        for who, text in (("bare", "bare server"), ("perigee", "perigee")):
            name = f"ingest.{wide}.{who}."
            row(f"{wide} clients, {text}: accepted", name + "accepted_per_s", "/s")
            for part in ("p50", "p99"):
                row(f"  to the answer, {part}", f"{name}answer_{part}_us", "us")
    row("16 clients, batches of 100, bare server: accepted", "ingest.batch.bare.accepted_per_s", "/s")
    row("16 clients, batches of 100, perigee: accepted", "ingest.batch.perigee.accepted_per_s", "/s")
    row("16 clients, single events with random ids, perigee: accepted", "ingest.16_random.perigee.accepted_per_s", "/s")
    row("16 clients, batches of 100, random ids, perigee: accepted", "ingest.batch_random.perigee.accepted_per_s", "/s")
    row("16 clients, 1,000 rules, one matches and asks a Lua condition: accepted", "ingest.many.accepted_per_s", "/s")
    row("  matched", "ingest.many.done_per_s", "/s")
    row("  CPU time of the service for each", "ingest.many.cpu_us", "us", 1)
    for batch, head in ((1, "single, 16 keep-alive connections"), (100, "batches of 100, 16 keep-alive connections")):
        print(f"\nEvents over HTTP, {head}; accepted: answered with 202, after the commit")
        for kind, _, text in KINDS:
            name = f"events.{kind}.{batch}."
            row(f"{text}: accepted", name + "accepted_per_s", "/s")
            row("  matched and their runs ended", name + "done_per_s", "/s")
            row("  CPU time of the service for each", name + "cpu_us", "us", 1)
    print("\nOne event at a time, from sending it; the end of its run as the event stream tells it")
    for kind, _, text in KINDS[1:]:
        for key, what in (("answer", "to its 202"), ("end", "to the end of its run")):
            for part in ("p50", "p99"):
                row(f"{text}: {what}, {part}", f"latency.{kind}.{key}_{part}_us", "us")
    outgoing.report(row)
    nodered.report(row, result)
    print("\nThe sandbox, against a bare lua_pcall of the same function")
    row("bare lua_pcall", "sandbox.bare_pcall_ns", "ns")
    row("the same function in the sandbox, arguments and result checked", "sandbox.sandboxed_call_ns", "ns")
    for where, text in (("host", "in the service"), ("process", "in a process of its own")):
        row(f"{text}: a condition, from the loop to a worker and back", f"sandbox.{where}_condition_us", "us", 1)
        row("  an event of 20 fields handed over, 3 of them read", f"sandbox.{where}_event_us", "us", 2)
        row("  one host call (ctx.time.now_ms)", f"sandbox.{where}_host_call_us", "us", 3)
    row("making and dropping a state", "sandbox.state_us", "us", 1)
    row("  memory in it", "sandbox.state_bytes", "B")
    for name, text in (("plugins", "plugins"), ("cells", "plugins in processes of their own")):
        row(f"{result['sandbox.' + name]:,.0f} {text}: load", f"sandbox.{name}_load_ms", "ms")
        row("  resident in the service, each", f"sandbox.{name}_rss_kib_each", "KiB", 1)
    row("  private in its process, each", "sandbox.cells_process_private_kib_each", "KiB", 1)
    print("\nA rule beside a bad neighbour (50 events a second that set it off): event sent to end of run")
    for name, _, _ in neighbour.NEIGHBOURS:
        for kind, _, text in neighbour.KINDS:
            row(f"{name}: {text}, p50", f"neighbour.{name}.{kind}.p50_ms", "ms", 2)
            row("  p99", f"neighbour.{name}.{kind}.p99_ms", "ms", 2)
    print("\nMemory and start")
    for rules in options.rules:
        name = f"rules.{rules}."
        row(f"{rules:,} rules (a file each): resident", name + "rss_kib", "KiB")
        row("  of it its own (anonymous)", name + "anonymous_kib", "KiB")
        row("  start to /readyz", name + "start_ms", "ms")
        row("  CPU time until then", name + "start_cpu_ms", "ms")
    print(f"\nIdle for {options.idle} s, no rules")
    row("wake-ups of all threads", "idle.wakeups", "")
    row("CPU time", "idle.cpu_ms", "ms")


def main():
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=10000, help="single events of each measurement; five times as many in batches")
    parser.add_argument("--latency", type=int, default=500, help="events of each measurement of latency")
    parser.add_argument("--calls", type=int, default=20000, help="calls of each measurement of the sandbox")
    parser.add_argument("--neighbour", type=int, default=300, help="events of each measurement beside a bad neighbour")
    parser.add_argument("--idle", type=int, default=10, help="seconds")
    parser.add_argument("--rules", type=int, nargs="*", default=[0, 1000, 10000])
    parser.add_argument("--folder", default=os.environ.get("TMPDIR", "/tmp"), help="where databases are made")
    options = parser.parse_args()
    options.rules = sorted({0, *options.rules})
    os.environ["TMPDIR"] = options.folder
    load_before = os.getloadavg()[0]
    rounds = []
    for n in range(options.rounds):
        print(f"bench: round {n + 1} of {options.rounds}", file=sys.stderr)
        result = {}
        measure_store(result, options)
        measure_baseline(result, options)
        measure_events(result, options)
        outgoing.measure(result, options, program, BINARIES, cpu_s)
        nodered.measure(result, options, program)
        measure_sandbox(result, options)
        measure_neighbours(result, options)
        for rules in options.rules:
            measure_start(result, options, rules)
        rounds.append(result)
    machine = {"command": " ".join(["script/bench", *sys.argv[1:]]), "cpu": cpu_model(), "cores": os.cpu_count(), "kernel": f"Linux {platform.release()}",
               "load_before": round(load_before, 2), "load_after": round(os.getloadavg()[0], 2), "rounds": options.rounds}
    medians = {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
    spread = {key: (min(r[key] for r in rounds), max(r[key] for r in rounds)) for key in medians}
    if options.json:
        print(json.dumps({"machine": machine, "medians": medians, "spread": spread}, indent=1))
    else:
        report(medians, spread, machine, options)


if __name__ == "__main__":
    main()
