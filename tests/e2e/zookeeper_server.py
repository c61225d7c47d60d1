"""A real ZooKeeper for the tests, a session with it to write and read nodes, and a relay before it."""

import json
import os
import shutil
import socket
import struct
import threading
import unittest

from bridled import REQUIRED
from registries import Server, free_port, program

JAR = "/usr/share/java/zookeeper.jar"
MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
TICK_MS = 250

# Codes of ZooKeeper's protocol.
NO_NODE, NO_AUTH, NODE_EXISTS, NOT_EMPTY, EXPIRED = -101, -102, -110, -111, -112
CREATE, DELETE, EXISTS, GET_DATA, SET_DATA, GET_ACL, GET_CHILDREN = 1, 2, 3, 4, 5, 6, 8
AUTH, CLOSE = 100, -11
ALL = 31
WORLD = [(ALL, "world", "anyone")]


class ZooKeeper(Server):
    """One server alone; its process is the JVM itself."""

    def __init__(self, case, name="zookeeper"):
        super().__init__(case, name)
        self.java = program("java")
        if not os.path.exists(JAR):
            if REQUIRED:
                raise AssertionError("not installed: " + JAR)
            raise unittest.SkipTest("not installed: " + JAR)
        self.ports()

    def ports(self):
        self.port = free_port()
        self.address = "127.0.0.1:%d" % self.port
        with open(os.path.join(self.directory, "zoo.cfg"), "w", encoding="ascii") as file:
            file.write("tickTime=%d\nminSessionTimeout=500\nmaxSessionTimeout=120000\n"
                       "dataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\n"
                       "admin.enableServer=false\nmaxClientCnxns=0\nfastleader.enabled=false\n"
                       % (TICK_MS, os.path.join(self.directory, "data"), self.port))

    def command(self):
        return [self.java, "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                "-Dzookeeper.log.dir=" + self.directory, "-Dzookeeper.jmx.log4j.disable=true",
                "-Dzookeeper.forceSync=no", "-cp", JAR, MAIN,
                os.path.join(self.directory, "zoo.cfg")]

    def is_up(self):
        try:
            Session(self.address, timeout_ms=1000, patience=2).close()
            return True
        except (OSError, Failed):
            return False

    def forget(self):
        """The next start knows nothing: no nodes, no sessions."""
        shutil.rmtree(os.path.join(self.directory, "data"))

    def session(self, case, **more):
        session = Session(self.address, **more)
        case.addCleanup(session.drop)
        return session


class Failed(Exception):
    """What the server said instead of yes; the code is ZooKeeper's."""

    def __init__(self, code):
        super().__init__("ZooKeeper says %d" % code)
        self.code = code


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        values = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(">" + form)
        return values[0] if len(values) == 1 else values

    def bytes(self):
        size = self.take("i")
        if size < 0:
            return b""
        self.at += size
        return self.data[self.at - size:self.at]

    def text(self):
        return self.bytes().decode()

    def stat(self):
        names = ("czxid", "mzxid", "ctime", "mtime", "version", "cversion", "aversion", "owner",
                 "length", "children", "pzxid")
        return dict(zip(names, self.take("qqqqiiiqiiq")))


def buffer(data):
    return struct.pack(">i", len(data)) + data


def string(text):
    return buffer(text.encode())


class Session:
    """A session of the tests' own. It sends no pings, so it lives for its time only."""

    def __init__(self, address, timeout_ms=60000, patience=25, number=0, password=b"\0" * 16):
        host, port = address.rsplit(":", 1)
        self.sock = socket.create_connection((host, int(port)), patience)
        self.sock.settimeout(patience)
        self.xid = 0
        try:
            self.sock.sendall(buffer(struct.pack(">iqiq", 0, 0, timeout_ms, number) +
                                     buffer(password) + b"\0"))
            answer = Reader(self.packet())
            _, self.timeout_ms, self.number = answer.take("iiq")
            self.password = answer.bytes()
        except BaseException:
            self.sock.close()
            raise
        if self.timeout_ms <= 0:
            self.sock.close()
            raise Failed(EXPIRED)

    def exactly(self, size):
        parts = []
        while size:
            part = self.sock.recv(size)
            if not part:
                raise ConnectionError("ZooKeeper has closed the connection")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def packet(self):
        return self.exactly(struct.unpack(">i", self.exactly(4))[0])

    def send(self, kind, body, xid=None):
        if xid is None:
            self.xid += 1
            xid = self.xid
        self.sock.sendall(buffer(struct.pack(">ii", xid, kind) + body))
        return xid

    def answer(self, xid):
        """Of the questions in their order."""
        reader = Reader(self.packet())
        got, _, code = reader.take("iqi")
        assert got == xid, (got, xid)
        if code:
            raise Failed(code)
        return reader

    def ask(self, kind, body, xid=None):
        return self.answer(self.send(kind, body, xid))

    def authenticate(self, secret):
        self.ask(AUTH, struct.pack(">i", 0) + string("digest") + string(secret), xid=-4)

    @staticmethod
    def create_body(path, data=b"", ephemeral=False, acl=None):
        acl = acl or WORLD
        rights = struct.pack(">i", len(acl))
        for perms, scheme, name in acl:
            rights += struct.pack(">i", perms) + string(scheme) + string(name)
        data = data.encode() if isinstance(data, str) else data
        return string(path) + buffer(data) + rights + struct.pack(">i", int(ephemeral))

    def create(self, path, data=b"", ephemeral=False, acl=None):
        self.ask(CREATE, self.create_body(path, data, ephemeral, acl))

    def create_many(self, nodes):
        """[(path, data)], persistent, hundreds of questions at a time."""
        nodes = list(nodes)
        for start in range(0, len(nodes), 500):
            asked = [self.send(CREATE, self.create_body(path, data))
                     for path, data in nodes[start:start + 500]]
            for xid in asked:
                self.answer(xid)

    def parents(self, path):
        """All above the path, where they are missing."""
        parts = path.split("/")[1:-1]
        for i in range(len(parts)):
            try:
                self.create("/" + "/".join(parts[:i + 1]))
            except Failed as error:
                if error.code != NODE_EXISTS:
                    raise

    def put(self, path, data=b"", ephemeral=False, acl=None):
        """Creates the node and what is above it."""
        self.parents(path)
        self.create(path, data, ephemeral, acl)

    def set(self, path, data, version=-1):
        data = data.encode() if isinstance(data, str) else data
        self.ask(SET_DATA, string(path) + buffer(data) + struct.pack(">i", version))

    def set_many(self, nodes):
        asked = [self.send(SET_DATA, string(path) + string(data) + struct.pack(">i", -1))
                 for path, data in nodes]
        for xid in asked:
            self.answer(xid)

    def delete(self, path, version=-1):
        self.ask(DELETE, string(path) + struct.pack(">i", version))

    def delete_tree(self, path):
        for child in self.children(path):
            self.delete_tree(path + "/" + child)
        self.delete(path)

    def get(self, path):
        """(data, stat), or None."""
        try:
            reader = self.ask(GET_DATA, string(path) + b"\0")
        except Failed as error:
            if error.code == NO_NODE:
                return None
            raise
        data = reader.bytes()
        return data, reader.stat()

    def owner(self, path):
        """The session of the node; 0 for one that stays, None where there is none."""
        found = self.get(path)
        return found and found[1]["owner"]

    def acl(self, path):
        reader = self.ask(GET_ACL, string(path))
        return [(reader.take("i"), reader.text(), reader.text())
                for _ in range(reader.take("i"))]

    def children(self, path):
        """None where there is no such node."""
        try:
            reader = self.ask(GET_CHILDREN, string(path) + b"\0")
        except Failed as error:
            if error.code == NO_NODE:
                return None
            raise
        return sorted(reader.text() for _ in range(reader.take("i")))

    def close(self):
        """Ends the session: its nodes go at once."""
        self.ask(CLOSE, b"")
        self.sock.close()

    def drop(self):
        """Leaves without a word: the session and its nodes stay for its time."""
        self.sock.close()


def kitex_value(weight=10, tags=None):
    """What Kitex's registry of ZooKeeper writes."""
    return json.dumps({"Weight": weight, "Tags": tags}, separators=(",", ":"))


class Kitex:
    """Records of services as Kitex keeps them in ZooKeeper."""

    def __init__(self, session, base=""):
        self.session, self.base = session, base

    def path(self, service, address=None):
        return "%s/%s%s" % (self.base, service, "/" + address if address else "")

    def put(self, service, address, weight=10, tags=None, ephemeral=False):
        self.session.put(self.path(service, address), kitex_value(weight, tags), ephemeral)

    def set(self, service, address, weight=10, tags=None):
        self.session.set(self.path(service, address), kitex_value(weight, tags))

    def delete(self, service, address):
        self.session.delete(self.path(service, address))

    def addresses(self, service):
        return self.session.children(self.path(service)) or []


class Relay:
    """Between the daemon and ZooKeeper: can be cut and held, and knows the sessions that went
    through it."""

    def __init__(self, case, address):
        self.address = address
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.pairs, self.sessions = [], []  # [(number, password)], the newest last
        self.is_open = True
        case.addCleanup(self.stop)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if not self.is_open:
                near.close()
                continue
            host, port = self.address.rsplit(":", 1)
            try:
                far = socket.create_connection((host, int(port)), 5)
                far.settimeout(None)
            except OSError:
                near.close()
                continue
            with self.lock:
                self.pairs += [near, far]
            threading.Thread(target=self.pump, args=(near, far, None), daemon=True).start()
            threading.Thread(target=self.pump, args=(far, near, self.learn), daemon=True).start()

    def learn(self, data):
        """The answer to the first message of a connection."""
        if len(data) >= 40:
            reader = Reader(data[4:])
            _, timeout, number = reader.take("iiq")
            if timeout > 0:
                self.sessions.append((number, reader.bytes()))

    @staticmethod
    def pump(source, sink, look):
        try:
            while True:
                data = source.recv(65536)
                if look:
                    look(data)
                    look = None
                if not data:
                    break
                sink.sendall(data)
        except OSError:
            pass
        for sock in (source, sink):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        source.close()

    def cut(self):
        """All connections break; new ones are taken."""
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for sock in pairs:
            try:
                sock.shutdown(socket.SHUT_RDWR)  # whoever reads from it closes it
            except OSError:
                pass

    def shut(self):
        self.is_open = False
        self.cut()

    def open(self):
        self.is_open = True

    def expire(self):
        """Ends the daemon's session: somebody who knows its password closes it, while the daemon
        cannot take it back."""
        number, password = self.sessions[-1]
        was_open = self.is_open
        self.shut()
        Session(self.address, number=number, password=password).close()
        self.is_open = was_open

    def stop(self):
        self.is_open = False
        self.listener.close()
        self.cut()
