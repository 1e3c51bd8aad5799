"""Functions in Python: our runtime, AWS's runtime interface client, and AWS's own client inside."""

import base64
import json
import textwrap

import pytest
from conftest import RUNTIME, boto3_for, package, zipped


@pytest.fixture
def function(make):
    """Creates a function of app.py's text."""

    def function(code, handler="app.handler", files=None, **more):
        code = textwrap.dedent(code).encode()
        settings = {"Runtime": RUNTIME, "Handler": handler, "MemorySize": 256} | more
        return make(zipped({"app.py": code} | (files or {})), **settings)

    return function


@pytest.fixture
def tell(client):
    """Invokes: the error's kind if there is one, the answer, the log."""

    def tell(function, event):
        answer = client.invoke(FunctionName=function, Payload=json.dumps(event), LogType="Tail")
        log = base64.b64decode(answer["LogResult"]).decode()
        return answer.get("FunctionError"), json.loads(answer["Payload"].read()), log

    return tell


def test_a_handler_is_called_and_keeps_its_state(function, tell):
    name = function("""
        calls = 0

        def handler(event, context):
            global calls
            calls += 1
            print("call", calls)
            assert context.function_version == "$LATEST"
            assert 0 < context.get_remaining_time_in_millis() <= 30000
            return {"event": event, "calls": calls, "id": context.aws_request_id}
        """)
    for calls in (1, 2, 3):
        error, answer, log = tell(name, {"key": "välue"})
        assert (error, answer["event"], answer["calls"]) == (None, {"key": "välue"}, calls)
        assert "call %d\n" % calls in log and answer["id"] in log


def test_what_goes_wrong_is_told_as_lambda_does(function, tell):
    name = function("""
        import sys

        def handler(event, context):
            if event == "raise":
                raise ValueError("no luck")
            if event == "exit":
                sys.exit(4)
            if event == "object":
                return object()
            return event
        """)
    error, answer, log = tell(name, "raise")
    assert (error, answer["errorType"], answer["errorMessage"]) == ("Unhandled", "ValueError", "no luck")
    assert 'File "/var/task/app.py", line 6, in handler' in answer["stackTrace"][0]
    assert "[ERROR] ValueError: no luck" in log
    assert tell(name, "object")[1]["errorType"] == "Runtime.MarshalError"
    error, answer, _ = tell(name, "exit")
    assert (error, answer["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert "exit status 4" in answer["errorMessage"]
    assert tell(name, "fine")[:2] == (None, "fine")


@pytest.mark.parametrize(
    ("code", "handler", "kind"),
    [
        ("import nothing_like_this", "app.handler", "Runtime.ImportModuleError"),
        ("def handler(:", "app.handler", "Runtime.UserCodeSyntaxError"),
        ("", "app.handler", "Runtime.HandlerNotFound"),
        ("", "handler", "Runtime.MalformedHandlerName"),
        ("raise OSError('at import')", "app.handler", "OSError"),
    ],
)
def test_a_function_that_does_not_load(function, tell, code, handler, kind):
    error, answer, log = tell(function(code, handler), {})
    assert (error, answer["errorType"]) == ("Unhandled", kind)
    assert "[ERROR] " + kind in log


def test_the_standard_library_works(function, tell):
    name = function("""
        import concurrent.futures, datetime, decimal, hashlib, logging, os, queue, re, sqlite3, ssl, tempfile
        import threading, time, uuid, zlib, zoneinfo

        def handler(event, context):
            logging.getLogger().setLevel("INFO")
            logging.info("from a logger")
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                squares = list(pool.map(lambda n: n * n, range(100)))
            with tempfile.NamedTemporaryFile("w+") as file:
                file.write("kept")
                file.seek(0)
                kept = file.read()
            rows = sqlite3.connect("/tmp/db").execute("select sum(value) from generate_series(1, 3)") if 0 else None
            base = sqlite3.connect("/tmp/db")
            base.execute("create table if not exists t (n)")
            base.executemany("insert into t values (?)", [(n,) for n in range(10)])
            base.commit()
            summer = datetime.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))
            return {
                "squares": sum(squares),
                "kept": kept,
                "sum": base.execute("select sum(n) from t").fetchone()[0],
                "digest": hashlib.sha256(b"x").hexdigest()[:8],
                "offset": summer.utcoffset().total_seconds(),
                "uuid": len(str(uuid.uuid4())),
                "tmp": os.statvfs("/tmp").f_blocks > 0,
                "tls": ssl.OPENSSL_VERSION != "",
                "zlib": zlib.decompress(zlib.compress(b"y" * 1000)) == b"y" * 1000,
                "decimal": str(decimal.Decimal(1) / 3)[:6],
            }
        """)
    error, answer, log = tell(name, {})
    assert error is None, answer
    assert answer == {
        "squares": 328350, "kept": "kept", "sum": 45, "digest": "2d711642", "offset": 7200.0, "uuid": 36,
        "tmp": True, "tls": True, "zlib": True, "decimal": "0.3333",
    }  # fmt: skip
    assert "[INFO]" in log and "from a logger" in log


def test_there_is_a_shell(function, tell):
    name = function("""
        import os, subprocess

        def handler(event, context):
            return [subprocess.check_output(event, shell=True, text=True), os.system("exit 3") >> 8]
        """)
    error, answer, log = tell(name, "echo one two | tr a-z A-Z && sh -c 'printf %s $0'")
    assert (error, answer) == (None, ["ONE TWO\nsh", 3]), log


def test_a_log_in_json(function, tell):
    name = function(
        """
        import logging

        def handler(event, context):
            logging.debug("not this")
            logging.getLogger("mine").warning("low on %s", "ink", extra={"left": 3})
            try:
                raise KeyError("k")
            except KeyError:
                logging.exception("caught")
            if event == "raise":
                raise ValueError("no luck")
        """,
        LoggingConfig={"LogFormat": "JSON"},
    )
    error, answer, log = tell(name, {})
    start, warning, caught, report = [json.loads(line) for line in log.splitlines()]
    request = start["record"]["requestId"]
    assert (start["type"], report["type"]) == ("platform.start", "platform.report")
    assert report["record"]["status"] == "success" and report["record"]["metrics"]["memorySizeMB"] == 256
    assert warning | {"timestamp": ""} == {
        "timestamp": "", "level": "WARNING", "message": "low on ink", "logger": "mine", "requestId": request, "left": 3,
    }  # fmt: skip
    assert (caught["level"], caught["errorType"], caught["errorMessage"]) == ("ERROR", "KeyError", "'k'")
    assert "app.py" in caught["location"] and caught["stackTrace"]
    error, answer, log = tell(name, "raise")
    (said,) = [json.loads(line) for line in log.splitlines() if "no luck" in line]
    assert (said["log_level"], said["errorType"], said["requestId"]) == ("ERROR", "ValueError", answer["requestId"])


def test_boto3_inside_reaches_the_platform(function, tell):
    inner = function("def handler(event, context): return {'inner': event}")
    outer = function(
        """
        import json
        import boto3

        def handler(event, context):
            answer = boto3.client("lambda").invoke(FunctionName=event["call"], Payload=json.dumps("hello"))
            return json.loads(answer["Payload"].read())
        """,
        files=boto3_for("lambda"),
    )
    error, answer, log = tell(outer, {"call": inner})
    assert (error, answer) == (None, {"inner": "hello"}), (answer, log)


def test_awss_own_runtime_interface_client_runs_unmodified(function, tell):
    wrapper = b"""#!/usr/bin/python3
import os, sys
sys.path.insert(0, "/var/task")
from awslambdaric.__main__ import main
main(["awslambdaric", os.environ["_HANDLER"]])
"""
    name = function(
        """
        calls = 0

        def handler(event, context):
            global calls
            calls += 1
            if event == "raise":
                raise ValueError("no luck")
            return [event, calls, context.function_name]
        """,
        files=package("awslambdaric", "simplejson", "snapshot-restore-py") | {"wrapper": wrapper},
        Environment={"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper"}},
    )
    for calls in (1, 2):
        error, answer, log = tell(name, "hello")
        assert (error, answer) == (None, ["hello", calls, name]), log
    error, answer, log = tell(name, "raise")
    assert (error, answer["errorType"]) == ("Unhandled", "ValueError")
    assert "[ERROR] ValueError: no luck" in log


def test_a_runtime_that_is_not_here_is_refused_with_advice(client, make):
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="no longer supported"):
        make(zipped({"app.py": b""}), Runtime="python2.7")
    with pytest.raises(client.exceptions.InvalidParameterValueException) as error:
        make(zipped({"app.py": b""}), Runtime="python4.0")
    assert "python3." in error.value.response["Error"]["Message"]
