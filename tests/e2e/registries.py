"""Real registries for the tests: each on free ports of the loopback address, with its data in a
directory of its own. Everything they start ends with the test."""

import base64
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
import unittest
import urllib.error
import urllib.request

from bridled import REQUIRED, eventually
from sockets import PATIENCE

START_SECONDS = 60


# Below those that the kernel gives to whoever asks for any (net.ipv4.ip_local_port_range): nobody
# comes upon one by chance between now and the time when it is used.
PORTS = range(20000, 30000)
taken = []  # a name of this process for each that it was given: other tests run at the same time


def is_ours(port):
    """Whether no other test has it: a name in the abstract namespace can be held by one alone."""
    name = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        name.bind("\0bridle-test-port-%d" % port)
    except OSError:
        name.close()
        return False
    taken.append(name)
    return True


def free_port():
    """A port that nobody has, neither for TCP nor for UDP, and that no other test is given."""
    for _ in range(100):
        port = random.choice(PORTS)
        if not is_ours(port):
            continue
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, kind) as sock:
                    sock.bind(("127.0.0.1", port))
        except OSError:
            continue
        return port
    raise AssertionError("no free port in %r" % PORTS)


def program(*names):
    """The first of them that is there; else the test is skipped, unless everything is required."""
    for name in names:
        found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if found:
            return found
    if REQUIRED:
        raise AssertionError("not installed: " + names[0])
    raise unittest.SkipTest("not installed: " + names[0])


class Server:
    """A process of somebody else's that listens. A subclass says how it is started and when it is
    there: ports(), command(), is_up()."""

    def __init__(self, case, name):
        self.directory = os.path.join(case.directory, name)
        os.makedirs(self.directory)
        self.log_path = os.path.join(self.directory, "log")
        self.process, self.is_paused = None, False
        case.addCleanup(self.stop)

    def ports(self):
        """Chosen at the first start and kept: a restart is found where it was."""

    def command(self):
        raise NotImplementedError

    def environment(self):
        return dict(os.environ)

    def is_up(self):
        raise NotImplementedError

    def said(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def spawn(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), cwd=self.directory, stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL,
                                            env=self.environment(), start_new_session=True)

    def start(self):
        for attempt in range(5):
            if self.process is None and attempt:
                self.ports()
            self.spawn()
            end = time.monotonic() + START_SECONDS
            while time.monotonic() < end and self.process.poll() is None:
                if self.is_up():
                    return self
                time.sleep(0.02)
            if self.process.poll() is None:
                break
            if "in use" not in self.said():
                break
            self.process = None
        raise AssertionError("%s does not start: %s" % (type(self).__name__, self.said()[-2000:]))

    def kill(self):
        """As if the machine had lost its power."""
        if self.process:
            self.resume()
            self.process.kill()
            self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.resume()
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def restart(self):
        """On the same ports, with the same data."""
        self.kill()
        return self.start()

    def pause(self):
        """It holds its connections and takes new ones, and says nothing."""
        self.process.send_signal(signal.SIGSTOP)
        self.is_paused = True

    def resume(self):
        if self.is_paused:
            self.process.send_signal(signal.SIGCONT)
        self.is_paused = False


def b64(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def unb64(text):
    return base64.b64decode(text or "").decode()


def range_end(prefix):
    return b64(prefix[:-1] + chr(ord(prefix[-1]) + 1))


class Refused(Exception):
    """An answer that is an error: its status and text."""


class Etcd(Server):
    """etcd, asked by its JSON gateway. `tls`: directory with ca.pem, cert.pem, key.pem."""

    def __init__(self, case, name="etcd", tls=None):
        super().__init__(case, name)
        self.binary = program("etcd")
        self.tls, self.token = tls, None
        self.flags = []
        self.ports()

    def ports(self):
        self.port = free_port()
        self.address = "127.0.0.1:%d" % self.port

    @property
    def url(self):
        return "%s://%s" % ("https" if self.tls else "http", self.address)

    def command(self):
        tls = []
        if self.tls:
            tls = ["--cert-file", os.path.join(self.tls, "cert.pem"),
                   "--key-file", os.path.join(self.tls, "key.pem")]
        return [self.binary, "--data-dir", os.path.join(self.directory, "data"),
                "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
                "--listen-peer-urls", "http://127.0.0.1:0", "--log-level", "warn",
                "--heartbeat-interval", "50", "--election-timeout", "250",
                "--logger", "zap"] + tls + self.flags

    def is_up(self):
        try:
            self.ask("/v3/kv/range", {"key": b64("x")}, timeout=1)
            return True
        except Refused:
            return True
        except (OSError, ValueError):
            return False

    def ask(self, path, body, timeout=PATIENCE):
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        if self.token:
            request.add_header("Authorization", self.token)
        context = None
        if self.tls:
            import ssl  # pylint: disable=import-outside-toplevel
            context = ssl.create_default_context(cafile=os.path.join(self.tls, "ca.pem"))
            context.check_hostname = False
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                             *([urllib.request.HTTPSHandler(context=context)]
                                               if context else []))
        try:
            with opener.open(request, timeout=timeout) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise Refused("%d %s" % (error.code, error.read().decode())) from None

    def put(self, key, value, lease=None):
        """The revision that it made."""
        body = {"key": b64(key), "value": b64(value)}
        if lease:
            body["lease"] = lease
        return int(self.ask("/v3/kv/put", body)["header"]["revision"])

    def get(self, key):
        """The value, or None."""
        found = self.entry(key)
        return found and unb64(found.get("value"))

    def entry(self, key):
        """What etcd says of the key: value, lease, mod_revision."""
        return (self.ask("/v3/kv/range", {"key": b64(key)}).get("kvs") or [None])[0]

    def prefix(self, prefix):
        """{key: value} of all that begin so."""
        answer = self.ask("/v3/kv/range", {"key": b64(prefix), "range_end": range_end(prefix)})
        return {unb64(kv["key"]): unb64(kv.get("value")) for kv in answer.get("kvs", [])}

    def delete(self, key):
        return int(self.ask("/v3/kv/deleterange", {"key": b64(key)}).get("deleted", 0))

    def delete_prefix(self, prefix):
        self.ask("/v3/kv/deleterange", {"key": b64(prefix), "range_end": range_end(prefix)})

    def put_many(self, pairs):
        """In as few transactions as there may be."""
        pairs = list(pairs)
        for i in range(0, len(pairs), 100):
            self.ask("/v3/kv/txn", {"success": [
                {"requestPut": {"key": b64(k), "value": b64(v)}} for k, v in pairs[i:i + 100]]})

    def grant(self, seconds):
        return self.ask("/v3/lease/grant", {"TTL": seconds})["ID"]

    def revoke(self, lease):
        self.ask("/v3/lease/revoke", {"ID": lease})

    def leases(self):
        """How many there are."""
        return len(self.ask("/v3/lease/leases", {}).get("leases", []))

    def compact(self):
        """Nothing before now can be watched any more."""
        revision = int(self.ask("/v3/kv/range", {"key": b64("x")})["header"]["revision"])
        self.ask("/v3/kv/compaction", {"revision": revision, "physical": True})
        return revision

    def enable_auth(self, users, root="root-secret"):
        """{name: password}, each may read and write all; `self.token` is root's from then on."""
        self.ask("/v3/auth/user/add", {"name": "root", "password": root})
        self.ask("/v3/auth/role/add", {"name": "root"})
        self.ask("/v3/auth/user/grant", {"user": "root", "role": "root"})
        self.ask("/v3/auth/role/add", {"name": "all"})
        self.ask("/v3/auth/role/grant", {"name": "all", "perm": {
            "permType": "READWRITE", "key": b64("\0"), "range_end": b64("\0")}})
        for name, password in users.items():
            self.ask("/v3/auth/user/add", {"name": name, "password": password})
            self.ask("/v3/auth/user/grant", {"user": name, "role": "all"})
        self.ask("/v3/auth/enable", {})
        self.log_in("root", root)

    def log_in(self, name, password):
        self.token = None
        self.token = self.ask("/v3/auth/authenticate", {"name": name, "password": password})["token"]

    def change_password(self, name, password):
        self.ask("/v3/auth/user/changepw", {"name": name, "password": password})


def kitex_value(address, weight=10, tags=None):
    """What Kitex's registry of etcd writes."""
    return json.dumps({"network": "tcp", "address": address, "weight": weight, "tags": tags},
                      separators=(",", ":"))


class Kitex:
    """Records of services as Kitex keeps them in etcd."""

    def __init__(self, etcd, prefix="kitex/registry-etcd"):
        self.etcd, self.prefix = etcd, prefix

    def key(self, service, address):
        return "%s/%s/%s" % (self.prefix, service, address)

    def put(self, service, address, weight=10, tags=None, lease=None):
        return self.etcd.put(self.key(service, address), kitex_value(address, weight, tags), lease)

    def delete(self, service, address):
        return self.etcd.delete(self.key(service, address))

    def addresses(self, service):
        prefix = self.key(service, "")
        return sorted(key[len(prefix):] for key in self.etcd.prefix(prefix))


class Dnsmasq(Server):
    """Answers for names of the zone `test.` as the host file and flags say; never asks others."""

    def __init__(self, case, name="dnsmasq"):
        super().__init__(case, name)
        self.binary = program("dnsmasq")
        self.hosts_path = os.path.join(self.directory, "hosts")
        self.flags = []
        self.write_hosts({})
        self.ports()

    def ports(self):
        self.port = free_port()
        self.address = "127.0.0.1:%d" % self.port

    def write_hosts(self, names):
        """{name: [address, …]}; read again by reload()."""
        with open(self.hosts_path + ".new", "w", encoding="ascii") as file:
            for name, addresses in names.items():
                for address in addresses:
                    file.write("%s %s\n" % (address, name))
        os.rename(self.hosts_path + ".new", self.hosts_path)

    def command(self):
        return [self.binary, "--keep-in-foreground", "--no-daemon", "--conf-file=/dev/null",
                "--port=%d" % self.port, "--listen-address=127.0.0.1", "--bind-interfaces",
                "--no-resolv", "--no-hosts", "--addn-hosts=" + self.hosts_path,
                "--local=/test/", "--pid-file=", "--user=", "--group=", "--log-queries",
                "--log-facility=-"] + self.flags

    def is_up(self):
        """An answer, whatever it is, to a question of type A for x.test."""
        question = (b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0" + b"\x01x\x04test\0" + b"\0\x01\0\x01")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.2)
            try:
                sock.sendto(question, ("127.0.0.1", self.port))
                return sock.recv(512)[:2] == b"\x12\x34"
            except OSError:
                return False

    def reload(self):
        """Reads the host file again, and forgets what it has cached."""
        self.process.send_signal(signal.SIGHUP)


__all__ = ["Dnsmasq", "Etcd", "Kitex", "Refused", "Server", "b64", "eventually",
           "free_port", "kitex_value", "program", "range_end", "unb64"]
