# SPDX-License-Identifier: Apache-2.0
"""A Twilio on loopback that checks every request against the provider's own OpenAPI document.

The document is not part of this repository: it is looked for in $PERIGEE_PROVIDER_SPECS, then in shared/provider-specs beside the
checkout; load() returns None when it is nowhere, and the test skips."""
import base64
import hashlib
import hmac
import http.server
import json
import os
import re
import threading
import urllib.parse

import jsonschema

SID = "AC" + "0123456789abcdef" * 2
TOKEN = "e2e-auth-token-not-a-real-one"


def load():
    folders = [os.environ.get("PERIGEE_PROVIDER_SPECS"), os.path.join(os.environ["PERIGEE_SOURCE"], "..", "shared", "provider-specs")]
    for folder in folders:
        path = folder and os.path.join(folder, "twilio.json")
        if path and os.path.exists(path):
            with open(path) as f:
                return json.load(f)
    return None


def sign(url, params, token=TOKEN):
    """X-Twilio-Signature of a form request."""
    text = url + "".join(k + v for k, v in sorted(params.items()))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


class Mock:
    def __init__(self, document):
        self.document = document
        self.requests, self.violations, self.answers = [], [], []
        mock = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, answer = mock.handle("post", self.path, self.headers, body)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def fail_next(self, status, body):
        self.answers.append((status, body))

    def resolve(self, schema):
        while "$ref" in schema:
            node = self.document
            for part in schema["$ref"][2:].split("/"):
                node = node[part.replace("~1", "/").replace("~0", "~")]
            schema = node
        return schema

    def find(self, method, path):
        for template, item in self.document["paths"].items():
            names = re.findall(r"\{(\w+)\}", template)
            pattern = re.sub(r"\\\{\w+\\\}", "([^/]+)", re.escape(template))
            match = re.fullmatch(pattern, path)
            if match and method in item:
                return item[method], dict(zip(names, match.groups()))
        return None, None

    def coerce(self, schema, values):
        """Form values are text: read them as the schema's type."""
        kind = schema.get("type")
        if kind == "array":
            return values
        if len(values) != 1:
            return values
        if kind == "integer" and re.fullmatch(r"-?\d+", values[0]):
            return int(values[0])
        if kind == "boolean" and values[0] in ("true", "false"):
            return values[0] == "true"
        return values[0]

    def handle(self, method, path, headers, body):
        url = urllib.parse.urlsplit(path)
        operation, params = self.find(method, url.path)
        problems = []
        if operation is None:
            problems.append(f"{method} {url.path}: no such operation")
            self.violations += problems
            return 404, {"code": 20404, "message": "not found", "status": 404}
        for p in operation.get("parameters", []):
            if p["in"] == "path":
                problems += self.check(params.get(p["name"]), p["schema"], p["name"])
        expected = "Basic " + base64.b64encode(f"{SID}:{TOKEN}".encode()).decode()
        if headers.get("Authorization") != expected:
            self.violations.append("wrong credentials")
            return 401, {"code": 20003, "message": "Authenticate", "status": 401}
        content = operation["requestBody"]["content"]
        kind = headers.get("Content-Type", "").split(";")[0].strip()
        if kind not in content:
            problems.append(f"content type {kind}")
            form = {}
        else:
            schema = self.resolve(content[kind]["schema"])
            pairs = urllib.parse.parse_qs(body.decode(), keep_blank_values=True, strict_parsing=True)
            form = {k: self.coerce(self.resolve(schema["properties"].get(k, {})), v) for k, v in pairs.items()}
            unknown = set(form) - set(schema["properties"])
            problems += [f"unknown parameter {k}" for k in sorted(unknown)]
            problems += self.check(form, schema, "body")
        self.requests.append(form)
        if problems:
            self.violations += problems
            return 400, {"code": 21201, "message": "; ".join(problems), "status": 400}
        if self.answers:
            return self.answers.pop(0)
        example = next(iter(operation["responses"]["201"]["content"]["application/json"]["examples"].values()))["value"]
        return 201, {**example, "sid": "SM%032x" % len(self.requests), "to": form.get("To"), "from": form.get("From"), "body": form.get("Body")}

    def check(self, value, schema, where):
        """jsonschema with the document's references; phone numbers are checked by hand."""
        schema = json.loads(json.dumps(schema))
        resolver = jsonschema.RefResolver("", self.document)
        validator = jsonschema.Draft7Validator(schema, resolver=resolver)
        found = [f"{where}: {e.message}" for e in validator.iter_errors(value)]
        for key in ("To", "From"):
            if isinstance(value, dict) and key in value and not re.fullmatch(r"\+[1-9]\d{5,14}", value[key]):
                found.append(f"{key} is no phone number")
        return found
