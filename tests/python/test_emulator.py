"""The Runtime API beside AWS's own: the Runtime Interface Emulator answers the same requests as a microVM's host.

    probes/runtime.py ──▶ the emulator, from the PyPI package aws-sam-cli, on this host
                      └─▶ mayfly, in a microVM

Statuses, headers and bodies are compared; what differs and why is said in KNOWN.
"""

import json
import os
import pathlib
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile

import pytest
from conftest import ROOT, zipped

PACKAGE = "aws-sam-cli==1.170.0"
MEMBER = "samcli/local/rapid/aws-lambda-rie-x86_64"
PROBE = pathlib.Path(__file__).parent / "probes/runtime.py"
RUNTIME = "python%d.%d" % sys.version_info[:2]

API = "/2018-06-01/runtime"
RESPONSE = API + "/invocation/{id}/response"
STRANGER = API + "/invocation/8476a536-e9f4-11e8-9739-2dfe598c3fcd"
STREAMED = {"Lambda-Runtime-Function-Response-Mode": "streaming", "Transfer-Encoding": "chunked"}
DONE = ["POST", RESPONSE, {}, '"done"']

# Each answers its own invocation: the events.
EVENTS = {
    "another's id": [["POST", STRANGER + "/response", {}, "1"], ["POST", STRANGER + "/error", {}, "{}"], DONE],
    "an init error while it runs": [["POST", API + "/init/error", {}, "{}"], DONE],
    "nowhere": [["GET", "/nowhere", {}, ""], ["GET", API + "/nowhere", {}, ""], DONE],
    "another method": [["PUT", RESPONSE, {}, "1"], ["POST", API + "/invocation/next", {}, ""], DONE],
    "twice": [DONE, ["POST", RESPONSE, {}, '"twice"'], ["POST", RESPONSE.replace("response", "error"), {}, "{}"]],
    "an error": [["POST", RESPONSE.replace("response", "error"), {}, '{"errorType":"Mine","errorMessage":"m"}']],
    "bit by bit": [["POST", RESPONSE, STREAMED, "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"]],
    "too large": [["POST", RESPONSE, {}, 6 * 1024 * 1024 + 101]],
}

# Headers that are of one moment, one server or one machine.
MOMENTARY = {"date", "content-length", "lambda-runtime-aws-request-id", "lambda-runtime-deadline-ms"}
KNOWN = {
    # A guard for browsers, which no runtime is.
    "x-content-type-options",
    # The emulator tells no trace; Lambda does.
    "lambda-runtime-trace-id",
    # Each has its own region, account and name.
    "lambda-runtime-invoked-function-arn",
}


def known(body):
    """What a body says, without words that differ: a refused transition names states of the emulator's own."""
    try:
        document = json.loads(body)
    except ValueError:
        return body
    if isinstance(document, dict) and document.get("errorType") == "InvalidStateTransition":
        document.pop("errorMessage")
    return document


def compared(status, headers, body):
    kept = {name: value for name, value in headers.items() if name not in MOMENTARY | KNOWN}
    return status, kept, known(body)


@pytest.fixture(scope="module")
def emulator():
    """Where AWS's emulator runs the probe."""
    program = ROOT / "target/rie/aws-lambda-rie"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        fetched = subprocess.run([*download, "--dest", program.parent, PACKAGE], capture_output=True, text=True)
        wheels = list(program.parent.glob("aws_sam_cli-*.whl"))
        if fetched.returncode or not wheels:
            pytest.skip("AWS's emulator can't be had: pip download %s: %s" % (PACKAGE, fetched.stderr.strip()[-200:]))
        with zipfile.ZipFile(wheels[0]) as wheel:
            unfinished = program.with_suffix(".new")
            unfinished.write_bytes(wheel.read(MEMBER))
        unfinished.chmod(unfinished.stat().st_mode | stat.S_IXUSR)
        unfinished.rename(program)
        wheels[0].unlink()
    invoke, api = free_port(), free_port()
    addresses = ["--runtime-interface-emulator-address", invoke, "--runtime-api-address", api]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([program, *addresses, sys.executable, PROBE], **quiet)
    try:
        yield "http://%s/2015-03-31/functions/function/invocations" % invoke
    finally:
        process.kill()
        process.wait()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return "127.0.0.1:%d" % one.getsockname()[1]


def theirs(url, event):
    """What the emulator answers; it may not listen yet."""
    request = urllib.request.Request(url, json.dumps(event).encode())
    while True:
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.read()
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError):
                raise
            time.sleep(0.05)


@pytest.fixture(scope="module")
def ours(client):
    """What a microVM with the probe answers."""
    more = {"Handler": "h", "Runtime": RUNTIME, "MemorySize": 256, "Timeout": 30}
    wrapper = {"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/runtime.py"}}
    code = {"ZipFile": zipped({"runtime.py": PROBE.read_bytes()})}
    role = "arn:aws:iam::000000000000:role/test"
    client.create_function(FunctionName="probe", Role=role, Code=code, Environment=wrapper, **more)
    yield lambda event: client.invoke(FunctionName="probe", Payload=json.dumps(event))["Payload"].read()
    client.delete_function(FunctionName="probe")


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the emulator is taken for x86-64")
@pytest.mark.parametrize("name", EVENTS)
def test_it_answers_as_awss_emulator_does(emulator, ours, name):
    event = EVENTS[name]
    assert known(ours(event)) == known(theirs(emulator, event))
    (our_next, our_seen), (their_next, their_seen) = json.loads(ours("report")), json.loads(theirs(emulator, "report"))
    assert compared(200, our_next, "") == compared(200, their_next, "")
    assert len(our_seen) == len(event)
    for request, us, them in zip(event, our_seen, their_seen):
        assert compared(*us) == compared(*them), request
