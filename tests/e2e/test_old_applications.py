"""Applications of six libraries that read no header, between callers and services that do."""

import os
import tempfile

import legacy
import upstream
import wire
from bridled import eventually
from legacy import KINDS, LEGACY, SERVERS, VOLO, Answer, Query, lines
from peers import GOECHO, PYTHON, VOLO_SERVER, free_address, needs
from test_base255 import CARRIED, LOG_ID, STATUS, Based, answer_well
from test_tracing import TRANSIENT, W3C


@needs(VOLO, PYTHON, LEGACY)
class Applications(Based):
    SECONDS_EACH = 5

    def in_front_of_all(self, kind, mode="framed", metadata="base255"):
        """A daemon with a listener for each of the languages, by their names."""
        applications = {language: self.application(language, kind, mode)
                        for language in SERVERS if language not in legacy.absent()}
        daemon = self.bridled({
            "node": {"service": "test.node"},
            "listeners": [{"name": language, "address": "127.0.0.1:0", "service": language}
                          for language in applications],
            "services": {language: {"endpoints": [application.address], "protocol": mode,
                                    "metadata": metadata}
                         for language, application in applications.items()}})
        return daemon, applications

    def expected(self, language, form):
        """The lines of the Base that came with a call of that form."""
        found = {"LogID": LOG_ID, "Caller": "the.caller", "Addr": "192.0.2.7:1234",
                 "Client": "bridled"}
        carried = {**CARRIED, "destination-service": language, TRANSIENT: W3C}
        if not form.startswith("ttheader"):
            carried = {key: carried[key] for key in ("destination-service", "destination-method")}
        found.update(("Extra." + key, value) for key, value in carried.items())
        return found

    def check_base(self, language, form, found):
        expected = self.expected(language, form)
        if form.startswith("ttheader"):
            self.check_deadline(found, 4000)
        else:  # what it did not say itself
            found.pop("rpc-deadline", None)
            self.assertTrue(found["Addr"].startswith("127.0.0.1:"), found)
            self.assertRegex(found["LogID"], "^02[0-9]{13}[0-9a-f]{6}$")
            for key in ("LogID", "Addr", "Caller"):
                expected[key] = found[key]
        self.assertEqual(found, expected)

    def check_calls(self, kind, caller, language, form):
        query = Query("h\u00e9llo", bytes(range(256)) * 3)
        answer = self.ask(caller, query, **self.header(form))
        self.assertEqual((answer.digest, answer.names), (query.digest(), ["apple", ""]))
        self.assertIsNone(answer.base_resp)
        if kind == "old":
            self.assertEqual(answer.base, {})
        else:
            if "Extra.rpc-deadline" in answer.base:
                answer.base["rpc-deadline"] = answer.base.pop("Extra.rpc-deadline")
            self.check_base(language, form, answer.base)

    def check_other_methods(self, caller, language, form):
        """Whatever is asked and answered goes through."""
        header = self.header(form)
        refused = {1: {1: 7, 2: b"declared"}}
        for method in ("ask", "store"):
            answer = caller.call(method, body=Query("refuse").body(), **header)
            self.assertEqual(answer.fields, refused)
        before = caller.call("stored", body=b"\0", **header).fields[0]
        self.assertEqual(caller.call("store", body=Query("x").body(), **header).fields, {})
        caller.send("note", body=Query("x").body(), kind=wire.ONEWAY, **header)
        eventually(lambda: caller.call("stored", body=b"\0", **header).fields == {0: before + 2})
        undeclared = caller.call("ask", body=Query("boom").body(), **header)
        self.assertIn("undeclared" if language != "java" else "", undeclared.exception[1])

    def check_all(self, kind, mode):
        daemon, applications = self.in_front_of_all(kind, mode)
        for language in applications:
            for form in wire.FORMS:
                with self.subTest(language=language, form=form):
                    caller = self.caller(daemon, form, language)
                    self.check_calls(kind, caller, language, form)
                    self.check_other_methods(caller, language, form)
        return daemon, applications

    def test_old_framed_applications_answer_as_ever(self):
        self.check_all("old", "framed")

    def test_old_buffered_applications_answer_as_ever(self):
        self.check_all("old", "buffered")

    def test_framed_applications_that_know_it_read_base(self):
        daemon, applications = self.check_all("known", "framed")
        for language in applications:
            for form in wire.FORMS:
                with self.subTest(language=language, form=form):
                    self.check_status(self.caller(daemon, form, language), form)

    def test_buffered_applications_that_know_it_read_base(self):
        self.check_all("known", "buffered")

    def check_status(self, caller, form):
        """A business status: for callers with a header it stands there; the body is as it was."""
        answer = caller.call("ask", body=Query("status 7").body(), **self.header(form))
        self.assertEqual(Answer(answer).base_resp, STATUS)
        if form.startswith("ttheader"):
            self.assertEqual({k: v for k, v in answer.header.strs.items() if k.startswith("biz-")},
                             {"biz-status": "7", "biz-message": "no stock",
                              "biz-extra": '{"shelf":"7"}'})

    def test_what_volo_sends_reaches_them(self):
        daemon, applications = self.in_front_of_all("known", "framed")
        for language in applications:
            with self.subTest(language=language):
                _, base = self.volo_call("ask", "ttheader", daemon.address(language),
                                         RPC_PERSIST_TENANT="blue", RPC_TRANSIT_HOP="one")
                self.assertEqual(
                    {key: base.get(key) for key in ("Caller", "Client", "Extra.RPC_PERSIST_TENANT",
                                                    "Extra.RPC_TRANSIT_HOP", "Extra.isn")},
                    {"Caller": "demo.caller", "Client": "bridled",
                     "Extra.RPC_PERSIST_TENANT": "blue", "Extra.RPC_TRANSIT_HOP": "one",
                     "Extra.isn": None})

    @needs(VOLO_SERVER, GOECHO)
    def test_other_clients_of_other_services_see_nothing_of_it(self):
        """echo.thrift has no field 255, either."""
        daemon = self.pinned(self.serve(VOLO_SERVER, "thrift", "{}"), protocol="framed",
                             metadata="base255")
        for mode in ("ttheader", "ttheader-framed", "framed", "buffered"):
            with self.subTest(mode=mode):
                said = self.run_client(GOECHO, "client", mode, daemon.address())
                self.assertEqual(self.values(said, "serial"), ["500"])

    def test_an_argument_is_read_or_passed_over(self):
        for kind in KINDS:
            daemon, applications = self.in_front_of_all(kind, metadata="argfield:7")
            for language in applications:
                with self.subTest(kind=kind, language=language):
                    said = self.caller(daemon, "ttheader_framed", language).call(
                        "tell", body=wire.arguments("words"), **self.header("ttheader_framed"))
                    first, _, rest = said.fields[0].decode().partition("\n")
                    self.assertEqual(first, "words")
                    found = lines(rest)
                    self.assertEqual(found.get("source-service"),
                                     "the.caller" if kind == "known" else None)
                    self.assertEqual(len(found) > 5, kind == "known")
            daemon.stop()


@needs(VOLO, PYTHON, LEGACY)
class Chain(Based):
    """Volo, a sidecar, an application without headers that asks another service by way of that
    sidecar, another sidecar, Volo."""

    SECONDS_EACH = 3
    ENTRIES = {"RPC_PERSIST_TENANT": "blue", "RPC_TRANSIT_HOP": "one", TRANSIENT: W3C}

    def daemon_in(self, name, config):
        """Each has a directory of its own."""
        whole, self.directory = self.directory, self.path(name)
        os.mkdir(self.directory)
        try:
            return self.bridled(config)
        finally:
            self.directory = whole

    def last_hop(self, service):
        return self.daemon_in("b", {
            "node": {"service": "demo.stock"},
            "listeners": [{"name": "in", "address": "127.0.0.1:0", "service": "demo.stock"}],
            "services": {"demo.stock": {"endpoints": [service.address], "protocol": "ttheader"}}})

    def first_hop(self, language, kind, mode, behind, outgoing=None, **policy):
        """The sidecar, with the application beside it."""
        is_java = language == "java"  # which cannot call a unix socket
        out = free_address() if is_java else "unix:" + self.path("out.sock")
        application = self.application(language, kind, mode, out)
        return self.daemon_in("a", {
            "node": {"service": "demo.legacy"},
            "listeners": [
                {"name": "in", "address": "127.0.0.1:0", "service": "demo.legacy"},
                {"name": "out", "address": out, "service": "demo.stock", **(outgoing or {})}],
            "services": {
                "demo.legacy": {"endpoints": [application.address], "protocol": mode, **policy},
                "demo.stock": {"endpoints": [behind], "protocol": "ttheader_framed"}}})

    def check_seen(self, daemons, seen):
        """By the service at the end, and by whoever reads logs."""
        first, last = daemons
        self.assertEqual((seen["caller"], seen["p:TENANT"]), ("demo.legacy", "blue"), seen)
        self.assertNotIn("u:HOP", seen)  # it was for one hop
        self.assertEqual(seen["u:traceparent"].split("-")[1], W3C.split("-")[1])
        self.assertLessEqual(int(seen["timeout"]), 10000 - 50)
        self.assertGreater(int(seen["timeout"]), 0)
        outer, inner = sorted(first.access_log(2), key=lambda line: line["listener"])
        (end,) = last.access_log(1)
        self.assertEqual((outer["service"], inner["service"]), ("demo.legacy", "demo.stock"))
        self.assertEqual({line["log_id"] for line in (outer, inner, end)}, {outer["log_id"]})
        self.assertRegex(outer["log_id"], "^02")
        self.assertEqual([line["caller"] for line in (outer, inner, end)],
                         ["demo.caller", "demo.legacy", "demo.legacy"])
        self.assertEqual({line["trace_id"] for line in (outer, inner, end)}, {W3C.split("-")[1]})

    def check_chain(self, language, kind, mode, **policy):
        self.directory = tempfile.mkdtemp(dir=self.top)
        last = self.last_hop(self.server(VOLO, "known", "{}"))
        first = self.first_hop(language, kind, mode, last.address(), **policy)
        digest, seen = self.volo_call("relay", "ttheader", first.address(), delay_ms=50,
                                      **self.ENTRIES)
        self.assertTrue(digest.startswith("hello|"))
        self.check_seen((first, last), seen)
        for daemon in (first, last):
            daemon.stop()

    def setUp(self):
        super().setUp()
        self.top = self.directory

    def present(self, *languages):
        return [language for language in languages if language not in legacy.absent()]

    def test_an_application_that_hands_its_base_on(self):
        for language in self.present("thriftpy2", "py", "cpp", "go", "java"):
            with self.subTest(language=language):
                self.check_chain(language, "known", "framed", metadata="base255",
                                 outgoing={"metadata": "base255"})

    def test_its_calls_bring_what_it_is_given_where_nothing_else_is_said(self):
        """The listener for its calls, and the service it calls, say nothing of metadata."""
        self.check_chain(self.present("go", "thriftpy2")[0], "known", "framed", metadata="base255")

    def test_an_application_that_knows_nothing(self):
        for language in self.present("thriftpy2", "py", "cpp", "go"):
            with self.subTest(language=language):
                self.check_chain(language, "old", "framed", correlate="connection")

    def test_applications_without_a_frame(self):
        """Both ways for the same application."""
        language, = self.present("go", "cpp", "thriftpy2")[:1]
        self.check_chain(language, "old", "buffered", correlate="connection")
        self.check_chain(language, "known", "buffered", metadata="base255",
                         outgoing={"metadata": "base255"})

    def test_base_does_no_harm_to_one_that_knows_nothing(self):
        self.check_chain(self.present("go", "thriftpy2")[0], "old", "framed", metadata="base255",
                         correlate="connection", outgoing={"metadata": "base255"})

    def test_of_two_calls_none_is_guessed(self):
        behind = self.upstream(upstream.silent)
        daemon = self.first_hop(self.present("go", "thriftpy2")[0], "old", "framed",
                                behind.address, correlate="connection")
        for count, result in enumerate(("tied", "several"), 1):
            caller = self.caller(daemon, "ttheader_framed")
            caller.send("relay", body=Query("x").body(), **self.header("ttheader_framed"))
            eventually(lambda: len(behind.packets) == count)  # so it is in flight
            found = behind.packets[-1].header
            self.assertEqual("RPC_PERSIST_TENANT" in found.strs, result == "tied", found.strs)
            self.assertEqual(found.ints.get(wire.LOG_ID) == LOG_ID, result == "tied", found.ints)
            self.assert_metric(daemon, 1, "bridle_correlated_total", service="demo.legacy",
                               result=result)

    def test_without_the_keys_nothing_is_known_of_the_first_caller(self):
        behind = self.upstream(answer_well)
        for kind in KINDS:
            self.directory = tempfile.mkdtemp(dir=self.top)
            daemon = self.first_hop(self.present("go", "thriftpy2")[0], kind, "framed",
                                    behind.address)
            caller = self.caller(daemon, "ttheader_framed")
            caller.call("relay", body=Query("x").body(), **self.header("ttheader_framed"))
            self.assertNotIn("RPC_PERSIST_TENANT", behind.packets[-1].header.strs)
            question = wire.decode(Query("x").body(), 0, wire.STRUCT)[0]
            self.assertEqual(behind.packets[-1].fields, question)  # maps may be in another order
            daemon.stop()
