"""A stand-in for a Consul agent: the part of its documented HTTP API that bridled uses, with its rules
for indexes, waits, checks and sessions. It is not Consul: one node, no cluster, all in memory.

Source: Consul's HTTP API, pages features/blocking, health, agent/service, agent/check, kv, session.
"""

import base64
import copy
import hashlib
import json
import random
import re
import socket
import time
import uuid

from http_stand_in import Answer, StandIn

NODE = {"ID": str(uuid.UUID(int=1)), "Node": "stand-in", "Address": "10.255.255.1",
        "Datacenter": "dc1", "TaggedAddresses": {}, "Meta": {}, "CreateIndex": 1, "ModifyIndex": 1}
UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
WAIT_DEFAULT, WAIT_MAX, WAIT_AGENT = 300, 600, 300


def seconds_of(text):
    """A duration as Go writes it."""
    parts = re.findall(r"([\d.]+)(ns|us|ms|s|m|h)", text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise ValueError("not a duration: " + text)
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def is_listening(address):
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), 0.5).close()
        return True
    except OSError:
        return False


class ConsulStandIn(StandIn):
    def __init__(self, case, token=None):
        self.token = token
        self.has_leader = True
        self.forget()
        super().__init__(case)

    def forget(self):
        """As an agent without a data directory after a restart."""
        self.index = 10
        self.services = {}  # id -> what was registered, and its check
        self.instances = {}  # id -> as services, of other nodes
        self.keys = {}
        self.sessions = {}

    def begin(self):
        self.run_every(0.05, self.keep_time)

    # ---- for tests ----

    def put_instance(self, service, address, tags=(), weight=1, status="passing", node=None):
        """An instance of some other node."""
        host, _, port = address.rpartition(":")
        with self.changed:
            self.instances[service + "/" + address] = {
                "ID": service + "-" + address, "Name": service, "Address": host.strip("[]"),
                "Port": int(port), "Tags": list(tags), "status": status,
                "Weights": {"Passing": weight, "Warning": weight}, "node": node or {}}
            self.bump()

    def remove_instance(self, service, address):
        with self.changed:
            del self.instances[service + "/" + address]
            self.bump()

    def put_key(self, key, value, session=""):
        with self.changed:
            self.write_key(key, value.encode(), 0, session)

    def remove_key(self, key):
        with self.changed:
            del self.keys[key]
            self.bump()

    def value(self, key):
        with self.changed:
            return self.keys[key]["Value"].decode() if key in self.keys else None

    def registered(self, service):
        """What was sent, without the state of its check."""
        with self.changed:
            return [copy.deepcopy(s["body"]) for s in self.services.values()
                    if s["body"]["Name"] == service]

    def status(self, service):
        with self.changed:
            return [s["status"] for s in self.services.values() if s["body"]["Name"] == service]

    def lose(self, service_id):
        """Somebody deregisters it."""
        with self.changed:
            del self.services[service_id]
            self.bump()

    def change(self, service_id, **members):
        with self.changed:
            self.services[service_id]["body"].update(members)
            self.bump()

    # ---- time ----

    def bump(self):
        self.index += 1
        self.changed.notify_all()

    def keep_time(self):
        now = time.monotonic()
        for service in list(self.services.values()):
            self.check(service, now)
        for ident, session in list(self.sessions.items()):
            if now > session["until"]:
                self.end_session(ident)

    def check(self, service, now):
        check = service["body"].get("Check") or {}
        status = service["status"]
        if "TCP" in check and now >= service["due"]:
            service["due"] = now + seconds_of(check["Interval"])
            status = "passing" if is_listening(check["TCP"]) else "critical"
        elif "TTL" in check and now > service["passed"] + seconds_of(check["TTL"]):
            status = "critical"
        if status != service["status"]:
            service["status"], service["since"] = status, now
            self.bump()
        after = check.get("DeregisterCriticalServiceAfter")
        if status == "critical" and after and now > service["since"] + max(60, seconds_of(after)):
            del self.services[service["body"]["ID"]]
            self.bump()

    def end_session(self, ident):
        session = self.sessions.pop(ident)
        for key in [k for k, entry in self.keys.items() if entry["Session"] == ident]:
            if session["Behavior"] == "delete":
                del self.keys[key]
            else:
                self.keys[key]["Session"] = ""
        self.bump()

    # ---- answers ----

    def answer(self, request):
        if self.token is not None and request.headers.get("X-Consul-Token") != self.token:
            return Answer(403, "Permission denied: token with AccessorID "
                               "'00000000-0000-0000-0000-000000000002' lacks permission")
        routes = [("GET", "/v1/health/service/", self.health),
                  ("PUT", "/v1/agent/service/register", self.register),
                  ("PUT", "/v1/agent/service/deregister/", self.deregister),
                  ("GET", "/v1/agent/service/", self.agent_service),
                  ("PUT", "/v1/agent/check/pass/", self.pass_check),
                  ("GET", "/v1/kv/", self.read_key), ("PUT", "/v1/kv/", self.put),
                  ("DELETE", "/v1/kv/", self.delete),
                  ("PUT", "/v1/session/create", self.create_session),
                  ("PUT", "/v1/session/renew/", self.renew_session),
                  ("PUT", "/v1/session/destroy/", self.destroy_session)]
        for method, prefix, answer in routes:
            if request.method == method and request.path.startswith(prefix):
                with self.changed:
                    return answer(request, request.path[len(prefix):])
        return Answer(404, "404 page not found")

    def json(self, value, status=200, **headers):
        return Answer(status, json.dumps(value), {"Content-Type": "application/json",
                                                  **{k.replace("_", "-"): v
                                                     for k, v in headers.items()}})

    def headers(self):
        return {"X-Consul-Index": str(self.index), "X-Consul-LastContact": "0",
                "X-Consul-KnownLeader": "true" if self.has_leader else "false"}

    def wait(self, request):
        """Until something has changed since the index that is asked with, or its time is over."""
        since = int(request.query.get("index") or 0)
        wait = min(seconds_of(request.query.get("wait") or "%ds" % WAIT_DEFAULT), WAIT_MAX)
        wait += random.random() * wait / 16
        if since:
            self.changed.wait_for(lambda: self.index != since or self.is_ending, wait)

    def health(self, request, service):
        if not self.has_leader:
            return Answer(500, "No cluster leader")
        self.wait(request)
        entries = []
        for one in self.instances.values():
            if one["Name"] == service:
                entries.append(self.entry(one, one["status"], {**NODE, **one["node"]}))
        for one in self.services.values():
            if one["body"]["Name"] == service:
                entries.append(self.entry(one["body"], one["status"], NODE))
        if "passing" in request.query:
            entries = [e for e in entries
                       if all(c["Status"] == "passing" for c in e["Checks"])]
        return Answer(200, json.dumps(entries), self.headers())

    def service_shape(self, body):
        return {"ID": body.get("ID") or body["Name"], "Service": body["Name"],
                "Tags": body.get("Tags") or [], "Meta": body.get("Meta") or {},
                "Port": body.get("Port", 0), "Address": body.get("Address", ""),
                "Weights": body.get("Weights") or {"Passing": 1, "Warning": 1},
                "EnableTagOverride": False}

    def entry(self, body, status, node):
        return {"Node": node,
                "Service": {**self.service_shape(body), "CreateIndex": 5, "ModifyIndex": 5},
                "Checks": [{"Node": node["Node"], "CheckID": "serfHealth", "Status": "passing",
                            "ServiceID": ""},
                           {"Node": node["Node"], "CheckID": "service:" + str(body.get("ID")),
                            "Status": status, "ServiceID": body.get("ID")}]}

    def register(self, request, _):
        body = json.loads(request.body)
        if not body.get("Name"):
            return Answer(400, "Missing service name")
        ident = body.setdefault("ID", body["Name"])
        before = self.services.get(ident)
        now = time.monotonic()
        self.services[ident] = {"body": body, "due": now, "since": now, "passed": now,
                                "status": before["status"] if before else "critical"}
        if "TTL" in (body.get("Check") or {}) and not before:
            self.services[ident]["passed"] = float("-inf")
        self.bump()
        return Answer()

    def deregister(self, _, ident):
        if ident not in self.services:
            return Answer(404, "Unknown service ID %r. Ensure that the service ID is passed, not "
                               "the service name." % ident)
        del self.services[ident]
        self.bump()
        return Answer()

    def hash_of(self, ident):
        if ident not in self.services:
            return None
        shape = self.service_shape(self.services[ident]["body"])
        return hashlib.md5(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]

    def agent_service(self, request, ident):
        asked = request.query.get("hash")
        if asked:
            wait = seconds_of(request.query.get("wait") or "%ds" % WAIT_AGENT)
            self.changed.wait_for(lambda: self.hash_of(ident) != asked or self.is_ending, wait)
        if ident not in self.services:
            return Answer(404, "unknown service ID: " + ident)
        content_hash = self.hash_of(ident)
        shape = self.service_shape(self.services[ident]["body"])
        return self.json({**shape, "TaggedAddresses": {}, "ContentHash": content_hash,
                          "Datacenter": "dc1"}, X_Consul_ContentHash=content_hash)

    def pass_check(self, _, check):
        service = self.services.get(check[len("service:"):])
        if not check.startswith("service:") or not service:
            return Answer(404, "Unknown check ID %r. Ensure that the check ID is passed, not the "
                               "check name." % check)
        if "TTL" not in (service["body"].get("Check") or {}):
            return Answer(500, "CheckID %r does not have associated TTL" % check)
        service["passed"] = time.monotonic()
        if service["status"] != "passing":
            service["status"] = "passing"
            self.bump()
        return Answer()

    # ---- the store ----

    def shape_of_key(self, key):
        entry = self.keys[key]
        value = base64.b64encode(entry["Value"]).decode() if entry["Value"] else None
        shape = {**entry, "Key": key, "Value": value}
        if not entry["Session"]:
            del shape["Session"]
        return shape

    def read_key(self, request, key):
        self.wait(request)
        if "recurse" in request.query:
            found = [self.shape_of_key(k) for k in sorted(self.keys) if k.startswith(key)]
        else:
            found = [self.shape_of_key(key)] if key in self.keys else []
        if not found:
            return Answer(404, "", self.headers())
        if "raw" in request.query:
            return Answer(200, self.keys[key]["Value"], self.headers())
        return Answer(200, json.dumps(found), self.headers())

    def write_key(self, key, value, flags, session):
        before = self.keys.get(key)
        self.index += 1
        self.keys[key] = {"Value": value, "Flags": flags, "Session": session,
                          "LockIndex": (before["LockIndex"] if before else 0) + bool(session),
                          "CreateIndex": before["CreateIndex"] if before else self.index,
                          "ModifyIndex": self.index}
        self.changed.notify_all()

    def put(self, request, key):
        session = request.query.get("acquire")
        held = self.keys[key]["Session"] if key in self.keys else ""
        if session is not None:
            if session not in self.sessions:
                return Answer(500, 'rpc error making call: invalid session "%s"' % session)
            if held and held != session:
                return Answer(200, "false")
        self.write_key(key, request.body, int(request.query.get("flags") or 0),
                       session if session is not None else held)
        return Answer(200, "true")

    def delete(self, _, key):
        self.keys.pop(key, None)
        self.bump()
        return Answer(200, "true")

    # ---- sessions ----

    def create_session(self, request, _):
        body = json.loads(request.body or b"{}")
        ttl = seconds_of(body["TTL"])
        if not 10 <= ttl <= 86400:
            return Answer(500, "Invalid Session TTL '%d', must be between [10s=24h0m0s]" % ttl)
        ident = str(uuid.uuid4())
        # A session lives up to twice its time.
        self.sessions[ident] = {"until": time.monotonic() + 2 * ttl, "ttl": ttl,
                                "Behavior": body.get("Behavior", "release"), "body": body}
        self.bump()
        return self.json({"ID": ident})

    def renew_session(self, _, ident):
        session = self.sessions.get(ident)
        if not session:
            return Answer(404, "Session id '%s' not found" % ident)
        session["until"] = time.monotonic() + 2 * session["ttl"]
        return self.json([{"ID": ident, **session["body"]}])

    def destroy_session(self, _, ident):
        if ident in self.sessions:
            self.end_session(ident)
        return self.json(True)
