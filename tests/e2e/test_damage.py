#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A damaged database: the service says so, changes nothing more, and keeps answering questions."""
import os

import harness

RULE = {"note.yaml": "name: Note\ntrigger: {event: t.Note}\nactions:\n  - operator: notify.send\n    params: {message: noted}\n"}


class Damage(harness.Case):
    def database(self, p):
        return os.path.join(p.state, "perigee.db")

    def flip(self, p, needle):
        """One bit, in the text of a stored payload."""
        with open(self.database(p), "r+b") as f:
            data = f.read()
            self.assertIn(needle, data)
            at = data.index(needle)
            f.seek(at)
            f.write(bytes([data[at] ^ 1]))

    def test_a_flipped_bit_is_noticed_and_nothing_is_made_worse(self):
        p = self.service(rules=RULE)
        first = p.emit("t.Note", {"text": "a needle in a haystack"})
        second = p.emit("t.Note", {"text": "hay"})
        p.runs_of(first), p.runs_of(second)
        p.stop()
        self.flip(p, b"needle in a")
        p.start()
        self.assertEqual(p.request("GET", f"/v1/events/{first}").status, 503)
        ready = p.request("GET", "/readyz")
        self.assertEqual(ready.status, 503)
        self.assertIn("damaged", ready.json["detail"])
        self.assertEqual(p.get("/v1/status")["store"]["state"], "damaged")
        self.assertIn(first, p.get("/v1/status")["store"]["reason"])
        self.assertIn("perigee_store_damaged 1\n", p.request("GET", "/metrics").body.decode())
        run = p.get(f"/v1/runs?event={second}")["items"][0]["id"]
        for method, path in (("POST", "/v1/events?type=t.Note"), ("POST", "/v1/data/contact"), ("POST", f"/v1/runs/{run}/retry"), ("POST", f"/v1/runs/{run}/cancel"),
                             ("DELETE", "/v1/outbox")):
            self.assertEqual(p.request(method, path, {}).status, 503, path)
        self.assertEqual(p.get(f"/v1/events/{second}")["data"], {"text": "hay"})
        doctor = p.cli("doctor", expect=1).stdout
        self.assertRegex(doctor, "fail.*store.*damaged")
        self.assertIn("perigee recover", doctor)
        size = os.path.getsize(self.database(p))
        p.stop()
        self.assertEqual(os.path.getsize(self.database(p)), size)
        self.assertEqual(p.log_text().count("nothing more is written"), 1)

    def test_a_database_that_is_taken_away_is_told_until_it_is_back(self):
        p = self.service(rules={})
        p.emit("t.X")
        path = os.path.join(p.state, "perigee.db")
        os.rename(path, path + ".away")
        self.assertEqual(p.request("POST", "/v1/events?type=t.X", {}).status, 503)
        ready = p.request("GET", "/readyz")
        self.assertEqual((ready.status, "gone" in ready.json["detail"]), (503, True))
        store = p.get("/v1/status")["store"]
        self.assertEqual(store["state"], "gone")
        self.assertIn("put it back", store["reason"])
        self.assertIn("gone: ", p.cli("doctor").stdout)
        os.rename(path + ".away", path)
        self.assertEqual(p.request("GET", "/readyz").status, 200)
        p.emit("t.X")
        self.assertEqual(p.get("/v1/status")["store"], {"state": "good"})

    def test_a_broken_file_is_refused_and_left_alone(self):
        p = self.service(rules=RULE)
        p.runs_of(p.emit("t.Note"))
        p.kill()
        for name in ("-wal", "-shm"):
            if os.path.exists(self.database(p) + name):
                os.unlink(self.database(p) + name)
        with open(self.database(p), "r+b") as f:
            f.write(b"\0" * 100)
        with open(self.database(p), "rb") as f:
            before = f.read()
        p.start(ready=False)
        self.assertEqual(p.process.wait(harness.DEADLINE), 1)
        self.assertIn("perigee recover", p.log_text())
        with open(self.database(p), "rb") as f:
            self.assertEqual(f.read(), before)

    def test_a_journal_that_is_behind_is_told(self):
        p = self.service(rules=RULE)
        for n in range(5):
            last = p.emit("t.Note", {"n": n})
        p.runs_of(last)
        p.stop()
        with open(os.path.join(p.state, "high"), "r+") as f:
            seq, run, alive = f.read().split()
            f.seek(0)
            f.write(f"{int(seq) + 20:020d} {int(run) + 7:020d} {alive} \n")
        p.start()
        self.assertIn("behind acknowledged events", p.log_text())
        self.assertEqual(p.get("/v1/status")["store"]["behind"], {"acknowledged": int(seq) + 20, "stored": int(seq)})
        self.assertIn("acknowledged", p.cli("doctor", expect=1).stdout)
        event = p.emit("t.Note")
        self.assertEqual(event, f"ev-{int(seq) + 21}")
        self.assertEqual([r["id"] for r in p.runs_of(event)], [f"run-{int(run) + 8}"])
        p.stop()
        p.start()
        self.assertNotIn("behind", p.get("/v1/status")["store"])


if __name__ == "__main__":
    harness.main()
