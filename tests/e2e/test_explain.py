"""What a running daemon says about calls, beside what becomes of them."""

import json
import os
import urllib.parse

import sockets
import upstream
from bridled import TestCase, eventually

CALLS = 60


class Explain(TestCase):
    def routed(self, **more):
        """Three endpoints: gray, blue, and one that is neither."""
        self.services = {name: self.upstream(upstream.echo) for name in ("gray", "blue", "none")}
        endpoints = [{"address": one.address, "tags": {} if name == "none" else {"lane": name}}
                     for name, one in self.services.items()]
        self.config = {
            "node": {"service": "test.node"},
            "listeners": [{"name": "in", "address": "127.0.0.1:0"}],
            "services": {"svc": {
                "endpoints": endpoints,
                "subsets": {"gray": {"lane": "gray"}, "blue": {"lane": "blue"}},
                "acl": [{"deny": {"caller": "outcast"}}],
                "methods": {"Slow": {"timeout": "7s"}},
                "routes": [{"match": {"meta.env": "gray"}, "to": "gray"},
                           {"match": {"method": {"prefix": "Sp"}}, "split": {"gray": 1, "blue": 1},
                            "sticky": "meta.user"}]}},
            **more}
        return self.bridled(self.config)

    def explain(self, daemon, call, **facts):
        facts = {name.replace("__", "."): value for name, value in facts.items()}
        query = urllib.parse.urlencode({"call": call, "listener": "in", **facts},
                                       quote_via=urllib.parse.quote)
        return daemon.get_json("/explain?" + query)

    def call(self, daemon, method, strs=None, ints=None):
        with sockets.Caller(daemon.address(), "ttheader_framed") as caller:
            return caller.call(method, "hi", strs=strs or {}, ints={6: "svc", **(ints or {})})

    def test_what_is_explained_is_what_happens(self):
        daemon = self.routed()
        expected = []
        for i in range(CALLS):
            method = ("Get", "Split", "Slow")[i % 3]
            env, user = ("gray", "blue")[i // 3 % 2], "user %d" % i
            self.call(daemon, method, {"RPC_PERSIST_ENV": env, "RPC_PERSIST_USER": user})
            told = self.explain(daemon, "svc/" + method, meta__env=env, meta__user=user)
            self.assertEqual((told["service"], told["reason"]), ("svc", "ok"))
            self.assertTrue(all(one["usable"] for one in told["candidates"]), told)
            expected.append({one["address"] for one in told["candidates"]})
        lines = daemon.access_log(CALLS)
        for line, candidates in zip(lines, expected):
            self.assertIn(line["endpoint"], candidates, line)
        self.assertEqual({len(one) for one in expected}, {1, 3})
        self.assertEqual({line["endpoint"] for line in lines},
                         {one.address for one in self.services.values()})

    def test_the_answer_has_what_it_promises(self):
        daemon = self.routed()
        told = self.explain(daemon, "svc/Slow", meta__env="gray", caller="shop.cart")
        self.assertEqual((told["subset"], told["route"]), ("gray", "services.svc.routes[0]"))
        self.assertEqual([(one["at"], one["matched"]) for one in told["rules"]],
                         [("listeners[0]", True), ("services.svc.routes[0]", True),
                          ("services.svc.acl[0]", False)])
        self.assertEqual(told["rules"][1]["why"], 'meta.env = "gray"')
        self.assertEqual(told["policy"]["timeout.call"]["value"], "7s")
        self.assertIn("bridled.yaml:", told["policy"]["timeout.call"]["at"])
        self.assertEqual(told["policy"]["retry.type"], {"value": "failure", "at": "default"})
        self.assertEqual(told["pick"], self.services["gray"].address)
        denied = self.explain(daemon, "svc/Get", caller="outcast")
        self.assertEqual((denied["reason"], denied["at"], denied["pick"]),
                         ("acl_denied", "services.svc.acl[0]", None))
        self.assert_refused(self.call(daemon, "Get", ints={3: "outcast"}), "acl_denied")

    def test_questions_that_make_no_sense_are_400(self):
        daemon = self.routed()
        for query in ("", "call=svc", "call=svc/", "call=svc/Get&listener=nobody",
                      "call=svc/Get&colour=blue", "call=svc/Get&int.x=1", "call=a/B&call=c/D",
                      "call=svc/Get&source=somewhere"):
            status, body = daemon.get("/explain?" + query)
            self.assertEqual(status, 400, query)
            self.assertFalse(json.loads(body)["ok"])
            self.assertTrue(json.loads(body)["error"])

    def test_bridlectl_says_the_same(self):
        daemon = self.routed()
        words = ("explain", "svc/Split", "--listener", "in", "--meta", "user=a b&c=%41")
        told = daemon.ctl_json(*words)
        self.assertEqual(told, self.explain(daemon, "svc/Split", meta__user="a b&c=%41"))
        status, said, _ = daemon.ctl(*words)
        self.assertEqual(status, 0)
        self.assertIn(told["rules"][-1]["why"], said)
        self.assertIn("picked", said)
        self.assertEqual(daemon.ctl("explain", "svc")[0], 2)
        self.assertEqual(daemon.ctl("explain", "svc/Get", "--listener", "nobody")[0], 1)

    def test_an_ejected_endpoint_is_told(self):
        daemon = self.routed()
        self.services["gray"].close()
        gray = self.services["gray"].address

        def ejected():
            self.call(daemon, "Get", {"RPC_PERSIST_ENV": "gray"})
            told = self.explain(daemon, "svc/Get")
            (one,) = [one for one in told["candidates"] if one["address"] == gray]
            return not one["usable"] and told["pick"] != gray and one["why"]
        self.assertEqual(eventually(ejected, what="the ejection"), "ejected")

    def test_a_reload_that_breaks_a_test_of_the_file_is_refused(self):
        tests = [{"call": "svc/Get", "meta": {"env": "gray"}, "expect": {"subset": "gray"}}]
        daemon = self.routed(tests=tests)
        before = daemon.get_json("/status")["config"]["hash"]
        self.config["services"]["svc"]["routes"][0]["to"] = "blue"
        daemon.write_config(self.config)
        status, body = daemon.get("/reload", "POST")
        answer = json.loads(body)
        self.assertEqual((status, answer["ok"]), (409, False))
        (problem,) = answer["problems"]
        self.assertEqual(problem["path"], "tests[0]")
        self.assertIn('expected subset "gray", came to subset "blue"', problem["text"])
        self.assertEqual(daemon.get_json("/status")["config"]["hash"], before)
        self.assertEqual(os.path.basename(problem["file"]), "bridled.yaml")
        status, _, complaint = daemon.ctl("reload")
        self.assertEqual(status, 1)
        self.assertIn("services.svc.routes[0]", complaint)


class Led(TestCase):
    def test_a_fallback_or_a_mirror_without_such_a_lane_changes_nothing(self):
        gray = self.upstream(upstream.echo)
        lanes = {"endpoints": [{"address": gray.address, "tags": {"lane": "gray"}}],
                 "subset_by": {"tag": "lane", "key": "meta.env", "fallback": "none"}}
        empty = {"lane": "nobody"}
        service = {"endpoints": [self.upstream(upstream.echo).address],
                   "subsets": {"nobody": empty},
                   "fallback": {"on": ["no_endpoint"], "to": {"service": "lanes"}},
                   "routes": [{"match": {"method": "Copy"}, "mirror": {"service": "lanes"}},
                              {"match": {"method": "Lost"}, "to": "nobody"}]}
        daemon = self.bridled({"node": {"service": "test.node"},
                               "listeners": [{"name": "in", "address": "127.0.0.1:0",
                                              "service": "svc"}],
                               "services": {"svc": service, "lanes": lanes}})
        with self.caller(daemon, "ttheader_framed") as caller:
            self.assertEqual(caller.call("Copy", "hi").text, "hi")
            self.assert_refused(caller.call("Lost", "hi"), "no_endpoint")
        with self.caller(daemon, "ttheader_framed") as caller:
            answer = caller.call("Lost", "hi", strs={"RPC_PERSIST_ENV": "gray"})
            self.assertEqual(answer.text, "hi")
        self.assertTrue(daemon.is_alive())
