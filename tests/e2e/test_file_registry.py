"""Services in a file: every way in which files are changed, while calls go on. What becomes of sets
and errors is tested with the other things that hold for all registries."""

import json
import os
import time

from bridled import SLOWER, TOP, Bridled, TestCase, eventually
from test_discovery import Calls

SERVICE = "shop.price"


class Written(Bridled):
    """A daemon whose configuration is a text."""

    def write_config(self, config):
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(config + "\nadmin: {socket: \"%s\"}\n" % self.admin_path)


class FileCase(TestCase):
    def put(self, path, services):
        with open(path, "w", encoding="utf-8") as file:
            file.write(services if isinstance(services, str) else json.dumps(services))

    def finder(self, path, **registry):
        return self.bridled({
            "node": {"service": "shop.cart"},
            # An hour: what is seen at once comes from inotify.
            "registries": {"main": {"type": "file", "path": path, "refresh": "1h", **registry}},
            "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": SERVICE}],
            "services": {SERVICE: {"discover": "main"}}})

    def addresses(self, daemon):
        return [e["address"] for e in daemon.get_json("/services/" + SERVICE)["endpoints"]]

    def state(self, daemon):
        return daemon.get_json("/services/" + SERVICE)["state"]

    def until(self, daemon, *upstreams):
        wanted = sorted(u.address for u in upstreams)
        eventually(lambda: sorted(self.addresses(daemon)) == wanted, what=str(wanted))


class Changes(FileCase):
    def test_a_file_that_is_replaced_again_and_again(self):
        one, two = self.upstream(), self.upstream()
        path = self.path("services.yaml")
        self.put(path, "shop.price: [%s]\n" % one.address)
        daemon = self.finder(path)
        calls = Calls(self, daemon)
        for i in range(10):
            self.put(path + "~", "shop.price: [%s]\n" % (one, two)[i % 2].address)
            os.rename(path + "~", path)
            self.until(daemon, (one, two)[i % 2])
        self.assertEqual(calls.end(), [])
        self.assertGreater(calls.count, 0)

    def test_a_config_map_of_kubernetes(self):
        one, two = self.upstream(), self.upstream()
        volume = self.path("volume")
        for version, there in (("..1", one), ("..2", two)):
            os.makedirs(os.path.join(volume, version))
            self.put(os.path.join(volume, version, "services.json"), {SERVICE: [there.address]})
        os.symlink("..1", os.path.join(volume, "..data"))
        os.symlink("..data/services.json", os.path.join(volume, "services.json"))
        daemon = self.finder(os.path.join(volume, "services.json"))
        calls = Calls(self, daemon)
        for version, there in (("..2", two), ("..1", one), ("..2", two)):
            os.symlink(version, os.path.join(volume, "..data_tmp"))
            os.rename(os.path.join(volume, "..data_tmp"), os.path.join(volume, "..data"))
            self.until(daemon, there)
        self.assertEqual(calls.end(), [])

    def test_a_file_written_in_place_piece_by_piece_is_never_seen_half(self):
        one, two = self.upstream(), self.upstream()
        path = self.path("services.yaml")
        self.put(path, "other: []\nshop.price:\n- %s\n" % one.address)
        daemon = self.finder(path, empty="obey")
        calls = Calls(self, daemon)
        for there in (two, one, two):
            with open(path, "w", encoding="utf-8") as file:
                for piece in ("other: []\n", "shop.price:\n", "- %s\n" % there.address):
                    file.write(piece)
                    file.flush()
                    time.sleep(0.1)
            self.until(daemon, there)
        self.assertEqual(calls.end(), [])
        kinds = {c["change"] for c in daemon.get_json("/history/" + SERVICE)["changes"]}
        self.assertEqual(kinds, {"added", "removed"})

    def test_a_file_that_is_away_at_the_start_and_goes_and_comes_with_its_folder(self):
        one, two = self.upstream(), self.upstream()
        folder = self.path("later")
        path = os.path.join(folder, "services.json")
        daemon = self.finder(path)
        self.assertEqual(self.state(daemon), "unknown")
        os.mkdir(folder)
        self.put(path, {SERVICE: [one.address]})
        self.until(daemon, one)
        calls = Calls(self, daemon)
        os.unlink(path)
        os.rmdir(folder)
        eventually(lambda: self.state(daemon) == "stale")
        self.assertIn("No such file", daemon.get_json("/services/" + SERVICE)["error"])
        self.assertEqual(self.addresses(daemon), [one.address])
        os.mkdir(folder)
        self.put(path, {SERVICE: [two.address]})
        self.until(daemon, two)
        self.assertEqual(calls.end(), [])

    def test_the_error_of_a_broken_file_says_where(self):
        one = self.upstream()
        path = self.path("services.yaml")
        self.put(path, {SERVICE: [one.address]})
        daemon = self.finder(path)
        calls = Calls(self, daemon)
        for text in ("shop.price: [\n", "shop.price: *x\n", "shop.price: []\nshop.price: []\n"):
            self.put(path, text)
            eventually(lambda: ":2:1:" in self.error(daemon) or ":1:13:" in self.error(daemon))
            self.assertEqual(self.addresses(daemon), [one.address])
            self.put(path, {SERVICE: [one.address]})
            eventually(lambda: self.state(daemon) == "fresh")
        self.assertEqual(calls.end(), [])

    def error(self, daemon):
        return daemon.get_json("/services/" + SERVICE)["error"] or ""


class Size(FileCase):
    def test_ten_thousand_endpoints_that_change_one_by_one(self):
        price = self.upstream()
        path = self.path("services.json")
        far = [{"network": "tcp", "address": "10.%d.%d.%d:80" % (i // 62500, i // 250 % 250,
                                                                 i % 250 + 1), "weight": 0,
                "tags": {"env": "prod", "version": "v%d" % (i % 9)}} for i in range(9999)]
        self.put(path, {SERVICE: far + [price.address]})
        daemon = self.finder(path)
        eventually(lambda: len(self.addresses(daemon)) == 10000)
        # One for each worker: the calls of each use one connection, which is to stay.
        calls = Calls(self, daemon, callers=2)
        eventually(lambda: calls.count > 20 and price.accepted == 2)
        used, accepted = daemon.cpu_seconds(), price.accepted
        for i in range(5):
            far[i]["tags"]["version"] = "new%d" % i
            self.put(path + "~", {SERVICE: far + [price.address]})
            os.rename(path + "~", path)
            eventually(lambda: "version=new%d" % i in daemon.get("/history/" + SERVICE)[1])
        self.assertEqual(calls.end(), [])
        self.assertEqual(price.accepted, accepted)
        self.assertLess(daemon.cpu_seconds() - used, 10 * SLOWER)


class Example(FileCase):
    """conf/file.yaml with conf/services.json, and the addresses that there are here."""

    def test_what_is_in_the_file_is_called(self):
        price, far, test = self.upstream(), self.upstream(), self.upstream()
        texts = {}
        for name in ("file.yaml", "services.json"):
            with open(os.path.join(TOP, "conf", name), encoding="utf-8") as file:
                texts[name] = file.read()
        listed = self.path("services.json")
        for name, old, new in (("services.json", "10.1.2.3:8888", price.address),
                               ("services.json", "10.1.2.4:8888", far.address),
                               ("services.json", "10.1.2.5:8888", test.address),
                               ("file.yaml", "/etc/bridled/services.json", listed),
                               ("file.yaml", "${RUNTIME_DIRECTORY:-/run/bridled}", self.directory)):
            self.assertIn(old, texts[name])
            texts[name] = texts[name].replace(old, new)
        self.put(listed, texts["services.json"])
        daemon = Written(self.directory, texts["file.yaml"])
        self.addCleanup(daemon.stop)
        daemon.start()
        self.until(daemon, price, far)
        # The document of the same file; when it comes, the turns of balancing begin anew.
        eventually(lambda: "200ms" in daemon.ctl("explain", "shop.price/Quote")[1] or
                   "200ms" in daemon.get("/config")[1])
        with self.caller(daemon, listener="price") as caller:
            for _ in range(6):
                self.assertEqual(caller.call("Echo", text="hi").text, "hi")
        self.assertEqual((len(price.packets), len(far.packets), len(test.packets)), (2, 4, 0))
