"""Services that no file lists: "*" stands for them, and a registry knows where they are."""

import json
import os
import threading
import time

import registries
import upstream
import wire
from bridled import IS_SANITIZED, TestCase, allow, eventually


def named(service):
    return {"ints": {wire.TO_SERVICE: service}}


class FoundNames(TestCase):
    def start(self, services, **keys):
        self.listed = self.path("services.json")
        self.list_services(services)
        self.config = {
            "node": {"service": "test.node"},
            "registries": {"main": {"type": "file", "path": self.listed, "refresh": "1s"}},
            "listeners": [{"name": "in", "address": "127.0.0.1:0"}],
            "services": {"*": {"discover": "main", "timeout": {"call": "5s"}, **keys}}}
        return self.bridled(self.config)

    def list_services(self, services):
        with open(self.listed + ".new", "w", encoding="utf-8") as file:
            json.dump(services, file)
        os.rename(self.listed + ".new", self.listed)

    def call(self, daemon, service, form="ttheader_framed", text="hi"):
        with self.caller(daemon, form) as caller:
            return caller.call("Echo", text, **named(service))

    def test_a_name_is_found_when_it_is_first_called(self):
        price, stock = self.upstream(name="price"), self.upstream(name="stock")
        daemon = self.start({"shop.price": [price.address], "shop.stock": [stock.address]})
        self.assertNotIn("shop.price", daemon.get("/services")[1])
        self.assertEqual(self.call(daemon, "shop.price").text, "hi")
        self.assertEqual(self.call(daemon, "shop.stock").text, "hi")
        self.assertEqual((len(price.packets), len(stock.packets)), (1, 1))
        found = daemon.get_json("/services/shop.price")
        self.assertEqual((found["label"], found["state"]), ("shop.price", "fresh"))

    def test_the_first_call_is_not_late(self):
        price = self.upstream()
        daemon = self.start({"shop.price": [price.address]})
        begin = time.monotonic()
        self.assertEqual(self.call(daemon, "shop.price").text, "hi")
        self.assertLess(time.monotonic() - begin, allow(2))

    def test_a_name_that_nobody_has_is_refused_until_it_appears(self):
        price = self.upstream()
        daemon = self.start({})
        self.assert_refused(self.call(daemon, "shop.price"), "no_endpoint")
        self.list_services({"shop.price": [price.address]})
        begin = time.monotonic()

        def answered():
            answer = self.call(daemon, "shop.price")
            return answer.exception is None
        eventually(answered, what="the new service")
        self.assertLess(time.monotonic() - begin, 20)

    def test_endpoints_of_a_found_name_are_followed(self):
        first, second = self.upstream(name="1"), self.upstream(name="2")
        daemon = self.start({"shop.price": [first.address]})
        self.call(daemon, "shop.price")
        self.list_services({"shop.price": [second.address]})

        def moved():
            self.assertEqual(self.call(daemon, "shop.price").text, "hi")
            return bool(second.packets)
        eventually(moved, what="the other endpoint")

    def test_the_template_gives_found_names_their_policy(self):
        slow = self.upstream(lambda connection, packet: None)
        daemon = self.start({"slow": [slow.address]}, timeout="200ms")
        begin = time.monotonic()
        self.assert_refused(self.call(daemon, "slow"), "timeout")
        self.assertLess(time.monotonic() - begin, allow(1))

    def test_many_callers_of_a_new_name_all_get_their_answer(self):
        price = self.upstream()
        daemon = self.start({"shop.price": [price.address]})
        answers = []

        def one(number):
            answers.append(self.call(daemon, "shop.price", text=str(number)).text == str(number))
        threads = [threading.Thread(target=one, args=(n,)) for n in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(answers, [True] * 40)

    def test_made_up_names_do_not_hinder_real_ones(self):
        price = self.upstream()
        daemon = self.start({"shop.price": [price.address]})
        before = daemon.rss()
        with self.caller(daemon, "ttheader_framed") as caller:
            for n in range(1500):
                answer = caller.call("Echo", "x", **named("nobody.%d" % n))
                self.assert_refused(answer, "no_endpoint")
        self.assertEqual(self.call(daemon, "shop.price").text, "hi")
        if not IS_SANITIZED:
            self.assertLess(daemon.rss() - before, 32 << 20)

    def test_a_reload_keeps_found_names_and_one_without_the_template_forgets_them(self):
        price = self.upstream()
        daemon = self.start({"shop.price": [price.address]})
        self.call(daemon, "shop.price")
        config = {**self.config, "access_log": {"to": "stderr", "sample": "50%"}}
        daemon.reload(config)
        self.assertIn("shop.price", daemon.get("/services")[1])
        self.assertEqual(self.call(daemon, "shop.price").text, "hi")
        config["services"] = {"other": {"endpoints": [price.address]}}
        daemon.reload(config)
        self.assertNotIn("shop.price", daemon.get("/services")[1])
        self.assert_refused(self.call(daemon, "shop.price"), "no_route")

    def test_calls_are_explained(self):
        price = self.upstream()
        daemon = self.start({"shop.price": [price.address]})
        before = daemon.get_json("/explain?call=shop.price/Quote")
        self.assertEqual(before["reason"], "no_route")
        self.call(daemon, "shop.price")
        after = daemon.get_json("/explain?call=shop.price/Quote")
        self.assertEqual((after["reason"], after["service"]), ("ok", "shop.price"))


class FoundInEtcd(TestCase):
    def test_a_name_is_found_in_etcd_and_a_dead_etcd_costs_no_call(self):
        etcd = registries.Etcd(self).start()
        kitex = registries.Kitex(etcd)
        price = self.upstream()
        kitex.put("shop.price", price.address)
        daemon = self.bridled({
            "registries": {"main": {"type": "etcd", "endpoints": [etcd.address]}},
            "listeners": [{"name": "in", "address": "127.0.0.1:0"}],
            "services": {"*": {"discover": "main"}}})
        with self.caller(daemon, "ttheader_framed") as caller:
            self.assertEqual(caller.call("Echo", "hi", **named("shop.price")).text, "hi")
            etcd.kill()
            for _ in range(50):
                self.assertEqual(caller.call("Echo", "hi", **named("shop.price")).text, "hi")
            self.assert_refused(caller.call("Echo", "hi", **named("shop.other")), "no_endpoint")
