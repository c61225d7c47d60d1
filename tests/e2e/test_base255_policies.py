"""Metadata in bodies, and whatever else becomes of calls: other attempts, copies, rules, reloads."""

import threading

from bridled import eventually
from legacy import Query, base_field
from test_base255 import LOG_ID, Based, answer_well

MAY_RUN_TWICE = {"*": {"idempotent": True}}


class Policies(Based):
    QUERY = Query("hello", b"x" * 999)

    def ask(self, daemon, form="ttheader_framed", more=b"", **strs):
        caller = self.caller(daemon, form)
        return caller.call("ask", body=self.QUERY.body(more), **self.header(form, **strs))

    def check(self, service):
        """Its last call came with a Base, and is otherwise as it was."""
        found = self.base_at(service, self.QUERY)
        self.assertEqual((found[1], found[2]), (LOG_ID, "the.caller"))
        self.assertEqual(found[6]["RPC_PERSIST_TENANT"], "blue")
        return found

    def test_a_connection_of_many_calls(self):
        for protocol in ("ttheader", "ttheader_framed", "ttheader_bare"):
            service, daemon = self.told(protocol=protocol, multiplex=True)
            for n in range(20):
                self.ask(daemon)
                self.check(service)
            daemon.stop()

    def test_many_at_once_on_a_connection_of_many_calls(self):
        service, daemon = self.told(protocol="ttheader", multiplex=True)

        def ask_some():
            for _ in range(20):
                self.ask(daemon)
        threads = [threading.Thread(target=ask_some) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(service.packets), 160)
        for packet in list(service.packets):
            service.packets[-1] = packet
            self.check(service)

    def test_an_attempt_beside_the_first(self):
        release = threading.Event()

        def first_waits(connection, packet):
            if len(service.packets) == 1:
                release.wait(10)
            answer_well(connection, packet)
        service, daemon = self.told(first_waits, protocol="framed", methods=MAY_RUN_TWICE,
                                    retry={"type": "backup", "delay": "20ms", "budget": "none"})
        self.ask(daemon)
        release.set()
        self.assertEqual(len(service.packets), 2)
        first, second = service.packets
        service.packets.append(first)
        before = self.check(service)
        service.packets.append(second)
        after = self.check(service)
        self.assertEqual(after[6].pop("RPC_PERSIST_RetryReq"), "1")
        for found in (before, after):
            self.check_deadline(found[6], 4000)
        self.assertEqual(before, after)

    def test_all_endpoints_at_once(self):
        for retry in ("fork", "broadcast"):
            services = [self.upstream(answer_well) for _ in range(3)]
            daemon = self.pinned(services, protocol="framed", metadata="base255", retry=retry,
                                 methods=MAY_RUN_TWICE)
            self.ask(daemon)
            for service in services:
                eventually(lambda s=service: s.packets)
                self.check(service)
            daemon.stop()

    def test_a_copy_is_told_as_its_own_service_has_it(self):
        for metadata in ("base255", "drop"):
            service, shadow = self.upstream(answer_well), self.upstream(answer_well)
            daemon = self.pinned(service, config={"services": {
                "svc": {"endpoints": [service.address], "protocol": "framed", "metadata": "base255",
                        "routes": [{"mirror": {"service": "shadow"}}]},
                "shadow": {"endpoints": [shadow.address], "protocol": "buffered",
                           "metadata": metadata}}})
            self.ask(daemon)
            self.check(service)
            eventually(lambda: shadow.packets)
            if metadata == "base255":
                self.check(shadow)
            else:
                self.assertEqual(shadow.packets[0].body, self.QUERY.body())
            daemon.stop()

    def test_rules_reach_what_bodies_are_told(self):
        service, daemon = self.told(protocol="framed", routes=[
            {"set": {"meta.lane": "gray"}, "remove": ["meta.tenant"]}])
        for form in ("ttheader_framed", "framed"):
            with self.subTest(form=form):
                self.ask(daemon, form, RPC_PERSIST_tenant="gone")
                extra = self.base_at(service, self.QUERY)[6]
                self.assertIn("gray", extra.values(), extra)
                self.assertNotIn("gone", extra.values(), extra)

    def test_rules_see_what_bodies_bring(self):
        service, other = self.upstream(answer_well), self.upstream(answer_well)
        daemon = self.pinned(service, {"metadata": "base255"}, {"services": {
            "svc": {"endpoints": [service.address], "protocol": "framed",
                    "routes": [{"match": {"meta.TENANT": "blue", "caller": "first"},
                                "to": {"service": "other"}}]},
            "other": {"endpoints": [other.address], "protocol": "framed"}}})
        for form in ("framed", "buffered"):
            for tenant, caller in (("blue", "first"), ("blue", "second"), ("green", "first")):
                self.ask(daemon, form, base_field({"RPC_PERSIST_TENANT": tenant}, Caller=caller))
        self.assertEqual((len(other.packets), len(service.packets)), (2, 4))
        lines = daemon.access_log(6)
        self.assertEqual([line["caller"] for line in lines], ["first", "second", "first"] * 2)

    def test_a_reload_changes_it_for_the_next_call(self):
        service, daemon = self.told(protocol="framed")
        caller = self.caller(daemon, "ttheader_framed")
        header = self.header("ttheader_framed")
        caller.call("ask", body=self.QUERY.body(), **header)
        self.check(service)
        whole = {"node": {"service": "test.node"},
                 "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "svc"}],
                 "services": {"svc": {"endpoints": [service.address], "protocol": "framed"}}}
        daemon.reload(whole)

        def is_bare():
            caller.call("ask", body=self.QUERY.body(), **header)
            return service.packets[-1].body == self.QUERY.body()
        eventually(is_bare)

    def test_callers_that_hang_up_in_the_middle(self):
        service, daemon = self.told(protocol="framed")
        data = self.caller(daemon, "ttheader_framed").packet(
            "ask", body=self.QUERY.body(), **self.header("ttheader_framed")).pack()
        for length in (15, len(data) // 2, len(data) - 1):
            caller = self.caller(daemon, "ttheader_framed")
            caller.sock.sendall(data[:length])
            caller.close()
        self.ask(daemon)
        self.check(service)
        self.assertEqual(len(service.packets), 1)
