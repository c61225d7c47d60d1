"""Upgrades of the running daemon: another process takes its place, and nobody loses a call; whatever
is wrong with that process, the old one goes on."""

import json
import os
import signal
import socket
import subprocess
import threading
import unittest

import bridled
import sockets
import upstream
from bridled import eventually
from upgrading import UpgradeCase


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
        daemon.await_former()
        self.await_calls(callers, 100)
        self.assert_nothing_lost(callers)
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

    def test_listeners_come_and_go_with_the_file(self):
        service = self.upstream()
        config = self.config(service)
        config["listeners"].append({"name": "old", "address": "unix:" + self.path("old.sock"),
                                    "service": "svc"})
        config["admin"] = {"socket": self.path("admin.sock"), "http": "127.0.0.1:0"}
        daemon = self.run_daemon(config)
        port = [int(line.partition("127.0.0.1:")[2]) for line in daemon.errors().split("\n")
                if "read-only pages are served" in line][0]
        callers = self.callers(daemon, service)
        config["listeners"][2] = {"name": "new", "address": "unix:" + self.path("new.sock"),
                                  "service": "svc"}
        daemon.write_config(config)
        daemon.upgrade()
        daemon.await_former()
        with sockets.Caller("unix:" + self.path("new.sock")) as caller:
            self.assertEqual(caller.call(text="new").text, "new")
        self.assertFalse(os.path.exists(self.path("old.sock")))
        web = bridled.http.client.HTTPConnection("127.0.0.1", port, timeout=sockets.PATIENCE)
        status, body = bridled.http_get(web, "/status")
        self.assertEqual((status, json.loads(body)["pid"]), (200, daemon.process.pid))
        self.assert_nothing_lost(callers)

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
        return service, self.run_daemon(self.config(service, **more))

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
        daemon.await_former()


if __name__ == "__main__":
    unittest.main()
