"""A stand-in for a collector of traces: takes OTLP over HTTP in JSON, and is strict about it."""

import json
import os
import re
import ssl
import subprocess

import http_stand_in
from bridled import eventually
from http_stand_in import Answer

SERVER, CLIENT = 2, 3
ERROR = 2


def values(attributes):
    """{key: value}, of which no key stands there twice."""
    found = {}
    for attribute in attributes:
        (kind, value), = attribute["value"].items()
        assert attribute["key"] not in found, attribute
        assert kind in ("stringValue", "intValue") and isinstance(value, str), attribute
        found[attribute["key"]] = int(value) if kind == "intValue" else value
    return found


class Span:
    def __init__(self, raw, resource):
        assert re.fullmatch("[0-9a-f]{32}", raw["traceId"]), raw
        assert re.fullmatch("[0-9a-f]{16}", raw["spanId"]), raw
        assert int(raw["traceId"], 16) and int(raw["spanId"], 16), raw
        assert re.fullmatch("[0-9a-f]{16}", raw.get("parentSpanId", "0" * 16)), raw
        self.trace, self.id, self.parent = raw["traceId"], raw["spanId"], raw.get("parentSpanId")
        self.name, self.kind, self.resource = raw["name"], raw["kind"], resource
        self.start, self.end = int(raw["startTimeUnixNano"]), int(raw["endTimeUnixNano"])
        self.values = values(raw["attributes"])
        self.is_error = raw["status"].get("code") == ERROR
        self.message = raw["status"].get("message", "")

    @property
    def is_attempt(self):
        return "bridle.outcome" in self.values

    def __repr__(self):
        return "%s %s/%s<%s %s" % (self.name, self.trace, self.id, self.parent, self.values)


def certificate(directory, names):
    """Files of a certificate that is its own authority, and of its key."""
    files = [os.path.join(directory, name) for name in ("cert.pem", "key.pem")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=collector",
                    "-addext", "subjectAltName=" + names, "-out", files[0], "-keyout", files[1]],
                   check=True, capture_output=True)
    return files


class Collector(http_stand_in.StandIn):
    def __init__(self, case, tls=None):
        """`tls`: the files of its certificate and key."""
        self.spans, self.status, self.text, self.tls = [], 200, "{}", tls
        super().__init__(case)

    @property
    def url(self):
        return ("https://" if self.tls else "http://") + self.address

    def secure(self, listener):
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.tls)
            listener.socket = context.wrap_socket(listener.socket, server_side=True)

    def answer(self, request):
        if self.status == 200:
            self.take(request)
        return Answer(self.status, self.text, {"Content-Type": "application/json"})

    def take(self, request):
        assert request.method == "POST" and request.headers["Content-Type"] == "application/json"
        found = []
        for group in json.loads(request.body)["resourceSpans"]:
            resource = values(group["resource"]["attributes"])
            for scope in group["scopeSpans"]:
                found += [Span(raw, resource) for raw in scope["spans"]]
        with self.changed:
            self.spans += found

    def wait(self, count):
        """So many spans, and not more, with those of calls before those of their attempts."""
        eventually(lambda: len(self.spans) >= count, what="%d spans" % count)
        with self.changed:
            found = sorted(self.spans, key=lambda span: (span.is_attempt, span.start))
        assert len(found) == count, found
        return found

    def calls(self):
        """(spans of calls, spans of attempts)"""
        with self.changed:
            return ([s for s in self.spans if not s.is_attempt],
                    [s for s in self.spans if s.is_attempt])

    def wait_for_calls(self, count):
        """The same, for so many calls with all their attempts."""
        def are_whole():
            calls, attempts = self.calls()
            return (len(calls) == count and
                    len(attempts) == sum(s.values["bridle.attempts"] for s in calls))
        eventually(are_whole, what="%d calls" % count)
        return self.calls()
