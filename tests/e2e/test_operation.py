"""What an operator sees and does: probes, log, metrics, signals, reloads, exit codes."""

import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time

import sockets
import upstream
import wire
from bridled import BINARY, STOP_SECONDS, Bridled, TestCase, eventually, http_get, parse_metrics
from sockets import PATIENCE

CONFIG_ERROR, TRY_AGAIN, USAGE = 78, 75, 2
LONG_DRAIN = {"drain": "60s", "spread": "10ms"}


class Load:
    """Calls in a few threads until told to stop; every answer must be right."""

    def __init__(self, address, form="framed", threads=4, keep=True, pause=0):
        self.address, self.form, self.keep, self.pause = address, form, keep, pause
        self.calls, self.failed, self.ends = 0, [], False
        self.threads = [threading.Thread(target=self.run) for _ in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ends = True
        for thread in self.threads:
            thread.join()

    def run(self):
        caller = None
        while not self.ends:
            try:
                caller = caller or sockets.Caller(self.address, self.form)
                text = "call %d" % next(sockets.sequence)
                answer = caller.call(text=text)
                if answer.text != text:
                    self.failed.append(answer)
                self.calls += 1
                time.sleep(self.pause)
                if not self.keep:
                    caller.close()
                    caller = None
            except (OSError, EOFError, AssertionError) as error:
                self.failed.append(error)
                caller = None
        if caller:
            caller.close()


class Seen(TestCase):
    LOG_FIELDS = {"time", "log_id", "listener", "protocol", "caller", "service", "method", "kind",
                  "reason", "endpoint", "attempts", "bytes_in", "bytes_out", "us", "source"}

    def test_one_line_for_each_call(self):
        service = self.upstream(upstream.echo)
        daemon = self.pinned(service)
        with self.caller(daemon, "ttheader_framed") as caller:
            question = caller.send("Echo", "hi", ints={3: "the.caller", 2: "log-7"})
            answer = caller.receive()
            host, port = caller.sock.getsockname()
        (line,) = daemon.access_log(1)
        self.assertLessEqual(self.LOG_FIELDS, set(line), sorted(line))
        self.assertEqual((line["listener"], line["service"], line["method"], line["kind"]),
                         ("in", "svc", "Echo", "call"))
        self.assertEqual((line["reason"], line["caller"], line["log_id"], line["attempts"]),
                         ("ok", "the.caller", "log-7", 1))
        self.assertEqual(line["protocol"], "ttheader")
        self.assertEqual(line["endpoint"], service.address)
        self.assertEqual((line["bytes_in"], line["bytes_out"]),
                         (len(question.raw), len(answer.raw)))
        self.assertEqual(line["source"], "%s:%d" % (host, port))
        self.assertGreater(line["us"]["total"], 0)
        self.assertLessEqual({"total", "queue", "connect", "first_byte"}, set(line["us"]))

    def test_lines_for_calls_that_failed_and_for_oneways(self):
        service = self.upstream(upstream.echo)
        daemon = self.pinned(service, methods={"Silent": {"timeout": "300ms"}})
        with self.caller(daemon) as caller:
            caller.send("Notify", kind=wire.ONEWAY)
            caller.call()
            service.behaviour = upstream.fail
            caller.call()
            service.behaviour = upstream.silent
            caller.call("Silent")
            service.behaviour = upstream.reset_at_once
            caller.call()
            service.close()
            caller.call()
        lines = daemon.access_log(6)
        self.assertEqual(sorted((l["kind"], l["reason"]) for l in lines), sorted([
            ("oneway", "ok"), ("call", "ok"), ("call", "app_exception"), ("call", "timeout"),
            ("call", "reset"), ("call", "connect_failed")]))

    def test_a_business_error_has_its_own_reason_and_status(self):
        daemon = self.pinned(self.upstream(lambda c, p: c.write(p.answer(
            b"\0", strs={"biz-status": "1204", "biz-message": "no"}))))
        with self.caller(daemon, "ttheader_framed") as caller:
            caller.call()
        (line,) = daemon.access_log(1)
        self.assertEqual((line["reason"], str(line["biz_status"])), ("biz_error", "1204"))

    def test_a_format_string(self):
        daemon = self.pinned(self.upstream(upstream.echo), config={"access_log": {
            "to": self.path("text.log"), "format": "%{service}/%{method} %{reason}"}})
        with self.caller(daemon) as caller:
            caller.call()

        def text():
            with open(self.path("text.log"), encoding="utf-8") as file:
                return file.read()
        self.assertEqual(eventually(text), "svc/Echo ok\n")

    def test_metrics(self):
        service = self.upstream(upstream.echo)
        daemon = self.pinned(service)
        with self.caller(daemon) as caller, self.caller(daemon, "ttheader_framed") as second:
            for _ in range(10):
                caller.call()
            for _ in range(5):
                second.call("Other")
            service.behaviour = upstream.fail
            caller.call()
            calls = "bridle_calls_total"
            labels = {"listener": "in", "service": "svc"}
            self.assert_metric(daemon, 16, calls, **labels)
            self.assert_metric(daemon, 10, calls, **labels, method="Echo", reason="ok")
            self.assert_metric(daemon, 5, calls, **labels, method="Other")
            self.assert_metric(daemon, 11, calls, protocol="framed")
            self.assert_metric(daemon, 5, calls, protocol="ttheader")
            self.assert_metric(daemon, 1, calls, reason="app_exception")
            self.assert_metric(daemon, 16, "bridle_call_seconds_count", **labels)
            self.assert_metric(daemon, 16, "bridle_call_seconds_bucket", le="+Inf")
            self.assert_metric(daemon, 2, "bridle_downstream_connections", listener="in")
            self.assertGreaterEqual(daemon.metric("bridle_upstream_connections", service="svc"), 1)
            self.assert_metric(daemon, 16, "bridle_attempts_total", service="svc")
            self.assertGreater(daemon.metric("bridle_bytes_total"), 0)
            self.assert_metric(daemon, 1, "bridle_build_info")
            self.assert_metric(daemon, 1, "bridle_config_info")
            self.assert_metric(daemon, 16, "kitex_server_throughput")
            self.assert_metric(daemon, 16, "kitex_server_latency_us_count")
            self.assert_metric(daemon, 0, "kitex_client_throughput")
        with self.caller(daemon) as stranger:
            stranger.sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            self.assert_metric(daemon, 1, calls, protocol="unknown", reason="protocol_unknown")

    def test_metrics_are_well_formed(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        with self.caller(daemon) as caller:
            for method in ("a", 'quote"', "back\\slash", "new\nline", "\x7f\x01", "\xff" * 20):
                caller.call(method)
        text = daemon.get("/metrics")[1]
        kinds = {line.split()[2]: line.split()[3] for line in text.split("\n")
                 if line.startswith("# TYPE")}
        seen = set()
        for name, labels, _ in parse_metrics(text):
            key = (name, tuple(sorted(labels.items())))
            self.assertNotIn(key, seen)
            seen.add(key)
            base = name
            for suffix in ("_bucket", "_sum", "_count"):
                if name.endswith(suffix) and kinds.get(name.removesuffix(suffix)) == "histogram":
                    base = name.removesuffix(suffix)
            self.assertIn(base, kinds)

    def test_probes_status_and_services(self):
        service = self.upstream(upstream.echo)
        daemon = self.pinned(service)
        self.assertEqual(daemon.get("/livez")[0], 200)
        self.assertEqual(daemon.get("/readyz")[0], 200)
        with self.caller(daemon) as caller:
            caller.call()
            self.assert_metric(daemon, 1, "bridle_calls_total")
            status = daemon.get_json("/status")
            self.assertEqual((status["state"], status["pid"]), ("ready", daemon.process.pid))
            (listener,) = status["listeners"]
            self.assertEqual((listener["name"], listener["connections"], listener["calls_total"]),
                             ("in", 1, 1))
            self.assertEqual(sum(w["connections"] for w in status["workers"]), 1)
            self.assertGreater(status["memory"]["rss_bytes"], 100000)
            self.assertTrue(status["config"]["hash"])
            self.assertTrue(status["version"])
            one = daemon.get_json("/services/svc")
            (endpoint,) = one["endpoints"]
            self.assertEqual((one["label"], endpoint["address"], endpoint["calls_total"]),
                             ("svc", service.address, 1))
            self.assertIn("svc", json.dumps(daemon.get_json("/services")))
        self.assertEqual(daemon.get("/services/nobody")[0], 404)
        self.assertEqual(daemon.get("/nowhere")[0], 404)

    def test_the_http_address_serves_what_only_reads(self):
        daemon = self.pinned(self.upstream(upstream.echo), config={"admin": {
            "socket": self.path("admin.sock"), "http": "127.0.0.1:0"}})
        ports = self.listening_ports(daemon) - {int(daemon.address().split(":")[1])}
        (port,) = ports
        for path in ("/", "/livez", "/readyz", "/metrics", "/status", "/services", "/services/svc",
                     "/errors"):  # for the status page
            with self.subTest(path=path):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
                self.assertEqual(http_get(connection, path)[0], 200)
        for method, path in (
                ("GET", "/config"), ("GET", "/explain?call=svc/Get"), ("GET", "/tap"),
                ("GET", "/history/svc"),
                ("POST", "/reload"), ("POST", "/upgrade"), ("POST", "/reopen"), ("POST", "/stop"),
                ("POST", "/drain"), ("POST", "/undrain"), ("POST", "/endpoints/disable"),
                ("POST", "/endpoints/enable"), ("POST", "/endpoints/weight"), ("PUT", "/log")):
            with self.subTest(path=path):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
                self.assertIn(http_get(connection, path, method)[0], (403, 404, 405))

    def listening_ports(self, daemon):
        inodes = set()
        for entry in os.listdir("/proc/%d/fd" % daemon.process.pid):
            try:
                target = os.readlink("/proc/%d/fd/%s" % (daemon.process.pid, entry))
            except FileNotFoundError:  # closed between the two looks
                continue
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
        ports = set()
        with open("/proc/net/tcp", encoding="ascii") as file:
            for line in file.readlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and fields[9] in inodes:
                    ports.add(int(fields[1].split(":")[1], 16))
        return ports

    def test_the_admin_socket_is_the_owners_alone(self):
        daemon = self.pinned(self.upstream(upstream.echo))
        self.assertEqual(os.stat(daemon.admin_path).st_mode & 0o777, 0o600)
        self.assertEqual(len(self.listening_ports(daemon)), 1)


class Signals(TestCase):
    def config(self, service, **more):
        return {"listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc"}],
                "services": {"svc": {"endpoints": [service.address], **more}}}

    def test_hup_moves_to_other_endpoints_without_losing_a_call(self):
        first, second = self.upstream(upstream.echo), self.upstream(upstream.echo)
        daemon = self.bridled(self.config(first))
        address = daemon.address()
        with Load(address) as kept, Load(address, "ttheader_framed", 2, keep=False) as fresh:
            for turn in range(10):
                service = (second, first)[turn % 2]
                before = len(service.packets)
                daemon.reload(self.config(service, timeout={"call": "%ds" % (turn + 20)}))
                eventually(lambda s=service, n=before: len(s.packets) > n + 5,
                           what="calls to the other endpoint")
        self.assertEqual(kept.failed + fresh.failed, [])
        self.assertEqual(daemon.address(), address)
        self.assert_metric(daemon, 10, "bridle_reloads_total", result="ok")

    def test_hup_with_a_broken_file_changes_nothing_and_is_reported(self):
        service = self.upstream(upstream.echo)
        daemon = self.bridled(self.config(service))
        with open(daemon.config_path, "a", encoding="utf-8") as file:
            file.write("\nnonsense: [\n")
        before = daemon.get_json("/status")["config"]["hash"]
        with Load(daemon.address()) as load:
            daemon.signal(signal.SIGHUP)
            last = eventually(lambda: daemon.get_json("/status")["config"].get("last_reload"))
            eventually(lambda: daemon.get_json("/status")["config"]["last_reload"]["ok"] is False)
        self.assertEqual(load.failed, [])
        self.assertTrue(last)
        status = daemon.get_json("/status")["config"]
        self.assertTrue(status["last_reload"]["error"])
        self.assertEqual(status["hash"], before)
        eventually(lambda: "bridled.yaml" in daemon.errors())

    def test_hup_adds_and_removes_listeners(self):
        service = self.upstream(upstream.echo)
        config = self.config(service)
        daemon = self.bridled(config)
        added = {"name": "more", "address": "unix:" + self.path("more.sock"), "service": "svc"}
        config["listeners"].append(added)
        daemon.reload(config)
        with self.caller(daemon, listener="more") as caller:
            self.assertEqual(caller.call(text="x").text, "x")
        config["listeners"].remove(added)
        daemon.reload(config)

        def is_gone():
            try:
                sockets.connect("unix:" + self.path("more.sock")).close()
                return False
            except OSError:
                return True
        eventually(is_gone, what="the end of the removed listener")
        with self.caller(daemon) as caller:
            caller.call()

    def test_term_lets_calls_end_and_takes_no_new_connections(self):
        release = threading.Event()
        service = self.upstream(lambda c, p: (release.wait(PATIENCE), c.answer(p)))
        daemon = self.bridled({**self.config(service), "shutdown": LONG_DRAIN})
        caller = self.caller(daemon, "ttheader_framed")
        address = daemon.address()
        question = caller.send(text="in flight")
        eventually(lambda: service.packets)
        daemon.signal(signal.SIGTERM)

        def is_closed():
            try:
                with sockets.connect(address, 1) as probe:
                    return sockets.is_closed(probe, 0.2)
            except OSError:
                return True
        eventually(is_closed, what="the end of accepting")
        self.assertTrue(daemon.is_alive())
        release.set()
        answer = caller.receive()
        caller.must_answer(question, answer)
        self.assertEqual(answer.text, "in flight")
        self.assertEqual(daemon.wait(), 0)

    def test_readyz_says_no_while_draining(self):
        release = threading.Event()
        self.addCleanup(release.set)
        service = self.upstream(lambda c, p: (release.wait(PATIENCE), c.answer(p)))
        daemon = self.bridled({**self.config(service), "shutdown": LONG_DRAIN})
        caller = self.caller(daemon)
        caller.send()
        eventually(lambda: service.packets)
        daemon.signal(signal.SIGTERM)
        eventually(lambda: daemon.get("/readyz")[0] == 503)
        self.assertEqual(daemon.get("/livez")[0], 200)
        self.assertEqual(daemon.get_json("/status")["state"], "draining")
        release.set()

    def test_replies_say_crrst_while_draining(self):
        release = threading.Event()
        service = self.upstream(lambda c, p: (release.wait(PATIENCE), c.answer(p)))
        daemon = self.bridled({**self.config(service), "shutdown": LONG_DRAIN})
        caller = self.caller(daemon, "ttheader_framed")
        caller.send()
        eventually(lambda: service.packets)
        daemon.signal(signal.SIGTERM)
        eventually(lambda: daemon.get("/readyz")[0] == 503)
        release.set()
        self.assertEqual(caller.receive().header.strs.get("crrst"), "1")
        self.assertTrue(sockets.is_closed(caller.sock))

    def test_terms_to_the_very_end_change_nothing(self):
        for _ in range(10):
            daemon = self.bridled(self.config(self.upstream(upstream.echo)))
            while daemon.is_alive():
                daemon.signal(signal.SIGTERM)
            self.assertEqual(daemon.wait(), 0)

    def test_the_drain_has_a_limit_and_a_second_term_none(self):
        for second in (False, True):
            with self.subTest(second=second):
                service = self.upstream(upstream.silent)
                config = self.config(service)
                config["shutdown"] = {"drain": "60s" if second else "300ms", "spread": "10ms"}
                daemon = self.bridled(config)
                caller = self.caller(daemon)
                caller.send()
                eventually(lambda s=service: s.packets)
                began = time.monotonic()
                daemon.signal(signal.SIGTERM)
                if second:
                    eventually(lambda d=daemon: d.get("/readyz")[0] == 503)
                    daemon.signal(signal.SIGTERM)
                self.assertEqual(daemon.wait(), 0)
                self.assertLess(time.monotonic() - began, 15)

    def test_int_and_quit_end_it_too(self):
        for number in (signal.SIGINT, signal.SIGQUIT):
            daemon = self.bridled(self.config(self.upstream(upstream.echo)))
            caller = self.caller(daemon)
            caller.call()
            daemon.signal(number)
            self.assertEqual(daemon.wait(), 0)

    def test_usr1_reopens_the_logs(self):
        config = self.config(self.upstream(upstream.echo))
        config["log"] = {"to": self.path("daemon.log"), "level": "info"}
        daemon = self.bridled(config)
        with self.caller(daemon) as caller:
            caller.call()
            daemon.access_log(1)
            os.rename(daemon.access_path, daemon.access_path + ".1")
            os.rename(self.path("daemon.log"), self.path("daemon.log.1"))
            daemon.signal(signal.SIGUSR1)
            eventually(lambda: os.path.exists(daemon.access_path) and
                       os.path.exists(self.path("daemon.log")))
            caller.call("Second")
            self.assertEqual(daemon.access_log(1)[0]["method"], "Second")

    def test_pipe_and_others_are_nothing(self):
        daemon = self.bridled(self.config(self.upstream(upstream.echo)))
        with self.caller(daemon) as caller:
            for number in (signal.SIGPIPE, signal.SIGWINCH, signal.SIGCONT):
                daemon.signal(number)
                self.assertEqual(caller.call(text="x").text, "x")


class Commands(TestCase):
    """The admin socket, and `bridled -s` that asks it."""

    def start(self):
        self.config = {"listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc"}],
                       "services": {"svc": {"endpoints": [self.upstream(upstream.echo).address]}}}
        return self.bridled(self.config)

    def tell(self, daemon, command):
        return subprocess.run([BINARY, "-c", daemon.config_path, "-s", command], timeout=STOP_SECONDS,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              stdin=subprocess.DEVNULL)

    def test_reload_and_its_refusal(self):
        daemon = self.start()
        before = daemon.get_json("/status")["config"]["hash"]
        self.config["services"]["svc"]["timeout"] = {"call": "9s"}
        daemon.write_config(self.config)
        done = self.tell(daemon, "reload")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertNotEqual(daemon.get_json("/status")["config"]["hash"], before)
        with open(daemon.config_path, "a", encoding="utf-8") as file:
            file.write("\n]")
        status, body = daemon.get("/reload", "POST")
        self.assertGreaterEqual(status, 400)
        answer = json.loads(body)
        self.assertFalse(answer["ok"])
        self.assertTrue(answer["problems"][0]["line"])

    def test_stop_and_quit(self):
        for command in ("stop", "quit"):
            with self.subTest(command=command):
                daemon = self.start()
                done = self.tell(daemon, command)
                self.assertEqual(done.returncode, 0, done.stdout)
                self.assertEqual(daemon.wait(), 0)

    def test_reopen(self):
        daemon = self.start()
        with self.caller(daemon) as caller:
            caller.call()
            daemon.access_log(1)
            os.rename(daemon.access_path, daemon.access_path + ".1")
            self.assertEqual(self.tell(daemon, "reopen").returncode, 0)
            caller.call()
            daemon.access_log(1)

    def test_nobody_is_there_to_be_told(self):
        daemon = self.start()
        daemon.stop()
        self.assertNotEqual(self.tell(daemon, "reload").returncode, 0)


class Admission(TestCase):
    """Who may connect, and in which protocol."""

    def try_call(self, daemon, form="framed"):
        with self.caller(daemon, form) as caller:
            try:
                caller.send(text="x")
                return caller.receive()
            except (EOFError, ConnectionError):
                return None

    def test_networks(self):
        service = self.upstream(upstream.echo)
        for rules, is_let_in in (({"allow": ["127.0.0.0/8"]}, True),
                                 ({"allow": ["10.0.0.0/8"]}, False),
                                 ({"deny": ["127.0.0.1/32"]}, False),
                                 ({"allow": ["127.0.0.0/8"], "deny": ["127.0.0.1/32"]}, False),
                                 ({"deny": ["10.0.0.0/8"]}, True)):
            with self.subTest(rules=rules):
                daemon = self.pinned(service, rules)
                self.assertEqual(self.try_call(daemon) is not None, is_let_in)
                daemon.stop()

    def test_users_of_a_unix_socket(self):
        service = self.upstream(upstream.echo)
        for who, is_let_in in (("uid:%d" % os.getuid(), True), ("uid:54321", False),
                               ("gid:%d" % os.getgid(), True)):
            with self.subTest(who=who):
                daemon = self.pinned(service, {"address": "unix:" + self.path("in.sock"),
                                               "allow": [who]})
                self.assertEqual(self.try_call(daemon) is not None, is_let_in)
                daemon.stop()

    def test_protocols_that_are_not_listed(self):
        service = self.upstream(upstream.echo)
        for listed, forms in ((["ttheader"], ("ttheader_bare", "ttheader_framed")),
                              (["framed"], ("framed",)), (["buffered"], ("buffered",))):
            daemon = self.pinned(service, {"protocols": listed, "timeout": {"detect": "300ms"}})
            for form in wire.FORMS:
                with self.subTest(listed=listed, form=form):
                    answer = self.try_call(daemon, form)
                    self.assertEqual(answer is not None and answer.exception is None,
                                     form in forms)
            daemon.stop()
        self.assertEqual({p.text for p in service.packets}, {"x"})

    def test_one_listener_on_several_addresses(self):
        daemon = self.pinned(self.upstream(upstream.echo), {
            "address": ["127.0.0.1:0", "unix:" + self.path("in.sock"), "127.0.0.1:0"]})
        (listener,) = daemon.get_json("/status")["listeners"]
        self.assertEqual(len(set(listener["addresses"])), 3)
        for address in listener["addresses"]:
            with sockets.Caller(address) as caller:
                self.assertEqual(caller.call(text="x").text, "x")


class UnixSockets(TestCase):
    def config(self, service, address="unix:in.sock", **listener):
        path = address.replace("unix:", "unix:" + self.directory + "/")
        return {"listeners": [{"name": "in", "address": path, "service": "svc", **listener}],
                "services": {"svc": {"endpoints": [service.address]}}}

    def test_calls_and_mode(self):
        daemon = self.bridled(self.config(self.upstream(upstream.echo), mode="0640"))
        self.assertEqual(os.stat(self.path("in.sock")).st_mode & 0o777, 0o640)
        with self.caller(daemon) as caller:
            self.assertEqual(caller.call(text="x").text, "x")

    def test_a_stale_socket_is_replaced(self):
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(self.path("in.sock"))
        stale.close()
        daemon = self.bridled(self.config(self.upstream(upstream.echo)))
        with self.caller(daemon) as caller:
            caller.call()

    def test_a_killed_daemon_starts_again(self):
        service = self.upstream(upstream.echo)
        daemon = self.bridled(self.config(service))
        daemon.process.kill()
        daemon.process.wait()
        daemon.start()
        with self.caller(daemon) as caller:
            caller.call()

    def must_not_start(self, config, code=None):
        daemon = Bridled(self.directory, config)
        done = subprocess.run([BINARY, "-c", daemon.config_path], stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, timeout=STOP_SECONDS, check=False)
        if code is None:
            self.assertIn(done.returncode, (1, TRY_AGAIN, CONFIG_ERROR))
        else:
            self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr.decode()

    def test_a_socket_in_use_is_left_alone(self):
        live = self.upstream(upstream.echo, "in.sock")
        said = self.must_not_start(self.config(self.upstream(upstream.echo)), TRY_AGAIN)
        self.assertIn("in.sock", said)
        with sockets.Caller(live.address) as caller:
            caller.call()

    def test_what_is_not_a_socket_is_left_alone(self):
        service = self.upstream(upstream.echo)
        with open(self.path("in.sock"), "w", encoding="ascii") as file:
            file.write("precious")
        self.must_not_start(self.config(service))
        with open(self.path("in.sock"), encoding="ascii") as file:
            self.assertEqual(file.read(), "precious")
        os.unlink(self.path("in.sock"))
        os.mkdir(self.path("in.sock"))
        self.must_not_start(self.config(service))
        os.rmdir(self.path("in.sock"))
        os.symlink("/etc/hostname", self.path("in.sock"))
        self.must_not_start(self.config(service))
        self.assertTrue(os.path.islink(self.path("in.sock")))

    def test_two_daemons_cannot_share_a_listener_or_an_admin_socket(self):
        service = self.upstream(upstream.echo)
        first = self.bridled(self.config(service))
        self.must_not_start(self.config(service, "unix:other.sock"), TRY_AGAIN)  # admin.sock
        self.assertEqual(first.get("/livez")[0], 200)

    def test_the_socket_goes_with_the_daemon(self):
        daemon = self.bridled(self.config(self.upstream(upstream.echo)))
        daemon.stop()
        self.assertFalse(os.path.exists(self.path("in.sock")))
        self.assertFalse(os.path.exists(daemon.admin_path))


class ExitCodes(TestCase):
    def run_it(self, *arguments):
        return subprocess.run([BINARY, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, timeout=STOP_SECONDS, check=False)

    def test_usage(self):
        self.assertEqual(self.run_it("--no-such-option").returncode, USAGE)
        self.assertEqual(self.run_it("stray").returncode, USAGE)

    def test_help_and_versions(self):
        for option in ("-h", "--help", "-v", "-V"):
            done = self.run_it(option)
            self.assertEqual((done.returncode, done.stderr), (0, b""), option)
            self.assertTrue(done.stdout)
        for word in (b"nghttp2: ", b"ttheader_streaming grpc", b"features: "):
            self.assertIn(word, self.run_it("-V").stdout)

    def test_a_port_in_use(self):
        taken = self.upstream(upstream.echo)
        daemon = Bridled(self.directory, {
            "listeners": [{"name": "in", "address": taken.address, "service": "svc"}],
            "services": {"svc": {"endpoints": ["127.0.0.1:9"]}}})
        done = self.run_it("-c", daemon.config_path)
        self.assertEqual(done.returncode, TRY_AGAIN, done.stderr)
        self.assertIn(taken.address.encode(), done.stderr)

    def test_a_broken_or_missing_file(self):
        self.assertEqual(self.run_it("-c", self.path("nothing.yaml")).returncode, CONFIG_ERROR)
        with open(self.path("bad.yaml"), "w", encoding="utf-8") as file:
            file.write("listeners: 5\n")
        self.assertEqual(self.run_it("-c", self.path("bad.yaml")).returncode, CONFIG_ERROR)
        self.assertEqual(self.run_it("-t", "-c", self.path("bad.yaml")).returncode, 1)
