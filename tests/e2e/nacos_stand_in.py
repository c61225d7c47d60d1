"""A stand-in for a Nacos server: the part of version 1 of its documented HTTP API that bridled uses,
with its times of beats. It is not Nacos: one server, all in memory.

Source: Nacos' open API, pages service discovery and auth; the codes of a beat's answer are those of
NamingResponseCode.
"""

import json
import time
import urllib.parse
import uuid

from http_stand_in import Answer, StandIn

OK, NOT_FOUND = 10200, 20404


class NacosStandIn(StandIn):
    def __init__(self, case, user=None, password=None, token_seconds=18000):
        self.user, self.password, self.token_seconds = user, password, token_seconds
        self.unhealthy_after, self.removed_after = 15, 30
        self.beat_interval_ms, self.is_light = 5000, True
        self.forget()
        super().__init__(case)

    def forget(self):
        """As after a restart: ephemeral instances and tokens are kept nowhere."""
        self.instances = {}  # (namespace, group@@service, cluster, ip, port) -> instance
        self.tokens = {}  # token -> until

    def begin(self):
        self.run_every(0.05, self.keep_time)

    # ---- for tests ----

    def put_instance(self, service, address, weight=1.0, metadata=None, enabled=True, healthy=True,
                     group="DEFAULT_GROUP", cluster="DEFAULT", namespace="public"):
        """An instance whose beats somebody else sees to."""
        host, _, port = address.rpartition(":")
        with self.changed:
            self.instances[(namespace, group + "@@" + service, cluster, host, int(port))] = {
                "weight": weight, "metadata": metadata or {}, "enabled": enabled,
                "healthy": healthy, "beat": float("inf")}

    def remove_instance(self, service, address, group="DEFAULT_GROUP", cluster="DEFAULT",
                        namespace="public"):
        host, _, port = address.rpartition(":")
        with self.changed:
            self.instances.pop((namespace, group + "@@" + service, cluster, host, int(port)), None)

    def registered(self, service, group="DEFAULT_GROUP", cluster="DEFAULT", namespace="public"):
        """ip:port -> instance, of those that still beat."""
        with self.changed:
            return {"%s:%d" % key[3:]: dict(instance) for key, instance in self.instances.items()
                    if key[:3] == (namespace, group + "@@" + service, cluster)}

    def change(self, service, address, **members):
        host, _, port = address.rpartition(":")
        with self.changed:
            self.instances[("public", "DEFAULT_GROUP@@" + service, "DEFAULT", host,
                            int(port))].update(members)

    def revoke_tokens(self):
        with self.changed:
            self.tokens.clear()

    # ---- time ----

    def keep_time(self):
        now = time.monotonic()
        for key, instance in list(self.instances.items()):
            if now > instance["beat"] + self.removed_after:
                del self.instances[key]
            elif now > instance["beat"] + self.unhealthy_after:
                instance["healthy"] = False

    # ---- answers ----

    def answer(self, request):
        routes = {("POST", "/nacos/v1/auth/login"): self.login,
                  ("GET", "/nacos/v1/ns/instance/list"): self.list,
                  ("POST", "/nacos/v1/ns/instance"): self.register,
                  ("PUT", "/nacos/v1/ns/instance"): self.register,
                  ("DELETE", "/nacos/v1/ns/instance"): self.deregister,
                  ("PUT", "/nacos/v1/ns/instance/beat"): self.beat}
        answer = routes.get((request.method, request.path))
        if answer is None:
            return Answer(404, "Not Found")
        with self.changed:
            if self.user is not None and answer != self.login:
                until = self.tokens.get(request.query.get("accessToken"))
                if until is None or time.monotonic() > until:
                    return Answer(403, json.dumps({
                        "timestamp": "2024-01-01T00:00:00.000+00:00", "status": 403,
                        "error": "Forbidden", "message": "token invalid!",
                        "path": request.path}))
            return answer(request)

    def json(self, value):
        return Answer(200, json.dumps(value), {"Content-Type": "application/json;charset=UTF-8"})

    def login(self, request):
        form = dict(urllib.parse.parse_qsl(request.body.decode()))
        if (form.get("username"), form.get("password")) != (self.user, self.password):
            return Answer(403, "unknown user!")
        token = "stand-in." + uuid.uuid4().hex
        self.tokens[token] = time.monotonic() + self.token_seconds
        return self.json({"accessToken": token, "tokenTtl": self.token_seconds,
                          "globalAdmin": True, "username": self.user})

    @staticmethod
    def service_of(query):
        name = query["serviceName"]
        if "@@" not in name:
            name = query.get("groupName", "DEFAULT_GROUP") + "@@" + name
        return query.get("namespaceId") or "public", name

    def key_of(self, query):
        return (*self.service_of(query), query.get("clusterName") or "DEFAULT", query["ip"],
                int(query["port"]))

    def shape_of(self, key, instance):
        _, service, cluster, host, port = key
        return {"instanceId": "%s#%d#%s#%s" % (host, port, cluster, service), "ip": host,
                "port": port, "weight": float(instance["weight"]),
                "healthy": instance["healthy"], "enabled": instance["enabled"], "ephemeral": True,
                "clusterName": cluster, "serviceName": service,
                "metadata": instance["metadata"], "instanceHeartBeatInterval": 5000,
                "instanceHeartBeatTimeOut": 15000, "ipDeleteTimeout": 30000}

    def list(self, request):
        where = self.service_of(request.query)
        clusters = [c for c in (request.query.get("clusters") or "").split(",") if c]
        hosts = [self.shape_of(key, instance) for key, instance in sorted(self.instances.items())
                 if key[:2] == where and (not clusters or key[2] in clusters)]
        if request.query.get("healthyOnly") == "true":
            hosts = [host for host in hosts if host["healthy"]]
        hosts = [host for host in hosts
                 if host["enabled"] or request.query.get("healthyOnly") != "true"]
        return self.json({"name": where[1], "groupName": where[1].partition("@@")[0],
                          "clusters": request.query.get("clusters") or "", "cacheMillis": 10000,
                          "hosts": hosts, "lastRefTime": int(time.time() * 1000), "checksum": "",
                          "allIPs": False, "reachProtectionThreshold": False, "valid": True})

    def register(self, request):
        query = request.query
        weight = float(query.get("weight") or 1)
        if not 0 <= weight <= 10000:
            return Answer(400, "instance format invalid: The weights range from 0 to 10000")
        self.instances[self.key_of(query)] = {
            "weight": weight, "metadata": json.loads(query.get("metadata") or "{}"),
            "enabled": query.get("enabled", "true") == "true",
            "healthy": query.get("healthy", "true") == "true", "beat": time.monotonic()}
        return Answer(200, "ok")

    def deregister(self, request):
        self.instances.pop(self.key_of(request.query), None)
        return Answer(200, "ok")

    def beat(self, request):
        key = self.key_of(request.query)
        said = json.loads(request.query.get("beat") or "null")
        code = OK
        if key not in self.instances and said:
            self.instances[key] = {"weight": said["weight"], "metadata": said["metadata"],
                                   "enabled": True, "healthy": True}
        if key in self.instances:
            self.instances[key].update(beat=time.monotonic(), healthy=True)
        else:
            code = NOT_FOUND
        return self.json({"clientBeatInterval": self.beat_interval_ms, "code": code,
                          "lightBeatEnabled": self.is_light})
