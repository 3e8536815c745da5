"""A container without any library, run by the tests as a process of its own: it shows what it was asked and was given.

How it begins is said by its parameter MODE, what it does then by the actions that it takes.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODE = os.environ.get("MODE", "")
OWN_ID = os.environ["CONTAINER_ID"]
STORE = os.path.join(os.environ.get("HOME", "."), "stored")
SEEN = []
EXTRA_ACTIONS = []
IS_AWAKE = threading.Event()
IS_AWAKE.set()


def info():
    names = [name for name in vars(Actions) if not name.startswith("_")]
    values = {"value": {"type": "object", "required": False}, "number": {"type": "number", "required": False}}
    return {
        "containerId": "somebody-else" if MODE == "other id" else OWN_ID,
        "image": {
            "imageName": os.environ.get("REPORTED", "actor"),
            "version": os.environ.get("EDITION", "1"),
            "provides": ["skill:acting"],
        },
        "arguments": {name: os.environ[name] for name in ("MODE", "PASSWORD", "COLOUR") if name in os.environ},
        "agents": [
            {
                "agentId": "actor",
                "agentType": "Actor",
                "actions": [{"name": name, "parameters": values, "result": "object"} for name in names + EXTRA_ACTIONS],
                "streams": [{"name": "Count", "mode": "GET"}, {"name": "Collect", "mode": "POST"}],
            }
        ],
        "owner": "nobody",
        "runningSince": "2026-04-21T13:13:39.120Z",
        "connectivity": None,
    }


class Actions:
    def Echo(self, value=None, number=None):
        return value

    def Environment(self, **_):
        return dict(os.environ)

    def Pid(self, **_):
        return os.getpid()

    def Seen(self, **_):
        return SEEN

    def Sleep(self, number):
        time.sleep(number)

    def SleepInInfo(self, **_):
        IS_AWAKE.clear()

    def Crash(self, number):
        os._exit(number)

    def Child(self, value):
        return subprocess.Popen(value, start_new_session=True, stdin=subprocess.DEVNULL).pid

    def Spin(self, number):
        for _ in range(int(number)):
            subprocess.Popen([sys.executable, "-S", "-E", "-c", "while True: pass"])

    def Flood(self, number):
        line = b"x" * 999 + b"\n"
        for _ in range(int(number) // len(line)):
            os.write(1, line)

    def Store(self, value):
        with open(STORE, "w") as file:
            file.write(value)

    def Stored(self, **_):
        return open(STORE).read() if os.path.exists(STORE) else None

    def Learn(self, value):
        EXTRA_ACTIONS.append(value)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are written one after the other

    def do_GET(self):
        if self.path == "/info":
            IS_AWAKE.wait()
            bodies = {"rubbish": b"<html>no</html>", "no container": b'{"containerId": 7}'}
            self.answer(200, bodies.get(MODE, json.dumps(info()).encode()))
        elif self.path.startswith("/stream/Count"):
            self.answer(200, b"one\ntwo\n", "application/octet-stream")
        else:
            self.answer(404, b"no such thing", "text/plain")

    def do_POST(self):
        body = self.body()
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        if "/Seen" not in path:
            SEEN.append({"path": path, "query": query, "headers": headers, "body": body.decode("utf-8", "replace")})
        kind, _, name = path[1:].partition("/")
        if kind == "login":
            known = json.loads(body).get("password") == "sesame"
            self.answer(200 if known else 401, b'"quoted token"' if known else b'{"detail": "Invalid credentials"}')
        elif kind == "logout":
            self.answer(200, b"true" if "containerlogintoken" in headers else b"false")
        elif kind == "invoke":
            action = getattr(Actions(), name.split("/")[0], None)
            try:
                self.answer(200, json.dumps(action(**json.loads(body or b"{}"))).encode())
            except Exception as error:
                self.answer(500, json.dumps({"statusCode": 500, "message": str(error), "cause": None}).encode())
        else:
            self.answer(200, b"null")

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def answer(self, status, body, content_type="application/json"):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", content_type)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


print("the actor enters", flush=True)
if MODE == "dies":
    print("password is", os.environ.get("PASSWORD"))
    sys.exit("I forgot my text")
if MODE == "deaf":
    time.sleep(3600)
if MODE == "late":
    time.sleep(1.0)
if MODE == "done soon":
    threading.Timer(0.3, os._exit, (0,)).start()
if MODE == "crashes soon":
    threading.Timer(0.3, os._exit, (9,)).start()
if MODE == "sleeps":
    IS_AWAKE.clear()
if MODE == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
