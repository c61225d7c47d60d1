"""What the stand-ins for registries have in common: a small HTTP server in this process that can be
stopped, started again on its port, made to stall, to send by drops, and that remembers what was
asked. What is answered is the business of consul_stand_in.py and nacos_stand_in.py."""

import http.server
import socket
import threading
import time
import urllib.parse


class Request:
    def __init__(self, method, target, headers, body):
        self.method, self.target, self.headers, self.body = method, target, headers, body
        path, _, query = target.partition("?")
        self.path = urllib.parse.unquote(path)
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        self.at = time.monotonic()

    def __repr__(self):
        return "%s %s" % (self.method, self.target)


class Answer:
    def __init__(self, status=200, body=b"", headers=None):
        self.status, self.headers = status, headers or {}
        self.body = body.encode() if isinstance(body, str) else body


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.server.stand_in.connections.add(self.connection)

    def finish(self):
        self.server.stand_in.connections.discard(self.connection)
        try:
            super().finish()
        except OSError:
            pass

    def log_message(self, *_):
        pass

    def serve_one(self):
        stand_in = self.server.stand_in
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path, self.headers, body)
        with stand_in.changed:
            stand_in.requests.append(request)
        while stand_in.is_stalled and not stand_in.is_ending:
            time.sleep(0.01)
        answer = stand_in.answer(request)
        if answer is None or stand_in.is_ending:
            self.close_connection = True
            return
        self.send(answer, stand_in.drop_seconds)

    def send(self, answer, drop_seconds):
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        for at in range(len(answer.body) if drop_seconds else 0):
            self.wfile.write(answer.body[at:at + 1])
            self.wfile.flush()
            time.sleep(drop_seconds)
        if not drop_seconds:
            self.wfile.write(answer.body)

    do_GET = do_PUT = do_POST = do_DELETE = serve_one


class Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_):
        pass  # a peer that went away


class StandIn:
    def __init__(self, case):
        self.changed = threading.Condition()
        self.requests, self.connections = [], set()
        self.is_stalled = self.is_ending = False
        self.drop_seconds = 0  # between two bytes of a body
        self.port, self.listener = 0, None
        case.addCleanup(self.stop)
        self.start()

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def answer(self, request):
        raise NotImplementedError

    def start(self):
        self.is_ending = False
        self.listener = Listener(("127.0.0.1", self.port), Handler)
        self.listener.stand_in = self
        self.secure(self.listener)
        self.port = self.listener.server_address[1]
        threading.Thread(target=self.listener.serve_forever, args=(0.02,), daemon=True).start()
        self.begin()

    def stop(self):
        """Nobody listens, and all connections end, as when the process ends."""
        if self.listener is None:
            return
        self.is_ending = True
        self.listener.shutdown()
        self.listener.server_close()
        self.listener = None
        with self.changed:
            self.changed.notify_all()
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def secure(self, listener):
        """What stands between its connections and HTTP is put there."""

    def begin(self):
        """What runs beside the answers is started."""

    def asked(self, method, part=""):
        with self.changed:
            return [r for r in self.requests if r.method == method and part in r.target]

    def forget_requests(self):
        with self.changed:
            self.requests.clear()

    def run_every(self, seconds, work):
        """As long as it is not stopped."""
        listener = self.listener

        def run():
            while self.listener is listener:
                with self.changed:
                    work()
                time.sleep(seconds)
        threading.Thread(target=run, daemon=True).start()
