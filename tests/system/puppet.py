"""A container without any library, run by tests as a process of its own; on demand it does what containers do wrong.

How it begins is said by its parameter MODE, what it does then by the actions that it takes; all answers are JSON.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODE = os.environ.get("MODE", "")
HOARD = []


def info():
    return {
        "containerId": "somebody-else" if MODE == "other id" else os.environ["CONTAINER_ID"],
        "image": {"imageName": "puppet", "version": "1", "surplus": True},
        "arguments": {"MODE": MODE, "PASSWORD": os.environ.get("PASSWORD", "")},
        "agents": [{"agentId": "puppet", "agentType": "Puppet", "actions": [{"name": "Do", "result": "string"}]}],
        "owner": "puppet",
        "runningSince": "2026-04-21T13:13:39.120+00:00",
        "connectivity": None,
    }


class Actions:
    def environment(self):
        return dict(os.environ)

    def place(self):
        return [os.getcwd(), sys.argv, os.getpid(), os.getsid(0), os.getpriority(os.PRIO_PROCESS, 0)]

    def crash(self, status):
        os._exit(status)

    def die_later(self, number):
        threading.Timer(0.05, os.kill, (os.getpid(), number)).start()

    def close_port(self):
        server.socket.shutdown(socket.SHUT_RDWR)
        server.socket.close()
        Handler.is_last = True

    def write(self, size_bytes, end):
        line = b"x" * 99 + b"\n"
        for _ in range(size_bytes // len(line)):
            os.write(1, line)
        os.write(2, end.encode() + b"\n")

    def child(self, command, leaves):
        return subprocess.Popen(command, start_new_session=leaves, stdin=subprocess.DEVNULL).pid

    def orphan(self, command):
        """A grandchild that left session and environment behind; its parent is gone at once."""
        code = f"import subprocess; subprocess.Popen({command!r}, start_new_session=True, env={{}})"
        subprocess.run([sys.executable, "-c", code], check=True)

    def hog_memory(self, megabytes):
        HOARD.append(bytearray(os.urandom(1)) * (megabytes * 1024 * 1024))

    def hog_descriptors(self):
        try:
            while True:
                HOARD.append(os.open("/dev/null", os.O_RDONLY))
        except OSError as error:
            count = len(HOARD)
            while HOARD:
                os.close(HOARD.pop())
            return [count, error.strerror]

    def hog_cpu(self, threads):
        for _ in range(threads):
            self.child([sys.executable, "-c", "while True: pass"], False)

    def sleep(self, seconds):
        time.sleep(seconds)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    is_last = False

    def do_GET(self):
        if MODE == "sleeps":
            time.sleep(3600)
        bodies = {"rubbish": b"<html>no</html>", "no container": b'{"containerId": 7}', "empty": b""}
        self.answer(200, bodies.get(MODE, json.dumps(info()).encode()))

    def do_POST(self):
        arguments = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        action = self.path.partition("?")[0].split("/")[2]
        self.answer(200, json.dumps(getattr(Actions(), action)(**arguments)).encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        if self.is_last:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


if MODE == "dies":
    print("the first line")
    print("password is", os.environ.get("PASSWORD"))
    sys.exit("I cannot go on")
if MODE == "deaf":
    time.sleep(3600)
if MODE == "dies once ready":
    threading.Timer(0.2, os._exit, (9,)).start()
if MODE == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if MODE == "tidy":
    signal.signal(signal.SIGTERM, lambda *_: (print("tidied up", flush=True), os._exit(0)))
server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)
print("the puppet plays", flush=True)
server.serve_forever()
