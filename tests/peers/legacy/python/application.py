"""What the applications in Python do, on whichever library."""

import struct
import threading
import time


def digest_items(items):
    return ";".join("%s:%d:%s:%s" % (i.name, i.count, struct.pack(">d", i.price).hex(),
                                     ",".join(i.tags)) for i in items)


def digest(query):
    counts = ",".join("%s=%d" % pair for pair in sorted(query.counts.items()))
    shelves = ",".join("%s=[%s]" % (name, digest_items(items))
                       for name, items in sorted((query.shelves or {}).items()))
    blob = query.blob or b""
    return "|".join((query.text, str(query.number), struct.pack(">d", query.weight).hex(),
                     str(query.flag).lower(), digest_items(query.items), counts, shelves,
                     "%d/%d" % (len(blob), sum(blob) & 0xFFFFFFFF)))


def lines(facts, prefix=""):
    return "".join("%s%s=%s\n" % (prefix, key, value)
                   for key, value in sorted((facts or {}).items()))


def lines_of(base):
    return "LogID=%s\nCaller=%s\nAddr=%s\nClient=%s\n" % (
        base.LogID, base.Caller, base.Addr, base.Client) + lines(base.Extra, "Extra.")


def wait_as_asked(query):
    time.sleep((query.delay_ms or 0) / 1000)


class Application:
    """`types` is what the library made of the IDL, `undeclared` the exception that it knows of itself,
    and `next_client` opens a connection to the service that relay() asks."""

    def __init__(self, types, undeclared, next_client):
        self.types, self.undeclared, self.next_client = types, undeclared, next_client
        self.lock, self.count = threading.Lock(), 0

    def fail_if_asked(self, query):
        if query.text == "boom":
            raise self.undeclared(6, "undeclared")
        if query.text == "refuse":
            raise self.types.Refused(code=7, why="declared")

    def ask(self, query):
        wait_as_asked(query)
        self.fail_if_asked(query)
        base = getattr(query, "base", None)
        answer = self.types.Answer(digest=digest(query), base=lines_of(base) if base else "",
                                   meta="", items=query.items)
        if query.text.startswith("status ") and hasattr(answer, "baseResp"):
            answer.baseResp = self.types.BaseResp(
                StatusCode=int(query.text[7:]), StatusMessage="no stock", Extra={"shelf": "7"})
        return answer

    def store(self, query):
        self.fail_if_asked(query)
        self.note(query)

    def note(self, _query):
        with self.lock:
            self.count += 1

    def stored(self):
        return self.count

    def relay(self, query):
        wait_as_asked(query)
        with self.next_client() as client:
            return client.ask(query)

    def tell(self, text, facts=None):
        return text + "\n" + lines(facts)
