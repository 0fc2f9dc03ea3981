#!/usr/bin/env python3
"""Runs the tests of the page in a headless Chromium.

Serves web/ and this folder under the page's own security policy, beside an API that answers as the
tests ask it to; opens tests.html, which posts what came of each test. Exit code 0: all passed, and
nothing violated the policy.
"""
import argparse
import http.server
import json
import pathlib
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
# As in src/server/web/routes.cpp; the tests show the page in a frame of their own.
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
          "base-uri 'none'; form-action 'none'; frame-src 'self'; frame-ancestors 'self'; "
          "require-trusted-types-for 'script'; trusted-types 'none'; report-uri /violation")
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, kind, body, headers=()):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def answer_json(self, value, status=200, headers=()):
        self.answer(status, "application/json", json.dumps(value).encode(), headers)

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/v1/models":
            return self.answer_json({"object": "list", "data": [{"id": "<b>model</b>", "object": "model"}]})
        if path == "/props":
            return self.answer_json({"defaults": {"temperature": 0.7, "top_k": 20}, "block_size": 16})
        if path == "/last-request":
            return self.answer_json(self.server.last_request)
        folder, name = (HERE, path[7:]) if path.startswith("/tests/") else (self.server.page, path[1:] or "index.html")
        file = folder / name
        if "/" in name or not file.is_file() or file.suffix not in TYPES:
            return self.answer_json({"error": {"message": "no such path"}}, 404)
        self.answer(200, TYPES[file.suffix] + "; charset=utf-8", file.read_bytes())

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/v1/chat/completions":
            self.chat(json.loads(body))
        else:
            if self.path in ("/begin", "/result", "/violation"):
                self.server.reports.put((self.path, json.loads(body)))
            self.answer(200, "text/plain", b"")

    def chat(self, request):
        """The last message's text is a list of steps, in JSON; other text is answered as it is."""
        self.server.last_request = {"body": request, "authorization": self.headers.get("Authorization")}
        text = request["messages"][-1]["content"]
        try:
            script = json.loads(text)
        except ValueError:
            script = [{"chunk": {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]}}]
        if "status" in script[0]:
            step = script[0]
            return self.answer_json(step["body"], step["status"], step.get("headers", {}).items())
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.close_connection = True
        try:
            for step in script:
                if "hang" in step:  # until the client goes
                    while self.connection.recv(1):
                        pass
                    return
                if "cut" in step:
                    return
                if "wait" in step:
                    time.sleep(step["wait"])
                    continue
                data = f"data: {json.dumps(step['chunk'], ensure_ascii=False)}\r\n\r\n".encode()
                self.wfile.write(data[:len(data) // 2])
                self.wfile.write(data[len(data) // 2:])
            self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, page):
        super().__init__(("127.0.0.1", 0), Handler)
        self.page = page
        self.reports = queue.Queue()
        self.last_request = None


def wait_for_result(server, browser, seconds):
    """The tests' result, and the violations of the policy up to then."""
    violations = []
    running = "nothing"
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            path, report = server.reports.get(timeout=1)
        except queue.Empty:
            if browser.poll() is not None:
                raise SystemExit(f"chromium ended with exit code {browser.returncode}")
            continue
        if path == "/result":
            return report, violations
        if path == "/begin":
            running = report
        else:
            violations.append(report)
    raise SystemExit(f"no result in {seconds} s; running: {running}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chromium", default=shutil.which("chromium") or "chromium")
    parser.add_argument("--page", type=pathlib.Path, default=HERE.parent.parent / "web")
    parser.add_argument("--only", default="", help="tests whose name has this in it")
    parser.add_argument("--timeout", type=int, default=240, help="seconds")
    args = parser.parse_args()

    server = Server(args.page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, \
            open(f"{profile}/said", "w+") as said:
        browser = subprocess.Popen(
            [args.chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
             "--no-default-browser-check", "--disable-extensions", "--remote-debugging-port=0",
             f"--user-data-dir={profile}",
             f"http://127.0.0.1:{server.server_port}/tests/tests.html?only={args.only}"],
            stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        try:
            result, violations = wait_for_result(server, browser, args.timeout)
        except SystemExit:
            said.seek(0)
            sys.stderr.writelines(line for line in said if "dbus" not in line)
            raise
        finally:
            browser.terminate()
            try:
                browser.wait(10)
            except subprocess.TimeoutExpired:
                browser.kill()
                browser.wait()
    for name, error in result["failures"]:
        print(f"FAILED {name}\n    " + error.replace("\n", "\n    "))
    for report in violations:
        print(f"FAILED the policy was violated: {json.dumps(report)}")
    print(f"{result['passed']} tests passed, {len(result['failures'])} failed")
    return 0 if result["passed"] > 0 and not result["failures"] and not violations else 1


if __name__ == "__main__":
    sys.exit(main())
