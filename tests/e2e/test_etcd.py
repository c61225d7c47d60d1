"""Services found and applications published in a real etcd: Kitex's layout and rpcx's, outages,
compaction, leases that end, tokens, and calls that notice none of it."""

import http.server
import os
import ssl
import subprocess
import threading
import time

import registries
import sockets
import wire
from bridled import TOP, Bridled, TestCase, allow, eventually
from registries import Dnsmasq, Etcd, Kitex, kitex_value

BACK_SECONDS = 5  # within which a registration is back
REACHES_SECONDS = 0.2  # within which a change is in use
SECRET = "s3cret-of-shop"


def named(name):
    """Answers each call with its own name."""
    def answer(connection, packet):
        connection.write(packet.answer(wire.result(name)))
    return answer


class Calling:
    """Calls one after the other in the background; none may fail."""

    def __init__(self, case, daemon, listener="in"):
        self.case, self.address = case, daemon.address(listener)
        self.count, self.failures, self.is_over = 0, [], False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        case.addCleanup(self.end)

    def run(self):
        while not self.is_over:
            try:
                with sockets.Caller(self.address) as caller:
                    for _ in range(20):
                        answer = caller.call()
                        self.count += 1
                        if answer.exception:
                            self.failures.append(answer.exception)
                        time.sleep(0.002)
            except (OSError, EOFError, AssertionError) as error:
                self.failures.append(error)
                time.sleep(0.05)

    def end(self):
        self.is_over = True
        self.thread.join(30)

    def none_failed(self):
        self.end()
        self.case.assertEqual(self.failures, [])
        self.case.assertGreater(self.count, 0)


class EtcdCase(TestCase):
    def setUp(self):
        super().setUp()
        self.etcd = Etcd(self).start()
        self.kitex = Kitex(self.etcd)

    def registry(self, **more):
        return {"type": "etcd", "endpoints": [self.etcd.address], **more}

    def seen(self, daemon, label="svc"):
        """{address: weight}, and the state."""
        service = daemon.get_json("/services/" + label)
        return ({e["address"]: e["weight"] for e in service["endpoints"]}, service["state"])

    def wait_for(self, daemon, addresses, label="svc"):
        addresses = [getattr(a, "address", a) for a in addresses]
        eventually(lambda: set(self.seen(daemon, label)[0]) == set(addresses),
                   what="%s at %s" % (label, sorted(addresses)))

    def finder(self, config=None, registry=None, **service):
        """A daemon that finds svc in etcd, for callers at `in`."""
        whole = {"node": {"service": "test.node"},
                 "registries": {"main": self.registry(**(registry or {}))},
                 "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc"}],
                 "services": {"svc": {"discover": "main", **service}}}
        whole.update(config or {})
        return self.bridled(whole)

    def call(self, daemon, listener="in"):
        with self.caller(daemon, listener=listener) as caller:
            answer = caller.call()
            self.assertIsNone(answer.exception, answer.exception)
            return answer.fields[0].decode()

    def new_endpoint(self, daemon, others=(), **where):
        """One more is put there, and found: the daemon hears of changes."""
        service = self.upstream()
        self.kitex.put("svc", service.address, **where)
        self.wait_for(daemon, [*others, service])
        return service


class Finding(EtcdCase):
    def test_instances_appear_change_and_vanish(self):
        one, other = self.upstream(named("one")), self.upstream(named("other"))
        self.kitex.put("svc", one.address)
        daemon = self.finder()
        self.assertEqual(self.seen(daemon), ({one.address: 10}, "fresh"))
        calling = Calling(self, daemon)
        self.assertEqual(self.call(daemon), "one")
        self.kitex.put("svc", other.address, weight=30)
        eventually(lambda: self.seen(daemon)[0] == {one.address: 10, other.address: 30})
        self.kitex.put("svc", one.address, weight=20)
        eventually(lambda: self.seen(daemon)[0] == {one.address: 20, other.address: 30})
        self.kitex.delete("svc", one.address)
        self.wait_for(daemon, [other])
        eventually(lambda: self.call(daemon) == "other")
        calling.none_failed()

    def test_connections_to_what_stays_are_left_alone(self):
        one = self.upstream()
        self.kitex.put("svc", one.address)
        daemon = self.finder()
        with self.caller(daemon) as caller:
            caller.call()
            opened = one.accepted
            for weight in range(1, 40):
                self.kitex.put("svc", one.address, weight=weight)
                caller.call()
            eventually(lambda: self.seen(daemon)[0] == {one.address: 39})
            caller.call()
            self.assertEqual(one.accepted, opened)

    def test_a_service_that_nobody_offers_yet_is_found_when_it_comes(self):
        daemon = self.finder()
        self.assertEqual(self.seen(daemon), ({}, "empty"))
        self.new_endpoint(daemon)
        self.call(daemon)

    def test_the_tags_of_an_instance_decide_whether_it_is_wanted(self):
        one, other = self.upstream(named("one")), self.upstream(named("other"))
        self.kitex.put("svc", one.address, tags={"lane": "blue"})
        self.kitex.put("svc", other.address, tags={"lane": "green"})
        daemon = self.finder(discover={"from": "main", "tags": {"lane": "blue"}})
        self.wait_for(daemon, [one])
        self.kitex.put("svc", other.address, tags={"lane": "blue"})
        self.wait_for(daemon, [one, other])
        self.kitex.put("svc", one.address, tags={"lane": "red"})
        self.wait_for(daemon, [other])

    def test_a_route_to_a_subset_follows_the_tags(self):
        one, other = self.upstream(named("one")), self.upstream(named("other"))
        self.kitex.put("svc", one.address, tags={"lane": "blue"})
        self.kitex.put("svc", other.address, tags={"lane": "green"})
        daemon = self.finder(subsets={"blue": {"lane": "blue"}},
                             routes=[{"to": {"subset": "blue"}}])
        self.wait_for(daemon, [one, other])
        eventually(lambda: {self.call(daemon) for _ in range(6)} == {"one"})
        self.kitex.put("svc", one.address, tags={"lane": "green"})
        self.kitex.put("svc", other.address, tags={"lane": "blue"})
        eventually(lambda: {self.call(daemon) for _ in range(6)} == {"other"})

    def test_records_that_cannot_be_read_are_left_out(self):
        one = self.upstream()
        self.kitex.put("svc", one.address)
        for i, value in enumerate(["", "{", "[]", "null", '{"address":5}', '{"address":"x"}',
                                   kitex_value("some.host:80"), kitex_value("127.0.0.1:0"),
                                   kitex_value("127.0.0.1:80", weight="ten"), "\0\xff" * 100,
                                   kitex_value("127.0.0.1:81", tags={"a": "x" * 5000})]):
            self.etcd.put(self.kitex.key("svc", "bad-%d" % i), value)
        daemon = self.finder()
        self.assertEqual(set(self.seen(daemon)[0]), {one.address})
        self.etcd.put(self.kitex.key("svc", one.address), "{")
        other = self.upstream()
        self.kitex.put("svc", other.address)
        self.wait_for(daemon, [other])

    def test_names_that_begin_alike_are_not_mixed_up(self):
        one, other = self.upstream(), self.upstream()
        self.kitex.put("svc", one.address)
        self.kitex.put("svc.more", other.address)
        self.etcd.put("kitex/registry-etcd/svc", kitex_value(other.address))
        daemon = self.finder()
        self.assertEqual(set(self.seen(daemon)[0]), {one.address})

    def test_many_services_share_a_watch(self):
        names = ["svc%d" % i for i in range(60)]
        service = self.upstream()
        for name in names:
            self.kitex.put(name, service.address)
        daemon = self.bridled({
            "node": {"service": "test.node"}, "registries": {"main": self.registry()},
            "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc0"}],
            "services": {name: {"discover": "main"} for name in names}})
        for name in names:
            self.wait_for(daemon, [service], name)
        connected = len(self.connections(daemon))
        self.assertLessEqual(connected, 17 + 8)
        other = self.upstream()
        for name in names:
            self.kitex.put(name, other.address)
        for name in names:
            self.wait_for(daemon, [service, other], name)
        for name in names:
            self.kitex.delete(name, service.address)
        for name in names:
            self.wait_for(daemon, [other], name)

    def connections(self, daemon):
        """Of the daemon to etcd."""
        with open("/proc/net/tcp", encoding="ascii") as file:
            lines = [line.split() for line in file.read().split("\n")[1:] if line]
        inodes = {f[9] for f in lines
                  if f[2].endswith(":%04X" % self.etcd.port) and f[3] == "01"}
        where = "/proc/%d/fd" % daemon.process.pid
        held = set()
        for name in os.listdir(where):
            try:
                held.add(os.readlink(os.path.join(where, name)))
            except OSError:
                pass
        return [i for i in inodes if "socket:[%s]" % i in held]


class Layouts(EtcdCase):
    def test_an_empty_prefix_is_one_too(self):
        self.kitex = Kitex(self.etcd, "")
        daemon = self.finder(registry={"prefix": ""})
        self.new_endpoint(daemon)
        self.call(daemon)

    def test_another_prefix_is_another_world(self):
        one, other = self.upstream(), self.upstream()
        self.kitex.put("svc", one.address)
        Kitex(self.etcd, "elsewhere").put("svc", other.address)
        daemon = self.finder(registry={"prefix": "elsewhere"})
        self.wait_for(daemon, [other])

    def test_servers_of_rpcx_are_found(self):
        one, other, off = self.upstream(), self.upstream(), self.upstream()
        self.etcd.put("rpcx_test", "rpcx_path")
        self.etcd.put("rpcx_test/svc", "svc")
        self.etcd.put("rpcx_test/svc/tcp@" + one.address, "weight=7&group=a")
        self.etcd.put("rpcx_test/svc/" + other.address, "")
        self.etcd.put("rpcx_test/svc/tcp@" + off.address, "state=inactive")
        self.etcd.put("rpcx_test/svcother/tcp@" + off.address, "")
        daemon = self.finder(registry={"format": "rpcx", "prefix": "rpcx_test"})
        self.assertEqual(self.seen(daemon)[0], {one.address: 7, other.address: 1})
        self.etcd.put("rpcx_test/svc/tcp@" + off.address, "state=active")
        self.wait_for(daemon, [one, other, off])

    def test_what_is_published_is_what_kitex_writes(self):
        app = self.upstream(name="app.sock")
        daemon = self.publisher(self, app, weight=20, tags={"zone": "a", "env": "prod"})
        address = daemon.address()
        key = "kitex/registry-etcd/shop.price/" + address
        eventually(lambda: self.etcd.get(key))
        self.assertEqual(self.etcd.get(key),
                         '{"network":"tcp","address":"%s","weight":20,'
                         '"tags":{"env":"prod","zone":"a"}}' % address)
        self.assertEqual(list(self.etcd.prefix("kitex")), [key])

    def test_what_is_published_without_tags_has_none(self):
        app = self.upstream(name="app.sock")
        daemon = self.publisher(self, app)
        key = "kitex/registry-etcd/shop.price/" + daemon.address()
        eventually(lambda: self.etcd.get(key))
        self.assertEqual(self.etcd.get(key),
                         '{"network":"tcp","address":"%s","weight":10,"tags":null}'
                         % daemon.address())

    def test_what_is_published_for_rpcx_is_found_by_it(self):
        app = self.upstream(name="app.sock")
        daemon = self.publisher(self, app, registry={"format": "rpcx", "prefix": "rpcx_test"},
                                weight=3, tags={"group": "a b"})
        key = "rpcx_test/shop.price/tcp@" + daemon.address()
        eventually(lambda: self.etcd.get(key))
        self.assertEqual(self.etcd.get(key), "group=a+b&weight=3")

    @staticmethod
    def publisher(case, app, registry=None, config=None, **register):
        whole = {"node": {"service": "test.node"},
                 "registries": {"main": case.registry(**(registry or {}))},
                 "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "app"}],
                 "services": {"app": {"name": "shop.price", "endpoints": [app.address],
                                      "register": {"in": "main", "ttl": "5s", **register}}},
                 "shutdown": {"drain": "5s", "spread": "10ms", "deregister_wait": "0s"}}
        whole.update(config or {})
        return case.bridled(whole)


class Outages(EtcdCase):
    def setUp(self):
        super().setUp()
        self.one = self.upstream()
        self.kitex.put("svc", self.one.address)
        self.daemon = self.finder()
        self.wait_for(self.daemon, [self.one])
        self.calling = Calling(self, self.daemon)

    def test_a_restart_is_survived(self):
        self.etcd.restart()
        self.new_endpoint(self.daemon, [self.one])
        self.calling.none_failed()

    def test_what_changes_while_it_is_away_is_seen_afterwards(self):
        self.etcd.kill()
        eventually(lambda: self.seen(self.daemon)[1] == "stale", what="stale")
        self.assertEqual(set(self.seen(self.daemon)[0]), {self.one.address})
        self.etcd.start()
        other = self.upstream()
        self.etcd.put_many([(self.kitex.key("svc", other.address), kitex_value(other.address))])
        self.kitex.delete("svc", self.one.address)
        self.wait_for(self.daemon, [other])
        eventually(lambda: self.seen(self.daemon)[1] == "fresh", what="fresh")
        self.calling.none_failed()

    def test_one_that_stops_answering_costs_no_call(self):
        self.etcd.pause()
        eventually(lambda: self.seen(self.daemon)[1] == "stale", what="stale")
        self.etcd.resume()
        other = self.new_endpoint(self.daemon, [self.one])
        self.kitex.delete("svc", self.one.address)
        self.wait_for(self.daemon, [other])
        self.calling.none_failed()

    def test_history_that_was_compacted_is_read_anew(self):
        self.etcd.pause()
        eventually(lambda: self.seen(self.daemon)[1] == "stale", what="stale")
        self.etcd.resume()
        for _ in range(10):
            self.etcd.put("something/else", "x")
        other = self.upstream()
        self.kitex.put("svc", other.address)
        self.kitex.delete("svc", self.one.address)
        self.etcd.compact()
        self.wait_for(self.daemon, [other])
        self.calling.none_failed()

    def test_a_store_that_lost_its_data_is_not_believed_at_once(self):
        self.etcd.kill()
        eventually(lambda: self.seen(self.daemon)[1] == "stale", what="stale")
        os.rename(os.path.join(self.etcd.directory, "data"),
                  os.path.join(self.etcd.directory, "lost"))
        self.etcd.start()
        eventually(lambda: "an empty answer is not believed yet" in self.daemon.errors(),
                   what="a doubt")
        self.assertEqual(set(self.seen(self.daemon)[0]), {self.one.address})
        other = self.upstream()
        self.kitex.put("svc", other.address)
        self.wait_for(self.daemon, [other])
        self.calling.none_failed()

    def test_keys_whose_lease_ends_go(self):
        lease = self.etcd.grant(1)
        other = self.upstream()
        self.kitex.put("svc", other.address, lease=lease)
        self.wait_for(self.daemon, [self.one, other])
        self.wait_for(self.daemon, [self.one])
        self.calling.none_failed()


class Servers(EtcdCase):
    def test_a_dead_one_among_several_is_passed_over(self):
        dead = "127.0.0.1:%d" % registries.free_port()
        one = self.upstream()
        self.kitex.put("svc", one.address)
        daemon = self.finder(registry={"endpoints": [dead, self.etcd.address]})
        self.wait_for(daemon, [one])
        self.new_endpoint(daemon, [one])

    def test_one_that_says_nothing_is_passed_over(self):
        other = Etcd(self, "other").start()
        one = self.upstream()
        self.kitex.put("svc", one.address)
        other.pause()
        daemon = self.finder(registry={"endpoints": [other.address, self.etcd.address]})
        self.wait_for(daemon, [one])
        self.new_endpoint(daemon, [one])


    def test_one_that_answers_with_errors_is_passed_over(self):
        class Unwell(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # pylint: disable=invalid-name
                self.send_error(503)

            def log_message(self, format, *args):  # pylint: disable=redefined-builtin
                pass

        unwell = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Unwell)
        threading.Thread(target=unwell.serve_forever, daemon=True).start()
        self.addCleanup(unwell.server_close)
        self.addCleanup(unwell.shutdown)
        one = self.upstream()
        self.kitex.put("svc", one.address)
        daemon = self.finder(registry={"endpoints": [
            "127.0.0.1:%d" % unwell.server_port, self.etcd.address]})
        self.wait_for(daemon, [one])
        self.new_endpoint(daemon, [one])


class Access(EtcdCase):
    def secret(self, text):
        path = self.path("password")
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text + "\n")
        os.rename(path + ".new", path)
        return {"user": "shop", "password": {"file": path}}

    def test_whoever_may_reads(self):
        self.etcd.enable_auth({"shop": SECRET})
        daemon = self.finder(registry=self.secret(SECRET))
        one = self.new_endpoint(daemon)
        self.etcd.restart()
        self.etcd.log_in("root", "root-secret")
        self.new_endpoint(daemon, [one])
        self.assertNotIn(SECRET, daemon.errors() + daemon.get("/config")[1])

    def test_a_wrong_password_is_mended_in_its_file(self):
        self.etcd.enable_auth({"shop": SECRET})
        one = self.upstream()
        self.kitex.put("svc", one.address)
        daemon = self.finder(registry=self.secret("wrong-secret"))
        eventually(lambda: "authentication failed" in str(daemon.get_json("/services/svc"))
                   or "authentication failed" in daemon.errors(), what="the refusal")
        self.assertEqual(self.seen(daemon)[0], {})
        self.secret(SECRET)
        self.wait_for(daemon, [one])
        self.assertNotIn("wrong-secret", daemon.errors() + daemon.get("/config")[1])

    def test_a_user_where_none_is_asked_for_does_no_harm(self):
        daemon = self.finder(registry=self.secret(SECRET))
        one = self.new_endpoint(daemon)
        self.etcd.enable_auth({"shop": SECRET})
        self.new_endpoint(daemon, [one])

    def test_without_a_user_where_one_is_asked_for_what_is_known_stays(self):
        one = self.upstream()
        self.kitex.put("svc", one.address)
        daemon = self.finder()
        self.wait_for(daemon, [one])
        self.etcd.enable_auth({"shop": SECRET})
        self.etcd.restart()
        eventually(lambda: self.seen(daemon)[1] == "stale", what="stale")
        self.call(daemon)

    def certificates(self, name):
        """An authority, and a certificate of it for `name`."""
        where = self.path("tls")
        os.makedirs(where)
        run = lambda *words: subprocess.run(["openssl", *words], check=True, cwd=where,
                                            capture_output=True)
        run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority", "-days", "2")
        run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
            "key.pem", "-out", "request.pem", "-subj", "/CN=etcd")
        with open(os.path.join(where, "names"), "w", encoding="ascii") as file:
            file.write("subjectAltName=%s\n" % name)
        run("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-out",
            "cert.pem", "-days", "2", "-set_serial", "2", "-extfile", "names")
        return where

    def test_over_tls(self):
        where = self.certificates("IP:127.0.0.1,DNS:etcd.test")
        self.etcd = Etcd(self, "secure", tls=where).start()
        self.kitex = Kitex(self.etcd)
        ca = os.path.join(where, "ca.pem")
        self.assertTrue(ssl.create_default_context(cafile=ca))
        daemon = self.finder(registry={"tls": {"ca": ca}})
        self.new_endpoint(daemon)
        self.call(daemon)

    def test_over_tls_a_server_has_the_name_that_is_configured(self):
        where = self.certificates("DNS:etcd.test")
        self.etcd = Etcd(self, "secure", tls=where).start()
        self.kitex = Kitex(self.etcd)
        names = Dnsmasq(self)
        names.write_hosts({"etcd.test": ["127.0.0.1"]})
        names.start()
        daemon = self.finder(
            config={"resolvers": [names.address]},
            registry={"endpoints": ["etcd.test:%d" % self.etcd.port],
                      "tls": {"ca": os.path.join(where, "ca.pem")}})
        self.new_endpoint(daemon)
        self.call(daemon)

    def test_over_tls_a_server_of_another_name_is_not_asked(self):
        where = self.certificates("DNS:other.test")
        self.etcd = Etcd(self, "secure", tls=where).start()
        self.kitex = Kitex(self.etcd)
        one = self.upstream()
        self.kitex.put("svc", one.address)
        ca = os.path.join(where, "ca.pem")
        daemon = self.finder(registry={"tls": {"ca": ca}})
        eventually(lambda: "mismatch" in daemon.errors(), what="the refusal")
        self.assertEqual(self.seen(daemon)[0], {})
        daemon.reload({"node": {"service": "test.node"},
                       "registries": {"main": self.registry(tls={"ca": ca, "sni": "other.test"})},
                       "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc"}],
                       "services": {"svc": {"discover": "main"}}})
        self.wait_for(daemon, [one])


class Publishing(EtcdCase):
    def setUp(self):
        super().setUp()
        self.app = self.upstream(name="app.sock")

    def publisher(self, **keys):
        daemon = Layouts.publisher(self, self.app, **keys)
        self.key = self.kitex.key("shop.price", daemon.address())
        self.wait_present(daemon)
        return daemon

    def wait_present(self, daemon, seconds=25):
        eventually(lambda: self.state(daemon) == "present", seconds, "the registration")

    @staticmethod
    def state(daemon):
        return daemon.get_json("/services/app")["registered"][0]["state"]

    def await_key(self, seconds=BACK_SECONDS):
        eventually(lambda: self.etcd.entry(self.key), allow(seconds), "the key")

    def test_a_lease_that_is_revoked_is_replaced(self):
        daemon = self.publisher()
        entry = self.etcd.entry(self.key)
        self.etcd.revoke(entry["lease"])
        self.assertIsNone(self.etcd.entry(self.key))
        self.await_key()
        self.assertNotEqual(self.etcd.entry(self.key)["lease"], entry["lease"])
        self.wait_present(daemon)
        self.assertEqual(self.kitex.addresses("shop.price"), [daemon.address()])
        self.assertGreaterEqual(daemon.metric("bridle_registration_drifts_total"), 1)

    def test_a_key_that_is_deleted_comes_back(self):
        daemon = self.publisher()
        self.etcd.delete(self.key)
        self.await_key()
        self.wait_present(daemon)

    def test_a_value_that_is_changed_under_our_lease_is_put_right(self):
        self.publisher()
        entry = self.etcd.entry(self.key)
        self.etcd.put(self.key, "other", lease=entry["lease"])
        eventually(lambda: self.etcd.entry(self.key)["value"] == entry["value"], BACK_SECONDS * 3,
                   "our value")

    def test_a_key_of_another_is_left_alone_until_it_is_gone(self):
        daemon = self.publisher()
        lease = self.etcd.grant(600)
        self.kitex.put("shop.price", daemon.address(), weight=77, lease=lease)
        eventually(lambda: self.state(daemon) == "contested", what="contested")
        self.assertEqual(daemon.metric("bridle_registered"), 0)
        revision = self.etcd.entry(self.key)["mod_revision"]
        time.sleep(5)  # in which it would be fought over
        self.assertEqual(self.etcd.entry(self.key)["mod_revision"], revision)
        self.assertEqual(self.state(daemon), "contested")
        self.etcd.revoke(lease)
        self.await_key()
        self.wait_present(daemon)
        self.assertEqual(self.etcd.get(self.key), kitex_value(daemon.address()))

    def test_what_another_holds_is_left_to_it_at_the_end(self):
        daemon = self.publisher()
        self.kitex.put("shop.price", daemon.address(), weight=77)
        daemon.stop()
        self.assertIn('"weight":77', self.etcd.get(self.key))

    def test_an_outage_longer_than_the_lease_is_survived(self):
        daemon = self.publisher()
        self.etcd.kill()
        eventually(lambda: self.state(daemon) == "lost", what="lost")
        time.sleep(6)
        self.etcd.start()
        self.etcd.delete(self.key)
        self.await_key()
        self.wait_present(daemon)
        self.assertEqual(self.kitex.addresses("shop.price"), [daemon.address()])

    def test_a_server_that_stalls_longer_than_the_lease_is_survived(self):
        daemon = self.publisher()
        self.etcd.pause()
        eventually(lambda: self.state(daemon) == "lost", what="lost")
        time.sleep(6)
        self.etcd.resume()
        time.sleep(1)
        self.await_key()
        self.wait_present(daemon)
        eventually(lambda: self.kitex.addresses("shop.price") == [daemon.address()])

    def test_it_is_gone_when_the_daemon_ends_and_its_lease_too(self):
        daemon = self.publisher()
        self.assertEqual(self.etcd.leases(), 1)
        daemon.stop()
        self.assertEqual(self.kitex.addresses("shop.price"), [])
        self.assertEqual(self.etcd.leases(), 0)

    def test_it_is_not_there_while_the_application_is_down(self):
        daemon = self.publisher()
        self.app.close()
        self.app.drop_connections()
        eventually(lambda: self.etcd.entry(self.key) is None, what="its end")
        self.app = self.upstream(name="app.sock")
        self.await_key(25)
        self.wait_present(daemon)

    def test_a_killed_daemon_takes_its_key_over_when_it_is_back(self):
        port = registries.free_port()
        listeners = {"listeners": [{"name": "in", "address": "127.0.0.1:%d" % port,
                                    "service": "app"}]}
        daemon = self.publisher(config=listeners)
        lease = self.etcd.entry(self.key)["lease"]
        daemon.process.kill()
        daemon.process.wait()
        self.assertEqual(self.etcd.entry(self.key)["lease"], lease)
        daemon.start()
        eventually(lambda: self.etcd.entry(self.key)["lease"] != lease, what="a lease of its own")
        self.wait_present(daemon)
        time.sleep(6)  # the old lease ends
        self.assertEqual(self.kitex.addresses("shop.price"), [daemon.address()])

    def test_with_a_token_too(self):
        self.etcd.enable_auth({"shop": SECRET})
        daemon = self.publisher(registry={"user": "shop", "password": SECRET})
        self.etcd.restart()
        self.etcd.log_in("root", "root-secret")
        self.etcd.delete(self.key)
        self.await_key(25)
        self.wait_present(daemon)


class Written(Bridled):
    """A daemon whose configuration is a text."""

    def write_config(self, config):
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(config + "\nadmin: {socket: \"%s\"}\n" % self.admin_path)


class Example(EtcdCase):
    """conf/etcd.yaml, with the addresses that there are here."""

    def test_what_it_registers_is_there_and_what_it_discovers_is_called(self):
        cart, price, test = self.upstream(name="cart.sock"), self.upstream(), self.upstream()
        self.kitex.put("shop.price", price.address, tags={"env": "prod"})
        self.kitex.put("shop.price", test.address, tags={"env": "test"})
        with open(os.path.join(TOP, "conf", "etcd.yaml"), encoding="utf-8") as file:
            text = file.read()
        for old, new in (("127.0.0.1:2379", self.etcd.address), ("0.0.0.0:8888", "127.0.0.1:0"),
                         ("unix:/run/cart/rpc.sock", cart.address),
                         ("${RUNTIME_DIRECTORY:-/run/bridled}", self.directory)):
            self.assertIn(old, text)
            text = text.replace(old, new)
        daemon = Written(self.directory, text)
        self.addCleanup(daemon.stop)
        daemon.start()
        self.wait_for(daemon, [price], "shop.price")
        with self.caller(daemon, listener="price") as caller:
            self.assertEqual(caller.call("Echo", text="hi").text, "hi")
        address = daemon.address("inbound")
        eventually(lambda: self.kitex.addresses("shop.cart") == [address], what="our own")
        self.assertEqual(self.etcd.get(self.kitex.key("shop.cart", address)),
                         kitex_value(address, 10, {"env": "prod"}))
        with self.caller(daemon, listener="inbound") as caller:
            self.assertEqual(caller.call("Echo", text="hi").text, "hi")
        self.assertEqual((len(cart.packets), len(price.packets)), (1, 1))


class Figures(EtcdCase):
    def test_a_change_is_in_use_at_once(self):
        one, other = self.upstream(named("one")), self.upstream(named("other"))
        self.kitex.put("svc", one.address)
        daemon = self.finder()
        self.call(daemon)
        took = []
        with self.caller(daemon) as caller:
            for old, new, name in [(one, other, "other"), (other, one, "one")] * 3:
                self.etcd.put_many([(self.kitex.key("svc", new.address), kitex_value(new.address))])
                self.kitex.delete("svc", old.address)
                began = time.monotonic()
                while caller.call().fields[0].decode() != name:
                    self.assertLess(time.monotonic() - began, 20)
                took.append(time.monotonic() - began)
        took.sort()
        self.assertLess(took[len(took) // 2], allow(REACHES_SECONDS), took)
