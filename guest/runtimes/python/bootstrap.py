#!/usr/bin/python3
"""The Python runtime: asks the Runtime API for events and hands them to a function's handler.

    next ──▶ json.loads ──▶ handler(event, context) ──▶ json.dumps ──▶ response, or error

It is installed as /var/runtime/bootstrap. Every module that it imports costs each cold start, so it speaks
HTTP by itself and imports what failures need when they come.
"""

import os
import sys

TASK_ROOT = os.environ.get("LAMBDA_TASK_ROOT", "/var/task")
VERSION = "python%d.%d" % sys.version_info[:2]
# Where AWS's runtime looks for modules, in this order, before the standard library.
MODULE_PATHS = [TASK_ROOT, "/opt/python/lib/%s/site-packages" % VERSION, "/opt/python"]
API = "/2018-06-01/runtime/"
# Whether what is logged is JSON, one object a line (Lambda developer guide, "Using JSON format with Python").
LOGS_JSON = os.environ.get("AWS_LAMBDA_LOG_FORMAT") == "JSON"
# Lambda's names of levels that logging calls otherwise.
LEVELS = {"TRACE": "NOTSET", "FATAL": "CRITICAL"}
# The longest head of an answer of the Runtime API that is taken for one.
HEAD_BYTES_MAX = 64 * 1024


class RuntimeApi:
    """One kept-alive connection to the Runtime API."""

    def __init__(self, address):
        import socket

        host, _, port = address.partition(":")
        self.address = (host, int(port or 80))
        self.create = socket.socket
        self.stream = None
        self.surplus = b""

    def connect(self):
        self.stream = self.create()
        self.stream.connect(self.address)
        self.surplus = b""

    def request(self, method, path, body=b"", headers=""):
        """Status, headers (names in lower case) and body of the answer."""
        head = "%s %s%s HTTP/1.1\r\nHost: %s:%d\r\nContent-Length: %d\r\n%s\r\n" % (
            method, API, path, *self.address, len(body), headers,
        )  # fmt: skip
        if self.stream is None:
            self.connect()
        try:
            self.stream.sendall(head.encode("latin-1") + body)
            return self.answer()
        except OSError:
            self.stream.close()
            self.stream = None
            raise

    def answer(self):
        data = self.surplus
        while (end := data.find(b"\r\n\r\n")) < 0:
            if len(data) > HEAD_BYTES_MAX:
                raise OSError("the Runtime API's answer has no end")
            data += self.receive()
        lines = data[:end].decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ", 2)[1])
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", 0))
        pieces = [data[end + 4 :]]
        missing = length - len(pieces[0])
        while missing > 0:
            pieces.append(self.receive())
            missing -= len(pieces[-1])
        body = b"".join(pieces)
        self.surplus = body[length:]
        return status, headers, body[:length]

    def receive(self):
        data = self.stream.recv(1 << 20)
        if not data:
            raise OSError("the Runtime API hung up")
        return data


class Identity:
    """Who invoked by way of a mobile SDK: nobody here."""

    cognito_identity_id = None
    cognito_identity_pool_id = None


class Client:
    """The application in a client context."""

    def __init__(self, values):
        for name in ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name"):
            setattr(self, name, values.get(name))


class ClientContext:
    """What a mobile SDK says about its application."""

    def __init__(self, values):
        self.client = Client(values.get("client") or {})
        self.custom = values.get("custom")
        self.env = values.get("env")


class Context:
    """What a handler may ask about its invocation (Lambda developer guide, "Python context object")."""

    function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
    function_version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION")
    memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
    log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
    log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME")

    def __init__(self, headers, loads):
        self.aws_request_id = headers["lambda-runtime-aws-request-id"]
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn")
        self.identity = Identity()
        context = headers.get("lambda-runtime-client-context")
        self.client_context = ClientContext(loads(context)) if context else None
        self._deadline_ms = int(headers.get("lambda-runtime-deadline-ms", 0))

    def get_remaining_time_in_millis(self):
        """How long the handler may still run."""
        import time

        return max(self._deadline_ms - int(time.time() * 1000), 0)

    def log(self, message):
        """Writes a line to the function's log."""
        sys.stdout.write(str(message))

    def __repr__(self):
        return "LambdaContext([aws_request_id=%s])" % self.aws_request_id


class Fault(Exception):
    """A function that can't be loaded; `kind` is Lambda's name for why."""

    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.kind = kind
        self.trace = list(trace)


def load_handler(name):
    """The function called `directory/module.function`."""
    module_name, dot, function_name = name.rpartition(".")
    if not dot:
        raise Fault("Runtime.MalformedHandlerName", "Bad handler '%s': not enough values to unpack" % name)
    import importlib

    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module_name, error)) from error
    except SyntaxError as error:
        trace = ['  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)]
        message = "Syntax error in module '%s': %s" % (module_name, error)
        raise Fault("Runtime.UserCodeSyntaxError", message, trace) from error
    try:
        return getattr(module, function_name)
    except AttributeError as error:
        message = "Handler '%s' missing on module '%s'" % (function_name, module_name)
        raise Fault("Runtime.HandlerNotFound", message) from error


def describe(error, request_id=""):
    """Lambda's document about an exception, as a dictionary, and its line for the log."""
    if isinstance(error, Fault):
        kind, trace = error.kind, error.trace
    else:
        import traceback

        kind = type(error).__name__
        # The frames of this file say nothing about the function.
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
        trace = traceback.format_list(frames)
    document = {"errorMessage": str(error), "errorType": kind, "requestId": request_id, "stackTrace": trace}
    if LOGS_JSON:
        return document, json_line({"timestamp": now(), "log_level": "ERROR", **document})
    lines = "[ERROR] %s: %s\n" % (kind, error)
    if trace:
        lines += "Traceback (most recent call last):\n" + "".join(trace)
    return document, lines


def now(seconds=None):
    """A moment as JSON logs have it."""
    import time

    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def json_line(values):
    import json

    return json.dumps(values, ensure_ascii=False, default=str) + "\n"


def configure_logging(context_of):
    """Gives logging's records the form that Lambda's have, unless the function has chosen another."""
    import logging
    import time

    class JsonFormatter(logging.Formatter):
        known = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}

        def format(self, record):
            line = {
                "timestamp": now(record.created),
                "level": record.levelname,
                "message": record.getMessage(),
                "logger": record.name,
                "requestId": context_of(),
            }
            if record.exc_info and record.exc_info[0]:
                kind, error, trace = record.exc_info
                line["errorType"], line["errorMessage"] = kind.__name__, str(error)
                line["stackTrace"] = self.formatException(record.exc_info).splitlines()[1:-1]
                line["location"] = "%s:%s:%d" % (record.pathname, record.funcName, record.lineno)
            # What the function adds by `extra`.
            line.update((name, value) for name, value in vars(record).items() if name not in self.known)
            return json_line(line)[:-1]

    class Formatter(logging.Formatter):
        converter = time.gmtime

        def format(self, record):
            record.aws_request_id = context_of()
            return super().format(record)

    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler(sys.stdout)
    if LOGS_JSON:
        handler.setFormatter(JsonFormatter())
        level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "INFO")
        root.setLevel(LEVELS.get(level, level))
    else:
        handler.setFormatter(
            Formatter("[%(levelname)s]\t%(asctime)s.%(msecs)dZ\t%(aws_request_id)s\t%(message)s", "%Y-%m-%dT%H:%M:%S")
        )
    root.addHandler(handler)


def serve(api, handler):
    """Answers events for ever."""
    import json

    request_id = ""
    if "logging" in sys.modules:
        configure_logging(lambda: request_id)
    while True:
        status, headers, body = api.request("GET", "invocation/next")
        if status != 200:
            raise OSError("the Runtime API answered %d to next" % status)
        context = Context(headers, json.loads)
        request_id = context.aws_request_id
        os.environ["_X_AMZN_TRACE_ID"] = headers.get("lambda-runtime-trace-id", "")
        try:
            answer, what = respond(handler, json, body, context), "response"
        except BaseException as error:
            if isinstance(error, SystemExit):
                raise
            document, lines = describe(error, request_id)
            sys.stdout.write(lines)
            answer, what = json.dumps(document).encode(), "error"
        sys.stdout.flush()
        sys.stderr.flush()
        api.request("POST", "invocation/%s/%s" % (request_id, what), answer, "Content-Type: application/json\r\n")


def respond(handler, json, body, context):
    try:
        event = json.loads(body)
    except ValueError as error:
        raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % error) from error
    result = handler(event, context)
    try:
        return json.dumps(result, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % error) from error


def main():
    wrapper = os.environ.pop("AWS_LAMBDA_EXEC_WRAPPER", None)
    if wrapper:
        os.execv(wrapper, [wrapper, sys.executable, os.path.abspath(__file__)])
    sys.path[:1] = MODULE_PATHS
    # A line that is printed is in the log, whatever becomes of the function.
    sys.stdout.reconfigure(line_buffering=True)
    os.chdir(TASK_ROOT)
    api = RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        handler = load_handler(os.environ.get("_HANDLER", ""))
    except Exception as error:
        import json

        document, lines = describe(error)
        sys.stdout.write(lines)
        api.request("POST", "init/error", json.dumps(document).encode(), "Content-Type: application/json\r\n")
        sys.exit(1)
    serve(api, handler)


if __name__ == "__main__":
    main()
