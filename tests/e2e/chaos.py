#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills the service, at random instants and at every named failpoint, while events come in and a bad provider is called, and then looks
whether every promise was kept:

    no acknowledged event is missing, none is there twice, none is dead
    every rule that should have started a run of an event has exactly one
    no run is stuck: each has ended, or waits for a person because nobody can know whether its call arrived
    every timer fired once
    calls of class once arrive at most once, repeated ones carry one body a key and take effect once
    what was received is matched, unmatched, duplicate, rejected, shed or dead, for each source, exactly
    runs of a queue keep their order
    what people do meanwhile (answers, pauses, scheduled actions, dead letters sent again, edits, data) is done once

    chaos.py [--kills N] [--seed N]        needs a build with PERIGEE_FAILPOINTS (the presets dev and clang have it)

script/chaos builds and runs it with 220 kills; ctest runs e2e.chaos with a few."""
import argparse
import collections
import http.client
import json
import os
import random
import re
import sys
import threading
import time
import urllib.parse
from pathlib import Path

import harness
from flaky_provider import CHAOS, Provider

CONFIG = 'plugins: {http: {config: {hosts: ["%s", "%s"]}}}\nretention: {runs: 30d}\n'
RETRY = "retry: {initial_interval: 20ms, maximum_interval: 500ms, maximum_attempts: 60}, timeout: 2s"
RULES = {
    "again": """
name: Again
trigger: {event: c.Work}
actions:
  - delay: 150ms
  - {operator: http.request, params: {url: "HONEST/again", method: POST, json: {n: "{{ event.n }}"}}, delivery: repeat, RETRY}
  - {operator: notify.send, params: {message: "again {{ event.n }}"}}
""",
    "once": """
name: Once
trigger: {event: c.Work, match: {n: [{numeric: [">=", 0]}], once: [true]}}
actions:
  - {operator: http.request, params: {url: "FORGETFUL/once", method: POST, json: {n: "{{ event.n }}"}}, RETRY}
""",
    "queue": """
name: Queue
trigger: {event: c.Work}
key: "{{ event.who }}"
mode: queued
max: 100000
actions:
  - delay: 20ms
  - {operator: notify.send, params: {message: "queue {{ event.who }} {{ event.n }}"}}
""",
    "restart": """
name: Restart
trigger: {event: c.Work}
key: "{{ event.who }}"
mode: restart
actions:
  - delay: 200ms
  - {operator: notify.send, params: {message: "restart {{ event.who }} {{ event.n }}"}}
""",
    "seldom": """
name: Seldom
trigger: {event: c.Work}
key: "{{ event.who }}"
throttle: {once_within: 12h}
actions: [{operator: notify.send, params: {message: "seldom {{ event.who }}"}}]
""",
    "quiet": """
name: Quiet
trigger: {event: c.Work}
key: "{{ event.who }}"
throttle: {once_after: 300ms}
actions: [{operator: notify.send, params: {message: "quiet {{ event.who }} {{ event.n }}"}}]
""",
    "chain": """
rules:
  - {name: Chain, trigger: {event: c.Work}, actions: [{emit: {event: c.Link, data: {n: "{{ event.n }}"}}}]}
  - {name: Link, trigger: {event: c.Link}, conditions: [{lua: "return event.n >= 0"}],
     actions: [{operator: notify.send, params: {message: "link {{ event.n }}"}}]}
""",
    "clock": """
name: Clock
trigger: {schedule: {every: 1s, catch_up: 1h}}
actions: [{operator: notify.send, params: {message: "clock {{ event.scheduled_at }}"}}]
""",
    "fork": """
name: Fork
trigger: {event: c.Work, match: {once: [true]}}
actions:
  - parallel:
      - {operator: notify.send, params: {message: "left {{ event.n }}"}}
      - [{delay: 50ms}, {operator: notify.send, params: {message: "right {{ event.n }}"}}]
""",
    "sign": """
name: Sign
trigger: {event: c.Work, match: {once: [true]}}
actions:
  - {approve: {prompt: "{{ event.n }}", timeout: 3s, default: false}, id: answer}
  - {operator: notify.send, params: {message: "sign {{ event.n }}"}}
""",
    "paced": """
name: Paced
trigger: {event: c.Work, match: {once: [true]}}
actions: [{operator: notify.send, params: {message: "paced {{ event.n }}"}, rate_limit: {limit: 20, period: 500ms, key: paced}}]
""",
    "doomed": """
name: Doomed
trigger: {event: c.Work, match: {n: [{numeric: ["<", 12]}]}}
actions: [{operator: core.log, params: {message: "{{ event.what.is.missing }}"}}]
""",
    "edited": """
name: Edited
trigger: {event: c.Work, match: {once: [true]}}
on_change: restart
actions: [{delay: 300ms}, {set: {a: 1}}]
""",
    "silence": """
name: Silence
trigger: {absence: {event: c.Never, for: 1h, expect: [a, b]}}
key: "{{ event.who }}"
actions: [{set: {a: 1}}]
""",
    "ask": """
name: Ask
trigger: {event: c.Work}
actions:
  - wait_for: {event: c.Reply, match: {n: ["{{ event.n }}"]}, timeout: 2s}
    id: reply
  - {operator: notify.send, params: {message: "ask {{ event.n }}"}}
""",
    "count": """
name: Count
trigger: {count: {event: c.Work, at_least: 5, within: 1h}}
key: "{{ event.who }}"
actions: [{operator: notify.send, params: {message: "count {{ event.who }}"}}]
""",
    "plain": """
name: Plain
trigger: {event: c.Plain}
conditions: ["{{ event.n % 4 ~= 3 }}"]
actions: [{set: {n: "{{ event.n }}"}}, {if: "{{ vars.n % 2 == 0 }}", set: {even: true}}]
""",
}
PEOPLE = ["ann", "bob", "cid", "dan"]
BATCH = 4


def failpoints():
    """Every name in the sources, but those that only other commands, older databases, damage or a clock that is set pass, and those of
    accounts (test_accounts.py)."""
    names = set()
    for path in Path(harness.SOURCE, "engine").rglob("*.c"):
        names.update(re.findall(r'PERI_FAILPOINT\("([^"]+)"\)', path.read_text()))
    return sorted(n for n in names if not n.startswith(("migrate.", "backup.", "replace.", "account.", "bury.", "jump.", "recovered.")))


class Chaos:
    def __init__(self, kills, seed, out=print, patience=8):
        self.kills, self.random, self.out, self.seed, self.patience = kills, random.Random(seed), out, seed, patience
        self.honest = Provider(weights=CHAOS, seed=seed, honours=True, late=0.2)
        self.forgetful = Provider(weights=CHAOS, seed=seed + 1, honours=False, late=0.2)
        rules = {f"{name}.yaml": self.fill(text) for name, text in RULES.items()}
        self.p = harness.Service(CONFIG % (self.honest.host, self.forgetful.host), rules)
        self.acknowledged, self.sent, self.over = set(), 0, threading.Event()
        self.tasks = set()
        self.killed = collections.Counter()
        self.missed_points = []

    def fill(self, text):
        return text.replace("HONEST", self.honest.url).replace("FORGETFUL", self.forgetful.url).replace("RETRY", RETRY)

    # --- the sender ---

    def event(self, n):
        return {"specversion": "1.0", "id": str(n), "source": "/chaos", "type": "c.Work", "data": {"n": n, "who": PEOPLE[n % len(PEOPLE)], "once": n % 3 == 0}}

    def plain(self, n):
        """What is stored with its verdict and run in one transaction."""
        return {"specversion": "1.0", "id": str(n), "source": "/plain", "type": "c.Plain", "data": {"n": n}}

    def post(self, numbers):
        try:
            answer = self.p.request("POST", "/v1/events", json.dumps([make(n) for n in numbers for make in (self.event, self.plain)]), {"Content-Type": "application/cloudevents-batch+json"})
        except (OSError, http.client.HTTPException, AttributeError):
            return False
        if answer.status == 202:
            self.acknowledged.update(numbers)
        return answer.status == 202

    def send(self):
        """A batch until it is acknowledged; now and then one that was sent before."""
        rng = random.Random(self.seed + 2)
        while not self.over.is_set():
            numbers = range(self.sent, self.sent + BATCH)
            while not self.post(numbers) and not self.over.is_set():
                time.sleep(0.01)
            self.sent += BATCH
            if rng.random() < 0.1 and self.acknowledged:
                self.post([rng.choice(sorted(self.acknowledged))])
            self.over.wait(0.03)

    # --- people ---

    def change(self, method, path, body=None):
        try:
            return self.p.request(method, path, body if body is not None else {}).status
        except (OSError, http.client.HTTPException, AttributeError):
            return 0

    def first(self, path):
        try:
            answer = self.p.request("GET", path)
            return answer.json["items"] if answer.status == 200 else []
        except (OSError, http.client.HTTPException, AttributeError, ValueError):
            return []

    def answer_and_pause(self, rng):
        for run in self.first("/v1/runs?rule=sign&state=waiting&limit=5"):
            self.change("POST", f"/v1/runs/{run['id']}/approve", {"answer": True})
        for run in self.first("/v1/runs?state=paused&limit=20"):
            self.change("POST", f"/v1/runs/{run['id']}/resume")
        for run in self.first("/v1/runs?state=live&limit=20")[::7]:
            self.change("POST", f"/v1/runs/{run['id']}/pause")

    def schedule(self, rng):
        key = f"task {rng.randrange(1 << 30)}"
        for _ in range(2):  # the second is the same one, if the first was stored
            if self.change("POST", "/v1/tasks", {"operator": "notify.send", "params": {"message": key}, "after": "100ms", "key": key}) == 200:
                self.tasks.add(key)

    def tidy(self, rng):
        for letter in self.first("/v1/dead?rule=doomed&limit=2"):
            self.change("POST", f"/v1/dead/{letter['id']}/redrive")
        for error in self.first("/v1/errors?limit=2"):
            self.change("POST", f"/v1/errors/{error['id']}/resolve")

    def edit(self, rng):
        self.p.write_rule("edited.yaml", RULES["edited"].replace("a: 1", f"a: {rng.randrange(1 << 20)}"))
        self.change("POST", f"/v1/rules/silence/{rng.choice(('disable', 'enable'))}")
        self.change("POST", "/v1/data/note", {"id": str(rng.randrange(20)), "text": str(rng.random())})
        self.change("POST", "/v1/mappings/bulk", [{"source": "s", "type": "t", "key": str(rng.randrange(20)), "external_id": str(rng.random())}])

    def people(self):
        rng = random.Random(self.seed + 3)
        while not self.over.is_set():
            for deed in (self.answer_and_pause, self.schedule, self.tidy, self.edit):
                if not self.over.is_set():
                    deed(rng)
            self.over.wait(0.1)

    # --- the killer ---

    def touch(self):
        """Something for the reload to read."""
        self.p.write_rule("touched.yaml", f"name: Touched\ntrigger: {{event: c.Never}}\nactions: [{{set: {{n: {self.random.random()}}}}}]\n")

    def kill_at(self, point, turn):
        self.p.env["PERIGEE_FAILPOINT"] = f"{point}@{turn}"
        self.p.start(ready=False)
        del self.p.env["PERIGEE_FAILPOINT"]
        end = time.monotonic() + self.patience
        touched = False
        while self.p.process.poll() is None and time.monotonic() < end:
            if not touched and self.up():
                self.touch()
                touched = True
            time.sleep(0.01)
        if self.p.process.poll() is None:
            self.missed_points.append(f"{point}@{turn}")
        self.p.kill()
        self.killed[point] += 1

    def kill_somewhere(self):
        self.p.start(ready=False)
        end = time.monotonic() + self.random.choice((0.05, 0.3, 0.6, 1.2)) * self.random.random()
        while time.monotonic() < end:
            self.up()
            time.sleep(0.005)
        self.p.kill()
        self.killed["at random"] += 1

    def up(self):
        try:
            return self.p.is_ready()
        except AssertionError:
            return False

    def run(self):
        points = failpoints()
        assert points, "no failpoints in the sources"
        self.random.shuffle(points)
        sender, people = threading.Thread(target=self.send, daemon=True), threading.Thread(target=self.people, daemon=True)
        self.p.start()
        assert self.p.get("/v1/status")["rule_errors"] == 0, self.p.log_text()
        sender.start()
        people.start()
        begin = time.monotonic()
        harness.wait_for(lambda: self.sent >= 40, "some events")
        self.p.kill()
        self.killed["at random"] += 1
        for n in range(1, self.kills):
            if n % 2 == 0 and points:
                point = points[(n // 2) % len(points)]
                self.kill_at(point, self.random.choice((1, 1, 2, 3, 7)) if n // 2 >= len(points) else 1)
            else:
                self.kill_somewhere()
        self.p.start()
        self.over.set()
        sender.join()
        people.join()
        self.out(f"{sum(self.killed.values())} kills in {time.monotonic() - begin:.0f} s, {self.sent} events sent, {len(self.acknowledged)} acknowledged")
        self.settle()
        self.check()

    def pages(self, path):
        after = ""
        while True:
            page = self.p.get(f"{path}&limit=1000{after}")
            yield from page["items"]
            if "next" not in page:
                return
            after = "&after=" + urllib.parse.quote(page["next"])

    def settle(self):
        """Until nothing moves any more: runs that are left wait for a person. The clock's runs come and go."""
        os.unlink(os.path.join(self.p.rules, "clock.yaml"))

        def still():
            status = self.p.get("/v1/status")
            if status["unmatched"]:
                return False
            live = [r for r in self.pages("/v1/runs?state=live")]
            for run in live:
                if run["state"] == "paused":
                    self.change("POST", f"/v1/runs/{run['id']}/resume")
            return all(r["state"] == "unknown" for r in live)

        harness.wait_for(still, "every run to end", 180)

    # --- what must be true ---

    def check(self):
        events = collections.Counter(e["external_id"] for e in self.pages("/v1/events?source=/chaos"))
        missing = {str(n) for n in self.acknowledged} - set(events)
        assert not missing, f"acknowledged events are missing: {sorted(missing)[:10]}"
        twice = [e for e, n in events.items() if n > 1]
        assert not twice, f"events are there twice: {twice[:10]}"
        dead = [e for e in self.pages("/v1/events?source=/chaos") if e["state"] != "matched"]
        assert not dead, f"events were not matched: {dead[:3]}"
        total = len(events)
        runs = collections.defaultdict(list)
        for run in self.pages("/v1/runs?"):
            runs[run["rule"]].append(run)
        given_up = self.check_ends(runs)
        aside = [e for e in self.pages("/v1/events?type=c.Link") if e["state"] == "dead"]
        assert not aside, f"kills hit the evaluation of one event again and again: {aside[:3]}"
        for rule in ("again", "queue", "restart", "chain", "link", "ask"):
            per_event = collections.Counter(r["event"] for r in runs[rule])
            assert set(per_event.values()) <= {1}, f"{rule}: several runs of one event"
            if len(per_event) != total:  # what stood in the way
                without = [e for e in self.pages("/v1/events?type=" + ("c.Link" if rule == "link" else "c.Work")) if e["id"] not in per_event]
                told = [(e["id"], e["state"], self.p.get(f"/v1/events/{e['id']}/verdicts")["items"]) for e in without[:3]]
                raise AssertionError(f"{rule}: {len(per_event)} runs of {total} events; without: {told}")
        self.check_plain(runs["plain"])
        told = collections.Counter(m["body"] for m in self.pages("/v1/outbox?"))
        again = [b for b, n in told.items() if n > 1]
        assert not again, f"messages were sent twice: {again[:10]}"
        self.check_messages(told, events, runs)
        self.check_providers(runs)
        self.check_conservation(total)
        self.check_order()
        self.report(runs, total, given_up)

    def check_plain(self, runs):
        events = {e["id"]: e for e in self.pages("/v1/events?source=/plain")}
        numbers = collections.Counter(int(e["external_id"]) for e in events.values())
        assert self.acknowledged <= set(numbers) and set(numbers.values()) == {1}, "plain: acknowledged events are there once"
        assert {e["state"] for e in events.values()} == {"matched"}
        per_event = collections.Counter(r["event"] for r in runs)
        assert set(per_event) == {i for i, e in events.items() if int(e["external_id"]) % 4 != 3}, "plain: a run of each event that fits"
        assert set(per_event.values()) == {1}
        for run in runs[::20]:
            whole = self.p.get("/v1/runs/" + run["id"])
            n = int(events[run["event"]]["external_id"])
            assert whole["vars"]["vars"] == ({"n": n, "even": True} if n % 2 == 0 else {"n": n}), whole
            assert [s["state"] for s in whole["steps"]] == ["done", "done" if n % 2 == 0 else "skipped"], whole

    def check_ends(self, runs):
        """Ended, or with a person; of the failed ones only those that were interrupted too often."""
        given_up = 0
        for rule, rows in runs.items():
            for run in rows:
                code = run.get("error", {}).get("code")
                if run["state"] == "failed" and code == "interrupted":
                    given_up += 1
                    continue
                allowed = {"once": ("succeeded", "unknown"), "restart": ("succeeded", "cancelled"), "edited": ("succeeded", "cancelled"),
                           "doomed": ("failed",)}.get(rule, ("succeeded",))
                assert run["state"] in allowed, f"{rule}: {run}"
        return given_up

    def check_told(self, word, runs, told, number):
        """Each run that succeeded has told its message; one that was given up at the fifth kill during a call may have; nobody else has."""
        heard = {int(body.split()[-1]) for body in told if body.startswith(word + " ")}
        done = {number[r["event"]] for r in runs if r["state"] == "succeeded"}
        perhaps = {number[r["event"]]: r for r in runs if r["state"] == "failed"}
        assert done <= heard, f"{word}: runs that succeeded have not told of {sorted(done - heard)[:10]}"
        assert heard <= done | set(perhaps), f"{word}: nothing that ran told of {sorted(heard - done - set(perhaps))[:10]}"

    def check_messages(self, told, events, runs):
        number = {e["id"]: int(e["external_id"]) for e in self.pages("/v1/events?source=/chaos")}
        links = {e["id"]: self.p.get("/v1/events/" + e["id"])["data"]["n"] for e in self.pages("/v1/events?type=c.Link")}
        thirds = {int(n) for n in events if int(n) % 3 == 0}
        for word in ("again", "queue", "ask"):
            self.check_told(word, runs[word], told, number)
        self.check_told("link", runs["link"], told, links)
        for word, rule in {"left": "fork", "right": "fork", "sign": "sign", "paced": "paced"}.items():
            self.check_told(word, runs[rule], told, number)
            assert sorted(number[r["event"]] for r in runs[rule]) == sorted(thirds), f"{rule}: one run of each third event"
        assert sum(b.startswith("seldom ") for b in told) == len(PEOPLE), "once_within: one for each key"
        assert len(runs["seldom"]) == len(PEOPLE)
        last = {who: max(int(n) for n in events if PEOPLE[int(n) % len(PEOPLE)] == who) for who in PEOPLE}
        for who in PEOPLE:
            quiet = [int(b.split()[2]) for b in told if b.startswith(f"quiet {who} ")]
            assert quiet and max(quiet) == last[who], f"once_after: {who} is to be told of {last[who]}, was told of {quiet[-3:]}"
            assert f"restart {who} {last[who]}" in told, f"restart: the last run of {who} has to end"
        lost = self.tasks - set(told)
        assert not lost, f"scheduled actions are missing: {sorted(lost)[:5]}"
        kept = collections.Counter(r["event"] for r in runs["edited"] if r["state"] == "succeeded")
        assert len(kept) == len(thirds) and set(kept.values()) == {1}, "edited: one run of each event goes to its end"
        letters = sum(1 for _ in self.pages("/v1/dead?state=all&rule=doomed"))
        assert letters == len(runs["doomed"]), f"doomed: {letters} letters of {len(runs['doomed'])} runs"
        clock = [b for b in told if b.startswith("clock ")]
        assert len(clock) == len(runs["clock"]) > 0, "the clock: one message for each occurrence"
        assert {b for b in told if b.startswith("count ")} <= {f"count {who}" for who in PEOPLE}

    def check_providers(self, runs):
        for provider in (self.honest, self.forgetful):
            wrong = [k for k, bodies in provider.bodies.items() if len(bodies) != 1]
            assert not wrong, f"one key came with several bodies: {wrong[:5]}"
        wrong = {k: n for k, n in self.forgetful.deliveries.items() if n > 1}
        told = [(k, self.forgetful.requests[k], self.p.get(f"/v1/runs/run-{k.split('.')[1].split('/')[0]}")["steps"]) for k in list(wrong)[:2]]
        assert not wrong, f"{len(wrong)} calls of class once arrived more than once: {told}"
        for run in runs["once"]:
            step = self.p.get("/v1/runs/" + run["id"])["steps"][-1]
            if run["state"] == "succeeded":
                assert self.forgetful.deliveries[step["idempotency_key"]] == 1, run
        done = {s["idempotency_key"] for r in runs["again"] if r["state"] == "succeeded" for s in self.p.get("/v1/runs/" + r["id"])["steps"]
                if s["operator"] == "http.request" and s["state"] == "done"}
        assert all(self.honest.deliveries[k] == 1 for k in done), "what is done has arrived, once in effect"

    def check_conservation(self, total):
        doctor = self.p.cli("doctor").stdout
        assert re.search(r"ok +conservation +all", doctor), doctor
        row, = re.findall(r"/chaos: (\d+) received = (\d+) matched \+ (\d+) unmatched \+ (\d+) duplicate", doctor)
        assert (int(row[1]), int(row[2])) == (total, 0), row
        assert self.p.get("/v1/status")["orphans"] == 0

    def check_order(self):
        """A lane's messages are in the outbox in order of their events."""
        for who in PEOPLE:
            order = [int(m["body"].split()[2]) for m in reversed(list(self.pages("/v1/outbox?"))) if m["body"].startswith(f"queue {who} ")]
            seqs = {int(e["external_id"]): int(e["id"][3:]) for e in self.pages("/v1/events?source=/chaos")}
            assert [seqs[n] for n in order] == sorted(seqs[n] for n in order), f"queue {who}: out of order"

    def report(self, runs, total, given_up):
        states = collections.Counter(r["state"] for rows in runs.values() for r in rows)
        calls = sum(len(m) for p in (self.honest, self.forgetful) for m in p.requests.values())
        self.out(f"{total} events, {sum(states.values())} runs ({', '.join(f'{n} {s}' for s, n in sorted(states.items()))}), {calls} calls of the providers, "
                 f"{given_up} runs given up at the fifth interruption")
        self.out("killed " + ", ".join(f"{n} x {p}" for p, n in sorted(self.killed.items())))
        if self.missed_points:
            self.out("not reached in time, killed all the same: " + ", ".join(self.missed_points))

    def close(self):
        self.over.set()
        try:
            self.p.kill()
        finally:
            self.p.close()
            self.honest.close()
            self.forgetful.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=220)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1 << 30)
    print(f"chaos: seed {seed}", flush=True)
    chaos = Chaos(options.kills, seed, lambda text: print(text, flush=True))
    try:
        chaos.run()
    except BaseException:
        print(chaos.p.log_text()[-4000:], file=sys.stderr)
        raise
    finally:
        chaos.close()
    print("every promise was kept")


if __name__ == "__main__":
    main()
