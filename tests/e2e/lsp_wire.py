# SPDX-License-Identifier: Apache-2.0
"""The client's side of the Language Server Protocol, over the pipes of a server that was started here."""
import json
import subprocess


class Wire:
    def __init__(self, command, **options):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
        self.next_id = 0

    def write(self, message):
        data = message if isinstance(message, bytes) else json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(data) + data)
        self.process.stdin.flush()

    def read(self):
        length = None
        while line := self.process.stdout.readline().strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        message = json.loads(self.process.stdout.read(length))
        if "method" in message and "id" in message:
            self.asked(message)
        return message

    def asked(self, message):
        """The server asks something: there is nothing to tell."""
        items = message.get("params", {}).get("items")
        self.write({"id": message["id"], "result": [None for _ in items] if items is not None else None})

    def tell(self, method, params):
        self.write({"method": method, "params": params})

    def ask_raw(self, method, params):
        self.next_id += 1
        self.write({"id": self.next_id, "method": method, "params": params})
        while True:
            message = self.read()
            if message.get("id") == self.next_id and "method" not in message:
                return message

    def ask(self, method, params):
        return self.ask_raw(method, params)["result"]

    def diagnostics(self, uri):
        """Those that come next for a document."""
        while True:
            message = self.read()
            if message.get("method") == "textDocument/publishDiagnostics" and message["params"]["uri"] == uri:
                return message["params"]["diagnostics"]

    def open(self, uri, text):
        self.tell("textDocument/didOpen", {"textDocument": {"uri": uri, "languageId": "yaml", "version": 1, "text": text}})
        return self.diagnostics(uri)

    def end(self):
        self.process.stdin.close()
        code = self.process.wait(60)
        self.process.stdout.close()
        return code
