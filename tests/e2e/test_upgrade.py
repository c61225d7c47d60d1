"""Upgrades of the running daemon: another process takes its place, and nobody loses a call; whatever
is wrong with that process, the old one goes on."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

import bridled
import sockets
import upstream
from bridled import eventually
from loads import Clients, GoGrpc, all_of
from peers import (GOECHO, GOGRPC, VOLO_CLIENT, VOLO_GRPC_CLIENT, VOLO_GRPC_SERVER, VOLO_SERVER, Peers,
                   needs)
from test_registration import TTL, InEtcd, InZooKeeper, Registering
from upgrading import Process, UpgradeCase, Upgraded, children, is_running


class Upgrades(UpgradeCase):
    def test_a_signal_brings_another_process_and_no_call_is_lost(self):
        service = self.upstream()
        daemon = self.run_daemon(self.config(service))
        callers = self.callers(daemon, service)
        old, path = daemon.process, self.path("in.sock")
        inode, addresses = os.stat(path).st_ino, daemon.address("in")
        daemon.signal(signal.SIGUSR2)
        new = eventually(lambda: [pid for pid in [daemon.get_json("/status")["pid"]]
                                  if pid != old.pid], what="another process")[0]
        daemon.moved_to(new)
        self.await_calls(callers, 100)
        self.assert_nothing_lost(daemon, callers)
        self.assertEqual(os.stat(path).st_ino, inode)
        self.assertEqual(daemon.address("in"), addresses)
        status = daemon.get_json("/status")
        self.assertEqual(status["state"], "ready")
        self.assertTrue(status["upgrade"]["ok"])
        self.assertEqual(status["upgrade"]["pid"], new)
        self.assertEqual(daemon.metric("bridle_upgrades_total", result="ok"), 1)
        self.assertEqual(daemon.metric("bridle_upgrades_total", result="failed"), 0)

    def test_every_way_to_ask_for_it_tells_what_became_of_it(self):
        daemon = self.run_daemon(self.config(self.upstream()))
        self.assertIsNone(daemon.get_json("/status")["upgrade"])
        daemon.upgrade()
        code, said, _ = daemon.ctl("upgrade")
        self.assertEqual(code, 0)
        daemon.moved_to(int(said.split()[2]))
        self.assertEqual(daemon.get_json("/status")["pid"], daemon.process.pid)
        answer = daemon.ctl_json("upgrade")
        self.assertTrue(answer["ok"])
        daemon.moved_to(answer["pid"])
        done = subprocess.run([daemon.binary, "-c", daemon.config_path, "-s", "upgrade"],
                              timeout=bridled.STOP_SECONDS, check=False)
        self.assertEqual(done.returncode, 0)
        daemon.moved_to(daemon.get_json("/status")["pid"])
        self.assertEqual(daemon.metric("bridle_upgrades_total", result="ok"), 4)
        daemon.install("/bin/false")
        code, _, complaint = daemon.ctl("upgrade")
        self.assertEqual(code, 1)
        self.assertIn("ended with status 1", complaint)
        done = subprocess.run([bridled.BINARY, "-c", daemon.config_path, "-s", "upgrade"],
                              stderr=subprocess.PIPE, text=True, timeout=bridled.STOP_SECONDS,
                              check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("ended with status 1", done.stderr)
        daemon.await_former()

    def test_what_operators_ordered_of_endpoints_holds_on(self):
        daemon = self.run_daemon(self.config(self.upstream()))
        (address,) = [e["address"] for e in daemon.get_json("/services/svc")["endpoints"]]
        self.assertEqual(daemon.ctl("weight", address, "3")[0], 0)
        self.assertEqual(daemon.ctl("disable", address, "svc")[0], 0)
        daemon.upgrade()
        (endpoint,) = daemon.get_json("/services/svc")["endpoints"]
        self.assertTrue(endpoint["disabled"])
        self.assertEqual(endpoint["weight_ordered"], 3)
        self.assertEqual(daemon.ctl("enable", address, "svc")[0], 0)
        self.assertFalse(daemon.get_json("/services/svc")["endpoints"][0].get("disabled"))
        daemon.await_former()

    def test_the_new_process_drains_and_comes_back(self):
        daemon = self.run_daemon(self.config(self.upstream()))
        daemon.upgrade()
        self.assertEqual(daemon.ctl("drain")[0], 0)
        self.assertEqual(daemon.get("/readyz")[0], 503)
        self.assertEqual(daemon.ctl("undrain")[0], 0)
        eventually(lambda: daemon.get("/readyz")[0] == 200, what="readiness")
        daemon.await_former()

    def test_listeners_come_and_go_with_the_file(self):
        service = self.upstream()
        config = self.config(service)
        config["listeners"].append({"name": "old", "address": "unix:" + self.path("old.sock"),
                                    "service": "svc"})
        config["admin"] = {"socket": self.path("admin.sock"), "http": "127.0.0.1:0"}
        daemon = self.run_daemon(config)
        port = eventually(lambda: [
            int(line.partition("127.0.0.1:")[2]) for line in daemon.errors().split("\n")
            if "read-only pages are served" in line], what="the line that tells the port")[0]
        callers = self.callers(daemon, service)
        config["listeners"][2] = {"name": "new", "address": "unix:" + self.path("new.sock"),
                                  "service": "svc"}
        daemon.write_config(config)
        daemon.upgrade()
        with sockets.Caller("unix:" + self.path("new.sock")) as caller:
            self.assertEqual(caller.call(text="new").text, "new")
        eventually(lambda: not os.path.exists(self.path("old.sock")), what="the end of its file")
        self.assertFalse(os.path.exists(self.path("old.sock")))
        web = bridled.http.client.HTTPConnection("127.0.0.1", port, timeout=sockets.PATIENCE)
        status, body = bridled.http_get(web, "/status")
        self.assertEqual((status, json.loads(body)["pid"]), (200, daemon.process.pid))
        self.assert_nothing_lost(daemon, callers)

    def test_who_may_connect_follows_the_new_file(self):
        service = self.upstream()
        config = self.config(service)
        config["listeners"][1]["mode"] = "0600"
        daemon = self.run_daemon(config)
        self.assertEqual(os.stat(self.path("in.sock")).st_mode & 0o777, 0o600)
        config["listeners"][1]["mode"] = "0660"
        daemon.write_config(config)
        daemon.upgrade()
        self.assertEqual(os.stat(self.path("in.sock")).st_mode & 0o777, 0o660)

    def test_the_kernel_names_the_process_that_serves(self):
        daemon = self.run_daemon(self.config(self.upstream()))
        daemon.upgrade()
        for path in (self.path("in.sock"), daemon.admin_path):
            with sockets.connect("unix:" + path) as sock:
                who = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
                self.assertEqual(int.from_bytes(who[:4], "little"), daemon.process.pid)

    def test_the_admin_socket_is_there_all_the_time(self):
        daemon = self.run_daemon(self.config(self.upstream()))
        missing, over = [], threading.Event()

        def ask():
            while not over.is_set():
                try:
                    if daemon.get("/livez")[0] != 200:
                        missing.append("not live")
                except OSError as e:
                    missing.append(repr(e))
        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(10):
            daemon.upgrade()
        over.set()
        for thread in threads:
            thread.join()
        self.assertEqual(missing, [])
        daemon.await_former()

    def test_descriptors_do_not_grow(self):
        service = self.upstream()
        daemon = self.run_daemon(self.config(service))
        counts = []
        for _ in range(20):
            daemon.upgrade()
            daemon.await_former()
            counts.append(daemon.descriptors())
        self.assertLessEqual(max(counts[1:]), counts[0], counts)

    def test_the_new_process_has_no_descriptor_of_the_old_one_but_those_passed(self):
        daemon = self.run_daemon(self.config(self.upstream()))
        seen = self.path("seen")
        daemon.install_script("""
numbers = sorted(int(n) for n in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + n))
with open(%r, "w") as file:
    print(numbers, file=file)
    print([e for e in os.environ if e.startswith(("BRIDLED", "LISTEN", "WATCHDOG"))], file=file)
    print(sys.argv[1:], file=file)
say(FAILED, 0, b"seen enough")
""" % seen)
        status, answer = daemon.post("/upgrade")
        self.assertEqual(status, 409)
        self.assertIn("seen enough", answer["error"])
        with open(seen, encoding="utf-8") as file:
            descriptors, environment, words = [line.strip() for line in file]
        self.assertEqual(descriptors, "[0, 1, 2, 3]")
        self.assertEqual(environment, "['BRIDLED_UPGRADE']")
        self.assertEqual(words, str(["--upgrade", "-c", daemon.config_path]))

    def test_only_what_an_upgrade_has_started_upgrades(self):
        config = self.path("alone.yaml")
        with open(config, "w", encoding="utf-8") as file:
            file.write("listeners: [{address: '127.0.0.1:0'}]\n")
        done = subprocess.run([bridled.BINARY, "-c", config, "--upgrade"], stderr=subprocess.PIPE,
                              text=True, timeout=bridled.STOP_SECONDS, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("bridlectl upgrade", done.stderr)


class Leaving(UpgradeCase):
    """The old process, once another serves."""

    def slow(self, daemon_config=None, **more):
        """A service whose answers wait for `release`."""
        self.release = threading.Event()
        self.addCleanup(self.release.set)

        def behaviour(connection, packet):
            if packet.text.startswith("slow"):
                threading.Thread(
                    target=lambda: (self.release.wait(sockets.PATIENCE),
                                    connection.answer(packet))).start()
            else:
                connection.answer(packet)
        service = self.upstream(behaviour)
        return service, self.run_daemon(self.config(service, **{"upgrade": {"drain": "60s"}, **more}))

    def calling(self, daemon, service, text="slow", form="ttheader_framed"):
        caller = self.caller(daemon, form)
        question = caller.send(text=text)
        eventually(lambda: any(p.text == text for p in service.packets), what="the call")
        return caller, question

    def test_a_call_that_runs_ends_on_the_old_process(self):
        service, daemon = self.slow()
        caller, question = self.calling(daemon, service)
        daemon.upgrade()
        with sockets.Caller(daemon.address("in")) as other:
            self.assertEqual(other.call(text="quick").text, "quick")
        self.assertIsNone(daemon.former[0].poll())
        self.release.set()
        answer = caller.receive()
        caller.must_answer(question, answer)
        self.assertEqual(answer.text, "slow")
        caller.close()
        daemon.await_former()

    def test_what_has_not_ended_in_time_is_cut(self):
        service, daemon = self.slow(upgrade={"drain": "300ms"})
        caller, _ = self.calling(daemon, service, form="framed")
        daemon.upgrade()
        daemon.await_former(bridled.allow(5))
        try:  # a proper answer that says so, or at least the end
            answer = caller.receive()
            self.assertIn("draining", answer.exception[1])
        except (EOFError, ConnectionError):
            pass

    def test_told_to_stop_it_keeps_the_shorter_time(self):
        service, daemon = self.slow(upgrade={"drain": "60s"},
                                    shutdown={"drain": "200ms", "spread": "10ms"})
        self.calling(daemon, service)
        daemon.upgrade()
        old = daemon.former[0]
        self.assertIsNone(old.poll())
        old.send_signal(signal.SIGTERM)
        self.assertEqual(old.wait(bridled.allow(5)), 0)
        self.assertEqual(daemon.get_json("/status")["state"], "ready")

    def test_it_still_answers_who_is_connected_to_the_admin_socket(self):
        service, daemon = self.slow()
        self.calling(daemon, service)
        kept = bridled.UnixHTTP(daemon.admin_path)
        kept.connect()
        old = daemon.process.pid
        daemon.upgrade()
        kept.request("GET", "/status")
        status = json.loads(kept.getresponse().read())
        self.assertEqual((status["pid"], status["state"]), (old, "draining"))
        self.assertEqual(status["upgrade"]["pid"], daemon.process.pid)
        kept.request("POST", "/upgrade")
        answer = kept.getresponse()
        self.assertEqual(answer.status, 409)
        self.assertIn("another process serves", json.loads(answer.read())["error"])
        kept.close()

    def test_the_next_upgrade_does_not_wait_for_it(self):
        service, daemon = self.slow()
        waiting = []
        for i in range(3):
            waiting.append(self.calling(daemon, service, "slow %d" % i))
            daemon.upgrade()
        self.assertEqual([p.poll() for p in daemon.former], [None] * 3)
        self.release.set()
        for i, (caller, question) in enumerate(waiting):
            answer = caller.receive()
            caller.must_answer(question, answer)
            self.assertEqual(answer.text, "slow %d" % i)
            caller.close()
        daemon.await_former()


class Failures(UpgradeCase):
    """Whatever is wrong with the new process, the old one goes on as if nothing had happened."""

    def setUp(self):
        super().setUp()
        self.service = self.upstream()
        self.whole = self.config(self.service, upgrade={"timeout": "20s"})
        self.serving = self.run_daemon(self.whole)
        self.load = self.callers(self.serving, self.service, pause=0.001)
        self.inode = os.stat(self.path("in.sock")).st_ino

    def assert_fails(self, *words):
        pid = self.serving.process.pid
        failed = self.serving.metric("bridle_upgrades_total", result="failed")
        status, answer = self.serving.post("/upgrade")
        self.assertEqual((status, answer["ok"]), (409, False), answer)
        for word in words:
            self.assertIn(word, answer["error"])
        self.assert_goes_on(self.serving, self.load, pid)
        self.assertEqual(os.stat(self.path("in.sock")).st_ino, self.inode)
        record = self.serving.get_json("/status")["upgrade"]
        self.assertEqual((record["ok"], record["error"]), (False, answer["error"]))
        self.assertEqual(self.serving.metric("bridle_upgrades_total", result="failed"), failed + 1)

    def assert_can_still_be_upgraded(self):
        self.serving.install(bridled.BINARY)
        self.serving.write_config(self.whole)
        self.serving.upgrade()
        self.await_calls(self.load, 20)
        self.assert_nothing_lost(self.serving, self.load)

    def test_a_program_that_ends_at_once(self):
        self.serving.install("/bin/false")
        self.assert_fails("ended with status 1 before it served")
        self.serving.install("/bin/true")
        self.assert_fails("ended with status 0 before it served")
        self.assert_can_still_be_upgraded()

    def test_a_program_that_is_not_there_or_cannot_be_run(self):
        self.serving.install(None)
        self.assert_fails("No such file")
        with open(self.serving.binary, "w", encoding="utf-8") as file:
            file.write("no program\n")
        self.assert_fails("Permission denied")
        os.chmod(self.serving.binary, 0o755)
        self.assert_fails(": ")
        self.assert_can_still_be_upgraded()

    def test_a_crash_before_it_is_ready(self):
        self.serving.install_script("os.kill(os.getpid(), 11)")
        self.assert_fails("was ended by signal 11 before it served")
        self.serving.install_script("doors(); os.abort()")
        self.assert_fails("was ended by signal 6")
        self.assert_can_still_be_upgraded()

    def test_a_crash_after_it_was_told_to_serve(self):
        self.serving.install_script("""
n = len(doors())
say(READY)
hear()
os.kill(os.getpid(), 9)
""")
        self.assert_fails("was ended by signal 9")
        self.assert_can_still_be_upgraded()

    def test_one_that_has_taken_the_admin_socket_before_it_dies(self):
        self.serving.install_script("""
doors()
say(READY)
hear()
path = %r
with socket.socket(socket.AF_UNIX) as mine:
    mine.bind(path + ".mine")
    mine.listen()
    os.rename(path + ".mine", path)
    os.abort()
""" % self.serving.admin_path)
        old = bridled.UnixHTTP(self.serving.admin_path)
        old.connect()
        old.request("POST", "/upgrade")
        answer = old.getresponse()
        self.assertEqual(answer.status, 409)
        answer.read()
        old.close()
        self.assert_goes_on(self.serving, self.load, self.serving.process.pid)
        self.assertEqual(os.stat(self.serving.admin_path).st_mode & 0o777, 0o600)
        self.assert_can_still_be_upgraded()

    def test_a_program_that_hangs(self):
        self.whole["upgrade"]["timeout"] = "300ms"
        self.serving.reload(self.whole)
        for text in ("time.sleep(1000)", "doors(); time.sleep(1000)",
                     "channel.close(); time.sleep(1000)",
                     "import signal; signal.signal(15, signal.SIG_IGN); doors(); time.sleep(1000)"):
            self.serving.install_script(text)
            self.assert_fails()
        self.serving.install_script("os.kill(os.getpid(), 19)")
        self.assert_fails("not ready within 300 ms")
        self.assert_can_still_be_upgraded()

    def test_one_that_never_serves_though_it_was_told_to(self):
        self.serving.install_script("doors(); say(READY); hear(); time.sleep(1000)")
        self.assert_fails("did not serve within 5 s")
        self.assert_can_still_be_upgraded()

    def test_one_that_talks_nonsense(self):
        for text, words in (
                ("channel.send(b'nonsense')", "no message"),
                ("channel.send(b'')", "ended with status 0"),
                ("channel.send(b'x' * 5000); time.sleep(1000)", "before it served"),
                ("say(READY, 0, b'', b'BrUp', 2); time.sleep(1000)", "restart instead"),
                ("say(READY, 7); time.sleep(1000)", "other sockets"),
                ("say(SERVING); time.sleep(1000)", "should not say"),
                ("say(GO); time.sleep(1000)", "should not say"),
                ("say(99); time.sleep(1000)", "not understood"),
                ("say(FAILED, 0, b'\\x1b[31m\\n\\xff'); time.sleep(1000)", "the new process says"),
                ("doors(); say(READY); hear(); say(READY); time.sleep(1000)", "should not say"),
                ("socket.send_fds(channel, [b'BrUp'], [0, 1, 2]); time.sleep(1000)", "before it")):
            with self.subTest(text):
                self.serving.install_script(text)
                self.assert_fails(words)
        eventually(lambda: self.serving.descriptors() < 60, what="no descriptor of theirs")
        self.assert_can_still_be_upgraded()

    def test_a_file_that_is_wrong(self):
        wrong = dict(self.whole, workers="many")
        self.serving.write_config(wrong)
        self.assert_fails("bridled.yaml", "workers")
        tested = dict(self.whole, tests=[{"name": "no", "call": {"listener": "in", "method": "Echo"},
                                          "expect": {"service": "other"}}])
        self.serving.write_config(tested)
        self.assert_fails("tests")
        os.unlink(self.serving.config_path)
        self.assert_fails("bridled.yaml")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            more = {"name": "more", "address": "127.0.0.1:%d" % taken.getsockname()[1],
                    "service": "svc"}
            self.serving.write_config(dict(self.whole, listeners=self.whole["listeners"] + [more]))
            self.assert_fails("listener more", "served by another process")
        self.assert_can_still_be_upgraded()

    def test_a_new_listener_leaves_no_file_when_it_comes_to_nothing(self):
        with open(self.path("bad.sock"), "w", encoding="ascii"):
            pass  # what is no socket is not replaced by one
        more = [{"name": name, "address": "unix:" + self.path(name + ".sock"), "service": "svc"}
                for name in ("more", "bad")]
        self.serving.write_config(dict(self.whole, listeners=self.whole["listeners"] + more))
        self.assert_fails("listener bad", "is a regular file")
        self.assertFalse(os.path.exists(self.path("more.sock")))
        self.assert_can_still_be_upgraded()

    def test_a_second_upgrade_is_refused_while_one_runs(self):
        self.serving.install_script("doors(); time.sleep(1000)")
        old = self.serving.process.pid
        self.serving.signal(signal.SIGUSR2)
        child = eventually(lambda: children(old), what="the new process")[0]
        status, answer = self.serving.post("/upgrade")
        self.assertEqual(status, 409)
        self.assertIn("an upgrade is under way", answer["error"])
        status, answer = self.serving.post("/reload")
        self.assertEqual(status, 409)
        self.assertIn("an upgrade is under way", answer["error"])
        os.kill(child, signal.SIGKILL)
        eventually(lambda: self.serving.get_json("/status")["upgrade"], what="its failure")
        self.assert_can_still_be_upgraded()


class Meanwhile(UpgradeCase):
    """What else happens while the new process proves itself."""

    HELD = "doors(); time.sleep(1000)"

    def begin(self, **more):
        """A daemon whose new process does not come to an end, and that process."""
        service = self.upstream()
        daemon = self.run_daemon(self.config(service, **more))
        daemon.install_script(self.HELD)
        daemon.signal(signal.SIGUSR2)
        return daemon, eventually(lambda: children(daemon.process.pid), what="a new process")[0]

    def test_a_stop_ends_both(self):
        daemon, new = self.begin()
        daemon.signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(), 0)
        eventually(lambda: not is_running(new), what="the end of the new process")

    def test_a_drain_is_refused_that_the_new_process_would_not_know_of(self):
        daemon, new = self.begin()
        status, answer = daemon.post("/drain")
        self.assertEqual(status, 409)
        self.assertIn("an upgrade is under way", answer["error"])
        self.assertTrue(daemon.serves())
        os.kill(new, signal.SIGKILL)
        eventually(lambda: daemon.post("/drain")[0] == 200, what="a drain after its end")

    def test_whoever_has_asked_for_it_hears_of_a_stop(self):
        daemon = self.run_daemon(self.config(self.upstream()))
        daemon.install_script(self.HELD)
        answers = []
        asker = threading.Thread(target=lambda: answers.append(daemon.post("/upgrade")))
        asker.start()
        self.addCleanup(asker.join)
        eventually(lambda: children(daemon.process.pid), what="the new process")
        daemon.signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(), 0)
        asker.join()
        self.assertEqual(answers[0][0], 409)
        self.assertIn("told to stop", answers[0][1]["error"])

    def test_a_reload_by_signal_waits_and_is_done_by_who_serves(self):
        daemon, new = self.begin()
        config = self.config(self.upstream(), limits={"connections": 77})
        daemon.write_config(config)
        daemon.signal(signal.SIGHUP)
        eventually(lambda: "a signal waits" in daemon.errors(), what="the word of it")
        self.assertIsNone(daemon.get_json("/status")["config"]["last_reload"])
        os.kill(new, signal.SIGKILL)
        eventually(lambda: daemon.get_json("/status")["config"]["last_reload"], what="the reload")
        self.assertIn("connections: 77", daemon.get("/config")[1])

    def slow_to_start(self, service):
        """A daemon that waits two seconds at its start, for a name of which nobody says anything."""
        mute = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(mute.close)
        mute.bind(("127.0.0.1", 0))
        config = self.config(service, resolvers=["127.0.0.1:%d" % mute.getsockname()[1]])
        config["services"]["other"] = {"endpoints": ["nowhere.test:1"]}
        return self.run_daemon(config)

    def test_the_new_process_is_killed_at_any_moment(self):
        service = self.upstream()
        daemon = self.slow_to_start(service)
        callers = self.callers(daemon, service)
        old, rounds = daemon.process.pid, int(os.environ.get("BRIDLE_UPGRADE_ROUNDS", "25"))
        for i in range(rounds):
            daemon.signal(signal.SIGUSR2)
            new = eventually(lambda: children(old), what="the new process")[0]
            time.sleep(0.1 * i / rounds)
            os.kill(new, signal.SIGKILL)
            eventually(lambda: daemon.metric("bridle_upgrades_total", result="failed") == i + 1,
                       what="its end")
        self.assert_goes_on(daemon, callers, old)
        self.assert_nothing_lost(daemon, callers)

    def test_the_old_process_dies_before_the_new_one_may_serve(self):
        daemon = self.slow_to_start(self.upstream())
        daemon.signal(signal.SIGUSR2)
        new = eventually(lambda: children(daemon.process.pid), what="a new process")[0]
        eventually(lambda: len(os.listdir("/proc/%d/task" % new)) > 2, what="its start")
        daemon.process.kill()
        daemon.process.wait()
        self.assertEqual(Process(new).wait(), 1)
        self.assertIn("the old process is gone", daemon.errors())
        daemon.process = None

    def test_the_old_process_dies_after_the_new_one_was_told_to_serve(self):
        service = self.upstream()
        daemon = self.run_daemon(self.config(service))
        status = self.path("go")
        # What the new process hears and says goes through a hand in between.
        daemon.install_script("""
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
if os.fork() == 0:
    os.dup2(theirs.fileno(), 3, inheritable=True)
    os.execv(%r, sys.argv)
theirs.close()
old = os.getppid()
import select
while True:
    for side in select.select([channel, ours], [], [])[0]:
        other = ours if side is channel else channel
        data, descriptors, _, _ = socket.recv_fds(side, 4096, 4)
        if data[5:6] == bytes([GO]):
            os.kill(old, 9)
            while socket.socket(socket.AF_UNIX).connect_ex(%r) == 0:
                time.sleep(0.001)  # we are taken for the old one, which holds this
            ours.send(data)
            open(%r, "w").close()
            sys.exit(0)
        if not data:
            sys.exit(0)
        socket.send_fds(other, [data], descriptors)
        for fd in descriptors:
            os.close(fd)
""" % (bridled.BINARY, self.path("admin.sock"), status))
        daemon.signal(signal.SIGUSR2)
        daemon.process.wait()
        eventually(lambda: os.path.exists(status), what="the word to serve")
        eventually(daemon.serves, what="another process that serves")
        daemon.process = Process(daemon.get_json("/status")["pid"])
        with sockets.Caller("unix:" + self.path("in.sock")) as caller:
            self.assertEqual(caller.call(text="on").text, "on")


class Manager(UpgradeCase):
    """The service manager: who is the main process, who feeds its watchdog, sockets from it."""

    def notified(self):
        """Lines that came so far."""
        while True:
            try:
                self.lines += self.manager.recv(4096).decode().split("\n")
            except BlockingIOError:
                return self.lines

    def environment(self, **more):
        self.lines, path = [], self.path("notify")
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.manager.bind(path)
        self.manager.setblocking(False)
        return {**os.environ, "NOTIFY_SOCKET": path, **more}

    def await_line(self, line, count=1):
        eventually(lambda: self.notified().count(line) >= count, what=line)

    def test_it_hears_who_is_the_main_process(self):
        daemon = self.run_daemon(self.config(self.upstream()), environment=self.environment())
        self.await_line("READY=1")
        new = daemon.upgrade()
        daemon.await_former()
        self.await_line("READY=1", 2)
        lines = [line for line in self.notified() if line.startswith(("READY", "MAIN", "STOP"))]
        self.assertEqual(lines, ["READY=1", "MAINPID=%d" % new, "READY=1"])

    def test_it_hears_when_the_old_one_stays(self):
        daemon = self.run_daemon(self.config(self.upstream()), environment=self.environment())
        daemon.install_script("doors(); say(READY); hear(); sys.exit(3)")
        old = daemon.process.pid
        self.assertEqual(daemon.post("/upgrade")[0], 409)
        lines = [line for line in self.notified() if line.startswith("MAIN")]
        self.assertEqual(len(lines), 2)
        self.assertNotEqual(lines[0], lines[1])
        self.assertEqual(lines[1], "MAINPID=%d" % old)

    def test_one_that_is_not_told_to_serve_says_nothing(self):
        environment = self.environment()
        daemon = self.run_daemon(self.config(self.upstream()), environment=environment)
        self.await_line("READY=1")
        daemon.write_config(dict(self.config(self.upstream()), workers="many"))
        self.assertEqual(daemon.post("/upgrade")[0], 409)
        self.assertEqual([line for line in self.notified() if line.startswith(("MAIN", "READY"))],
                         ["READY=1"])

    def test_the_watchdog_is_fed_by_who_serves(self):
        environment = self.environment(WATCHDOG_USEC="400000")
        words = ["import os, sys", "os.environ['WATCHDOG_PID'] = str(os.getpid())",
                 "os.execv(sys.argv[1], sys.argv[1:])"]
        daemon = Upgraded(self.directory, self.config(self.upstream()), environment=environment,
                          before=[sys.executable, "-c", "; ".join(words)])
        self.addCleanup(daemon.stop)
        daemon.start()
        self.await_line("WATCHDOG=1")
        daemon.upgrade()
        daemon.await_former()
        self.await_line("WATCHDOG=1", self.notified().count("WATCHDOG=1") + 3)

    # --- sockets from it ---

    ACTIVATOR = """
import fcntl, os, sys
fds, names = [int(n) for n in sys.argv[1].split(",")], sys.argv[2]
spare = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in fds]
for i, fd in enumerate(spare):
    os.dup2(fd, 3 + i, inheritable=True)
os.closerange(3 + len(fds), 1000)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=names)
os.execv(sys.argv[3], sys.argv[3:])
"""

    def listening(self, path=None):
        """A socket as the service manager has bound it."""
        sock = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self.addCleanup(sock.close)
        sock.bind(path or ("127.0.0.1", 0))
        sock.listen(128)
        return sock

    def activated(self, config, sockets_passed, names):
        numbers = [s.fileno() for s in sockets_passed]
        daemon = Upgraded(self.directory, config, pass_fds=numbers, before=[
            sys.executable, "-c", self.ACTIVATOR, ",".join(map(str, numbers)), names])
        self.addCleanup(daemon.stop)
        return daemon.start()

    def test_sockets_are_taken_by_name_and_by_address(self):
        service = self.upstream()
        config = self.config(service)
        named, unnamed, path = self.listening(), self.listening(), self.path("in.sock")
        config["listeners"] = [
            {"name": "in", "address": "127.0.0.1:0", "service": "svc"},
            {"name": "other", "address": "127.0.0.1:%d" % unnamed.getsockname()[1],
             "service": "svc"},
            {"name": "path", "address": "unix:" + path, "service": "svc", "mode": "0600"}]
        unix = self.listening(path)
        os.chmod(path, 0o666)
        inode = os.stat(path).st_ino
        waiting = sockets.connect("unix:" + path)  # before anybody is there to accept
        self.addCleanup(waiting.close)
        daemon = self.activated(config, [named, unnamed, unix], "in:bridled.socket:path")
        for address in ("127.0.0.1:%d" % named.getsockname()[1],
                        "127.0.0.1:%d" % unnamed.getsockname()[1], "unix:" + path):
            with sockets.Caller(address) as caller:
                self.assertEqual(caller.call(text="on").text, "on")
        self.assertEqual(os.stat(path).st_ino, inode)
        # Who may connect is the service manager's business there.
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o666)
        callers = self.callers(daemon, service)
        for _ in range(2):
            daemon.upgrade()
            self.await_calls(callers, 50)
        self.assert_nothing_lost(daemon, callers)
        daemon.signal(signal.SIGTERM)
        daemon.wait()
        self.assertEqual(os.stat(path).st_ino, inode)  # the manager goes on listening there

    def test_the_file_says_what_is_listened_on(self):
        service = self.upstream()
        config = self.config(service)
        stray, datagram = self.listening(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(datagram.close)
        datagram.bind(("127.0.0.1", 0))
        config["listeners"][0]["address"] = "127.0.0.2:0"
        daemon = self.activated(config, [stray, datagram], "in:path")
        eventually(lambda: "a socket that was passed on is in no listener" in daemon.errors(),
                   what="a word about the one that is not in the file")
        self.assert_logged(daemon, "a descriptor that was passed on does not listen")
        self.assertTrue(daemon.address("in").startswith("127.0.0.2:"))
        with sockets.Caller(daemon.address("in")) as caller:
            self.assertEqual(caller.call(text="on").text, "on")
        stray.close()

    def test_what_is_meant_for_another_process_is_left_alone(self):
        sock = self.listening()
        daemon = Upgraded(self.directory, self.config(self.upstream()), pass_fds=[sock.fileno()],
                          environment={**os.environ, "LISTEN_PID": "1", "LISTEN_FDS": "1"})
        self.addCleanup(daemon.stop)
        daemon.start()
        self.assertNotIn("passed on", daemon.errors())


class Many(UpgradeCase, Peers):
    """A hundred upgrades one after another under load: nobody loses a call."""

    SECONDS_EACH = 7
    ROUNDS = int(os.environ.get("BRIDLE_UPGRADE_ROUNDS", "100"))

    def test_a_hundred_upgrades_over_tcp_and_unix_sockets(self):
        service = self.upstream()
        daemon = self.run_daemon(self.config(service))
        callers = self.callers(daemon, service, callers=8, pause=0.002)
        for _ in range(self.ROUNDS):
            daemon.upgrade()
            self.await_calls(callers, 10)
        # A connection that stays is closed in the end, as by any server; that is the exception.
        self.assertLess(callers.again, callers.calls / 20)
        self.assert_nothing_lost(daemon, callers)
        self.assertEqual(daemon.metric("bridle_upgrades_total", result="ok"), self.ROUNDS)

    def upgrades(self, services, loads, rounds):
        """While clients that others have written run again and again."""
        daemon = self.run_daemon({
            "listeners": [{"name": label, "address": "unix:" + self.path(label + ".in"),
                           "service": label} for label in services],
            "services": {label: {"endpoints": endpoints, **({"protocol": protocol} if protocol
                                                            else {})}
                         for label, (protocol, endpoints) in services.items()}})
        with all_of(loads) as load:
            done = 0
            while done < rounds or min(one.calls + len(one.failed) for one in loads) < 2:
                daemon.upgrade()
                done += 1
                time.sleep(0.02)
        self.assertEqual(load.failed, [])
        daemon.await_former()

    def at(self, label):
        return "unix:" + self.path(label + ".in")

    @needs(VOLO_SERVER, VOLO_CLIENT)
    def test_thrift_of_volo(self):
        """Its client counts what its server has seen, so each has one of its own."""
        modes = {"ttheader": None, "framed": "ttheader_framed", "mux": "ttheader"}
        self.upgrades({mode: (protocol, [self.serve(VOLO_SERVER, "thrift", "{}")])
                       for mode, protocol in modes.items()},
                      [Clients(VOLO_CLIENT, mode, self.at(mode), "300") for mode in modes],
                      self.ROUNDS // 4)

    @needs(GOECHO)
    def test_thrift_of_go(self):
        self.upgrades({"go": (None, [self.serve(GOECHO, "server", "{}") for _ in range(3)])},
                      [Clients(GOECHO, "client", mode, self.at("go"), "500", says="serial 500")
                       for mode in ("ttheader", "ttheader-framed", "buffered")], self.ROUNDS // 4)

    @needs(VOLO_GRPC_SERVER, VOLO_GRPC_CLIENT, GOGRPC)
    def test_grpc_of_volo_and_go(self):
        volo = [self.serve(VOLO_GRPC_SERVER, "{}") for _ in range(2)]
        go = [self.serve(GOGRPC, "server", "{}") for _ in range(2)]
        self.upgrades({"volo": ("grpc", volo), "go": ("grpc", go)},
                      [Clients(VOLO_GRPC_CLIENT, self.at("volo"), "300"), GoGrpc(self.at("go"))],
                      self.ROUNDS // 4)

    @needs(GOECHO)
    def test_streams_of_go(self):
        servers = [self.serve(GOECHO, "stream-server", "{}") for _ in range(2)]
        self.upgrades({"streams": ("ttheader_streaming", servers)},
                      [Clients(GOECHO, "stream-client", self.at("streams"), "200")],
                      self.ROUNDS // 4)


class Registered(UpgradeCase, Registering):
    """What is registered passes from one process to the next; at no moment is it not there."""

    SECONDS_EACH = 8

    def watch(self, place, address):
        """Looks all the time whether it is there; (how often it looked, what it missed)."""
        self.looks, self.missed, over = 0, [], threading.Event()

        def look():
            while not over.is_set():
                there = place.addresses()
                self.looks += 1
                if there != [address]:
                    self.missed.append((time.monotonic(), there))
        thread = threading.Thread(target=look)
        thread.start()
        return lambda: (over.set(), thread.join())

    def passes_on(self, place):
        app = self.app()
        daemon = self.run_daemon(Registering.config(self, {"main": place}, app))
        address = daemon.address("in")
        self.await_addresses(place, [address])
        self.await_registered(daemon)
        end = self.watch(place, address)
        try:
            for _ in range(3):
                before = place.owner(address)
                looks = self.looks
                daemon.upgrade()
                daemon.await_former()
                self.await_registered(daemon)
                eventually(lambda b=before: place.owner(address) != b, what="another owner")
                eventually(lambda n=looks: self.looks > n + 3, what="looks")
            time.sleep(TTL + 2)  # so long what the processes before had could have been there
        finally:
            end()
        self.assertEqual(self.missed, [])
        self.assertGreater(self.looks, 10)
        self.assertEqual(self.registered(daemon)["state"], "present")
        self.assertNotIn("contested", daemon.errors())
        self.assertNotIn("lost", daemon.errors())
        daemon.signal(signal.SIGTERM)
        daemon.wait()
        self.assertEqual(place.addresses(), [])

    def test_in_etcd(self):
        self.passes_on(InEtcd(self))

    def test_in_zookeeper(self):
        self.passes_on(InZooKeeper(self))

    def test_what_fails_has_changed_nothing(self):
        place = InEtcd(self)
        daemon = self.run_daemon(Registering.config(self, {"main": place}, self.app()))
        address = daemon.address("in")
        self.await_registered(daemon)
        owner = place.owner(address)
        end = self.watch(place, address)
        try:
            for text in ("sys.exit(1)", "doors(); say(READY); hear(); sys.exit(1)"):
                daemon.install_script(text)
                self.assertEqual(daemon.post("/upgrade")[0], 409)
            time.sleep(TTL + 1)
        finally:
            end()
        self.assertEqual((self.missed, place.owner(address)), ([], owner))

    def test_the_cache_is_written_by_who_serves(self):
        place = InEtcd(self)
        config = Registering.config(self, {"main": place}, self.app())
        cache = config["registries"]["main"]["cache"] = self.path("cache")
        config["services"]["found"] = {"discover": "main"}
        place.kitex.put("found", "127.0.0.1:1")
        daemon = self.run_daemon(config)
        eventually(lambda: os.path.exists(cache), what="the cache")
        daemon.upgrade()
        daemon.await_former()
        place.kitex.put("found", "127.0.0.1:2")

        def has_both():
            with open(cache, encoding="utf-8") as file:
                text = file.read()
            return "127.0.0.1:1" in text and "127.0.0.1:2" in text
        eventually(has_both, what="the new endpoint in it")


if __name__ == "__main__":
    unittest.main()
