#!/usr/bin/python3
"""A runtime that speaks raw HTTP, one connection for each request, and remembers every answer.

Its event is a list of [method, path, headers, body]; {id} stands for the request id. The event "report" is answered with
what the requests of the event before were answered: [status, headers, body].
"""

import json
import os
import socket

HOST, PORT = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
NEXT = "/2018-06-01/runtime/invocation/next"


def ask(method, path, headers=None, body=b""):
    stream = socket.create_connection((HOST, int(PORT)))
    lines = ["%s %s HTTP/1.1" % (method, path), "Host: api"]
    headers = headers or {}
    if "Transfer-Encoding" not in headers:
        lines.append("Content-Length: %d" % len(body))
    lines += ["%s: %s" % one for one in headers.items()]
    stream.sendall("\r\n".join(lines + ["", ""]).encode() + body)
    file = stream.makefile("rb")
    status = int(file.readline().split()[1])
    found = {}
    for line in iter(file.readline, b"\r\n"):
        name, value = line.decode().split(":", 1)
        found[name.lower()] = value.strip()
    answer = file.read(int(found.get("content-length", 0)))
    stream.close()
    return status, found, answer.decode()


seen = []
while True:
    _, told, event = ask("GET", NEXT)
    identity = told["lambda-runtime-aws-request-id"]
    event = json.loads(event)
    if event == "report":
        path = NEXT.replace("next", identity + "/response")
        ask("POST", path, body=json.dumps([told, seen]).encode())
        continue
    seen = []
    for method, path, headers, body in event:
        body = b"x" * body if isinstance(body, int) else body.encode()
        seen.append(ask(method, path.replace("{id}", identity), headers, body))
