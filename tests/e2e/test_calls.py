"""Calls of every form to services of every protocol: what arrives, and what comes back."""

import json
import os

import sockets
import upstream
import wire
from bridled import TOP, TestCase, eventually

PROTOCOLS = ("same", "buffered", "framed", "ttheader", "ttheader_framed", "ttheader_bare")


def form_at_service(form, protocol):
    """What a call of that form becomes; heads that the proxy makes have the inner frame."""
    if protocol == "same":
        return form
    if protocol == "ttheader":
        return form if form.startswith("ttheader") else "ttheader_framed"
    return protocol


class Matrix(TestCase):
    """One daemon with a listener for each protocol of a service."""

    def start(self, behaviour, **policy):
        self.service = self.upstream(behaviour)
        return self.bridled({
            "node": {"service": "test.node"},
            "listeners": [{"name": p, "address": "127.0.0.1:0", "service": "svc." + p}
                          for p in PROTOCOLS],
            "services": {"svc." + p: {"endpoints": [self.service.address], "protocol": p, **policy}
                         for p in PROTOCOLS}})

    def each_pair(self, daemon, forms=wire.FORMS, **kwargs):
        """(caller, form, protocol) of each pair there is."""
        for protocol in PROTOCOLS:
            for form in forms:
                with self.caller(daemon, form, protocol, **kwargs) as caller:
                    yield caller, form, protocol

    def test_thrift_reaches_the_service_in_the_form_it_speaks(self):
        daemon = self.start(upstream.report)
        for caller, form, protocol in self.each_pair(daemon):
            with self.subTest(form=form, protocol=protocol):
                for _ in range(2):
                    seen = json.loads(caller.call("Echo", "hi").text)
                    self.assertEqual(seen["form"], form_at_service(form, protocol))
                    self.assertEqual((seen["method"], seen["kind"]), ("Echo", wire.CALL))
        self.assertEqual(self.service.malformed, [])

    def test_kitex_protobuf_reaches_the_service_in_the_form_it_speaks(self):
        daemon = self.start(upstream.report)
        for caller, form, protocol in self.each_pair(daemon, wire.FRAMED_FORMS,
                                                     magic=wire.KITEXPB):
            expected = form_at_service(form, protocol)
            with self.subTest(form=form, protocol=protocol):
                answer = caller.call("Echo", "\x0a\x02hi")
                if expected in wire.FRAMED_FORMS:
                    self.assertEqual(json.loads(answer.text)["form"], expected)
                else:
                    self.assert_refused(answer, "no_conversion", 6)
        self.assertEqual(self.service.malformed, [])

    def test_exceptions_come_back_as_they_are(self):
        daemon = self.start(upstream.fail)
        for caller, form, protocol in self.each_pair(daemon):
            with self.subTest(form=form, protocol=protocol):
                for _ in range(2):
                    self.assertEqual(caller.call("Echo", "hi").exception, (6, "biz error: no"))

    def test_declared_exceptions_and_empty_results_are_replies(self):
        daemon = self.start(lambda c, p: c.write(p.answer(
            wire.string_field(1, "declared") + b"\0" if p.method == "Oops" else b"\0")))
        for caller, form, protocol in self.each_pair(daemon):
            with self.subTest(form=form, protocol=protocol):
                self.assertEqual(caller.call("Oops").fields, {1: b"declared"})
                self.assertEqual(caller.call("Void").fields, {})

    def test_a_oneway_has_no_answer_and_the_next_call_has_its_own(self):
        daemon = self.start(upstream.echo)
        sent = 0
        for caller, form, protocol in self.each_pair(daemon):
            with self.subTest(form=form, protocol=protocol):
                for i in range(3):
                    caller.send("Notify", "oneway", kind=wire.ONEWAY)
                    self.assertEqual(caller.call("Echo", "call %d" % i).text, "call %d" % i)
                    sent += 1

        def seen(kind):
            return sum(p.kind == kind for p in self.service.packets)
        # Oneways have connections of their own: the last may arrive after the reply of the call behind it.
        eventually(lambda: seen(wire.ONEWAY) >= sent, what="the last oneway")
        self.assertEqual((seen(wire.ONEWAY), seen(wire.CALL)), (sent, sent))

    def test_sequence_ids_of_the_caller_come_back(self):
        daemon = self.start(upstream.echo)
        for caller, form, protocol in self.each_pair(daemon):
            with self.subTest(form=form, protocol=protocol):
                for seq in (1, 0, -1, 0x7fffffff, -0x80000000, 1):
                    self.assertEqual(caller.call("Echo", "x", seq=seq).seq, seq)

    def test_business_errors_reach_callers_that_can_carry_them(self):
        daemon = self.start(lambda c, p: c.write(p.answer(b"\0", strs={
            "biz-status": "1204", "biz-message": "no money", "biz-extra": '{"a":"b"}'})))
        for form in ("ttheader_bare", "ttheader_framed"):
            for protocol in ("same", "ttheader", "ttheader_framed", "ttheader_bare"):
                with self.subTest(form=form, protocol=protocol), \
                        self.caller(daemon, form, protocol) as caller:
                    answer = caller.call("Pay")
                    self.assertEqual((answer.kind, answer.fields), (wire.REPLY, {}))
                    self.assertEqual(answer.header.strs["biz-status"], "1204")
                    self.assertEqual(answer.header.strs["biz-message"], "no money")
                    self.assertEqual(answer.header.strs["biz-extra"], '{"a":"b"}')
        for form in ("buffered", "framed"):
            for protocol in ("ttheader", "ttheader_framed", "ttheader_bare"):
                with self.subTest(form=form, protocol=protocol), \
                        self.caller(daemon, form, protocol) as caller:
                    kind, text = caller.call("Pay").exception
                    self.assertEqual(kind, 6)
                    self.assertIn("no money", text)

    def test_business_errors_can_be_dropped_for_the_others(self):
        daemon = self.start(lambda c, p: c.write(p.answer(b"\0", strs={
            "biz-status": "1204", "biz-message": "no money"})), biz_error="drop")
        for form in ("buffered", "framed"):
            with self.caller(daemon, form, "ttheader") as caller:
                answer = caller.call("Pay")
                self.assertEqual((answer.kind, answer.fields), (wire.REPLY, {}))


class Metadata(TestCase):
    META = {"ints": {2: "log-1", 3: "the.caller", 6: "the.service", 10: "prod", 999: "unknown"},
            "strs": {"RPC_PERSIST_TENANT": "blue", "RPC_TRANSIT_HOP": "one", "isn": "Shop",
                     "other": "", "utf": "\xc3\xa4"}, "acl": "token"}

    def test_ttheader_to_ttheader_passes_every_byte(self):
        service = self.upstream(upstream.report)
        daemon = self.pinned(service)
        for form in ("ttheader_bare", "ttheader_framed"):
            with self.subTest(form=form), self.caller(daemon, form) as caller:
                question = caller.send(**self.META)
                answer = caller.receive()
                self.assertEqual(service.packets[-1].raw, question.raw)
                self.assertEqual(answer.header.strs, {"BACK": "ward"})
                self.assertEqual(answer.header.ints, {wire.MESSAGE_TYPE: "2"})

    def test_metadata_survives_a_change_of_the_inner_frame(self):
        service = self.upstream(upstream.report)
        for form, protocol in (("ttheader_bare", "ttheader_framed"),
                               ("ttheader_framed", "ttheader_bare")):
            with self.subTest(protocol=protocol):
                daemon = self.pinned(service, protocol=protocol)
                with self.caller(daemon, form) as caller:
                    seen = json.loads(caller.call(**self.META).text)
                    self.assertEqual(seen["strs"], self.META["strs"])
                    self.assertEqual(seen["acl"], "token")
                    kept = {k: v for k, v in seen["ints"].items() if k != "1"}
                    self.assertEqual(kept, {str(k): v for k, v in self.META["ints"].items()})
                daemon.stop()

    def test_a_framed_service_gets_no_metadata_and_it_is_counted(self):
        service = self.upstream(upstream.report)
        daemon = self.pinned(service, protocol="framed")
        with self.caller(daemon, "ttheader_framed") as caller:
            answer = caller.call(**self.META)
            self.assertEqual(json.loads(answer.text)["form"], "framed")
            self.assertEqual(answer.header.ints, {wire.MESSAGE_TYPE: "2"})
        eventually(lambda: daemon.metric("bridle_metadata_dropped_total") > 0)

    def test_values_that_come_back_are_dropped_for_a_framed_caller_and_counted(self):
        daemon = self.pinned(self.upstream(upstream.report), protocol="ttheader")
        with self.caller(daemon, "framed") as caller:
            self.assertEqual(json.loads(caller.call().text)["form"], "ttheader_framed")
        eventually(lambda: daemon.metric("bridle_metadata_dropped_total") > 0)

    def test_a_head_that_is_made_here_carries_what_kitex_would_send(self):
        service = self.upstream(upstream.report)
        daemon = self.bridled({
            "node": {"service": "test.node"},
            "listeners": [{"name": "in", "address": "unix:" + self.path("in.sock"),
                           "service": "label"}],
            "services": {"label": {"name": "shop.price", "endpoints": [service.address],
                                   "aliases": ["PriceService"], "protocol": "ttheader",
                                   "timeout": {"call": "60s"}}}})
        with self.caller(daemon, "framed") as caller:
            seen = json.loads(caller.call("Quote", seq=77).text)
        ints = seen["ints"]
        self.assertEqual(ints["1"], "framed")
        self.assertEqual((ints["3"], ints["6"], ints["9"], ints["22"]),
                         ("test.node", "shop.price", "Quote", "1"))
        self.assertTrue(ints["2"])
        self.assertTrue(50000 <= int(ints["12"]) <= 60000, ints["12"])
        self.assertEqual(seen["strs"].get("isn"), "PriceService")
        self.assertEqual((seen["seq"], seen["header_seq"], seen["flags"]), (77, 77, 0))
        (line,) = daemon.access_log(1)
        self.assertEqual(line["log_id"], ints["2"])

    def test_a_oneway_is_one_in_the_head_that_is_made_here(self):
        service = self.upstream(upstream.echo)
        daemon = self.pinned(service, protocol="ttheader")
        with self.caller(daemon, "framed") as caller:
            caller.send("Notify", kind=wire.ONEWAY)
            caller.call()
        (oneway,) = eventually(
            lambda: [p for p in service.packets if p.kind == wire.ONEWAY], what="the oneway")
        self.assertEqual(oneway.header.ints[wire.MESSAGE_TYPE], "4")

    def test_rip_is_the_address_of_the_caller_where_that_is_asked_for(self):
        daemon = self.pinned(self.upstream(upstream.report), {"caller_address": "set"})
        with self.caller(daemon, "ttheader_framed") as caller:
            host, port = caller.sock.getsockname()
            for claimed in ({}, {"rip": "6.6.6.6:66"}):
                seen = json.loads(caller.call(strs=claimed).text)
                self.assertIn(seen["strs"]["rip"], (host, "%s:%d" % (host, port)))

    def test_rip_is_left_alone_otherwise(self):
        daemon = self.pinned(self.upstream(upstream.report))
        with self.caller(daemon, "ttheader_framed") as caller:
            self.assertNotIn("rip", json.loads(caller.call().text)["strs"])
            seen = json.loads(caller.call(strs={"rip": "1.2.3.4:5"}).text)
            self.assertEqual(seen["strs"]["rip"], "1.2.3.4:5")

    def test_a_checksum_is_kept_where_its_bytes_stay_and_made_anew_where_not(self):
        service = self.upstream(upstream.echo)
        for form, protocol in (("ttheader_framed", "same"), ("ttheader_bare", "ttheader_bare"),
                               ("ttheader_framed", "ttheader_bare"),
                               ("ttheader_bare", "ttheader_framed")):
            with self.subTest(form=form, protocol=protocol):
                daemon = self.pinned(service, protocol=protocol)
                with self.caller(daemon, form) as caller:
                    bare = caller.packet(text="sum").pack()
                    payload = bare[14 + 4 * bare[13]:]
                    header = wire.Header(9, strs={"crc32c": wire.crc32c(payload), "PV_x": "y"})
                    caller.sock.sendall(header.pack(payload))
                    caller.receive()
                packet = service.packets[-1]
                after = packet.raw[14 + 4 * packet.raw[13]:]
                self.assertEqual(packet.header.strs["crc32c"], wire.crc32c(after))
                stays = payload == after
                self.assertEqual(packet.header.strs.get("PV_x"), "y" if stays else None)
                daemon.stop()

    def test_a_header_of_60_kib_passes(self):
        service = self.upstream(upstream.report)
        daemon = self.pinned(service)
        with self.caller(daemon, "ttheader_framed") as caller:
            strs = {"key%d" % i: "v" * 600 for i in range(95)}
            self.assertEqual(json.loads(caller.call(strs=strs).text)["strs"], strs)

    def test_the_sequence_id_of_the_header_is_not_judged_on_a_leased_connection(self):
        def behaviour(connection, packet):
            answer = packet.answer(wire.result("x"))
            answer.header.seq += 1
            connection.write(answer)
        daemon = self.pinned(self.upstream(behaviour), protocol="ttheader")
        with self.caller(daemon, "framed") as caller:
            self.assertEqual(caller.call().text, "x")

    def test_crrst_belongs_to_one_connection(self):
        service = self.upstream(lambda c, p: c.write(p.answer(
            wire.result("x"), strs={"crrst": "1", "k": "v"})))
        daemon = self.pinned(service)
        with self.caller(daemon, "ttheader_framed") as caller:
            for _ in range(3):
                self.assertEqual(caller.call().header.strs, {"k": "v"})
        self.assertEqual(service.accepted, 3)

    def test_replies_reuse_the_connection_and_exceptions_of_a_handler_too(self):
        service = self.upstream(upstream.echo)
        daemon = self.pinned(service, config={"workers": 1})
        with self.caller(daemon) as caller:
            for _ in range(20):
                caller.call()
            service.behaviour = upstream.fail
            caller.call()
            service.behaviour = upstream.echo
            caller.call()
        self.assertEqual(service.accepted, 1)

    def test_an_unknown_method_costs_the_connection(self):
        service = self.upstream(lambda c, p: c.write(p.answer(
            wire.exception_body(1, "unknown method"), wire.EXCEPTION)))
        daemon = self.pinned(service, config={"workers": 1})
        with self.caller(daemon) as caller:
            for _ in range(3):
                self.assertEqual(caller.call().exception, (1, "unknown method"))
        self.assertEqual(service.accepted, 3)

    def test_an_exception_may_have_sequence_id_0_and_no_method(self):
        service = self.upstream(lambda c, p: c.write(p.answer(
            wire.exception_body(20, "unknown service"), wire.EXCEPTION, method="", seq=0)))
        daemon = self.pinned(service)
        for form in wire.FORMS:
            with self.subTest(form=form), self.caller(daemon, form) as caller:
                caller.send()
                self.assertEqual(caller.receive().exception, (20, "unknown service"))


class Naming(TestCase):
    """Listeners that are not pinned: the call says whom it wants."""

    def start(self):
        self.service = self.upstream(upstream.report)
        return self.bridled({
            "listeners": [{"name": "in", "address": "127.0.0.1:0"}],
            "services": {"first": {"name": "shop.first", "endpoints": [self.service.address],
                                   "aliases": ["FirstService"]},
                         "shop.second": {"endpoints": [self.service.address]}}})

    def test_int_key_6_names_the_service(self):
        daemon = self.start()
        with self.caller(daemon, "ttheader_framed") as caller:
            for name in ("shop.first", "shop.second"):
                caller.call(ints={wire.TO_SERVICE: name})
        self.assertEqual([line["service"] for line in daemon.access_log(2)],
                         ["first", "shop.second"])

    def test_isn_names_the_service_by_its_alias(self):
        daemon = self.start()
        with self.caller(daemon, "ttheader_bare") as caller:
            caller.call(strs={"isn": "FirstService"})
        self.assertEqual(daemon.access_log(1)[0]["service"], "first")

    def test_no_name_or_an_unknown_one_is_no_route(self):
        daemon = self.start()
        with self.caller(daemon, "ttheader_framed") as caller:
            self.assert_refused(caller.call(ints={wire.TO_SERVICE: "nobody"}), "no_route", 20)
            self.assert_refused(caller.call(), "no_route", 20)
            caller.call(ints={wire.TO_SERVICE: "shop.second"})
        with self.caller(daemon, "framed") as caller:
            self.assert_refused(caller.call(), "no_route", 20)
        with self.caller(daemon, "framed", magic=wire.KITEXPB) as caller:
            self.assert_refused(caller.call(), "no_route", 20)
        self.assert_metric(daemon, 4, "bridle_calls_total", reason="no_route")

    def test_the_pin_wins_unless_the_listener_is_strict(self):
        service = self.upstream(upstream.report)
        daemon = self.bridled({
            "listeners": [{"name": "pin", "address": "127.0.0.1:0", "service": "svc"},
                          {"name": "strict", "address": "127.0.0.1:0", "service": "svc",
                           "strict_service": True}],
            "services": {"svc": {"endpoints": [service.address]}}})
        with self.caller(daemon, "ttheader_framed", "pin") as caller:
            seen = json.loads(caller.call(ints={wire.TO_SERVICE: "other"}).text)
            self.assertEqual(seen["ints"]["6"], "other")
        with self.caller(daemon, "ttheader_framed", "strict") as caller:
            self.assert_refused(caller.call(ints={wire.TO_SERVICE: "other"}), "no_route")
            caller.call(ints={wire.TO_SERVICE: "svc"})


class Golden(TestCase):
    """Frames recorded from real Kitex processes."""

    CALLS = ("01_buffered_call", "03_framed_call", "09_tth_call_min", "10_tth_call_intkv",
             "11_tth_call_acl", "12_tth_call_negseq", "13_tth_call_full", "18_tthframed_call",
             "24_kpb_framed_call", "28_kpb_tthframed_call", "60_tth_odd_sections")
    ONEWAYS = ("08_framed_oneway", "20_tthframed_oneway")
    REFUSED = ("50_neg_tth_zero_words", "51_neg_tth_protocol_id_2", "52_neg_tth_bad_section",
               "53_neg_thrift_nonstrict", "54_neg_thrift_compact", "55_neg_http1",
               "56_neg_kpb_unframed_in_tth")

    def frame(self, name):
        with open(os.path.join(TOP, "tests", "wire", "golden", name + ".hex"),
                  encoding="ascii") as file:
            return bytes.fromhex(file.readline())

    def test_calls_reach_the_service_byte_for_byte(self):
        service = self.upstream(upstream.echo)
        daemon = self.pinned(service)
        for name in self.CALLS + self.ONEWAYS:
            with self.subTest(frame=name), self.caller(daemon) as caller:
                seen = len(service.packets)
                data = self.frame(name)
                caller.sock.sendall(data)
                if name in self.CALLS:
                    self.assertEqual(caller.receive().kind, wire.REPLY)
                eventually(lambda before=seen: len(service.packets) > before,
                           what="the call")
                self.assertEqual(service.packets[seen].raw, data)

    def test_what_kitex_refuses_is_refused(self):
        service = self.upstream(upstream.echo)
        daemon = self.pinned(service, {"timeout": {"detect": "300ms"}})
        for name in self.REFUSED:
            with self.subTest(frame=name), self.caller(daemon) as caller:
                caller.sock.sendall(self.frame(name))
                self.assertTrue(sockets.is_closed(caller.sock))
        self.assertEqual(service.packets, [])

    def test_the_mesh_header_is_read_and_not_passed_on(self):
        service = self.upstream(upstream.report)
        daemon = self.pinned(service, protocol="framed")
        with self.caller(daemon) as caller:
            caller.sock.sendall(self.frame("29_mesh_header_call"))
            answer = caller.receive()
        self.assertEqual((answer.form, answer.kind), ("buffered", wire.REPLY))
        self.assertEqual(json.loads(answer.text)["form"], "framed")
