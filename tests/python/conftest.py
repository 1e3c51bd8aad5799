"""What the suites share: a platform, AWS's clients for it, and functions.

Without MAYFLY_ENDPOINT each run starts `mayfly serve` on a data directory of its own. MAYFLY_BIN is the
release binary, MAYFLY_FIXTURES the directory of the programs that functions are made of.
"""

import contextlib
import importlib.metadata
import io
import os
import pathlib
import re
import subprocess
import sys
import time
import uuid
import zipfile

import boto3
import pytest
from botocore.config import Config

ROLE = "arn:aws:iam::000000000000:role/test"
ROOT = pathlib.Path(__file__).parent.parent.parent
FIXTURES = pathlib.Path(os.environ.get("MAYFLY_FIXTURES", ROOT / "target/fixtures"))
REGION = "us-east-1"
# This host's Python is the one that functions run on.
RUNTIME = "python%d.%d" % sys.version_info[:2]


@contextlib.contextmanager
def served(data, *options):
    """A platform's endpoint, as long as it serves."""
    program = os.environ.get("MAYFLY_BIN", ROOT / "target/release/mayfly")
    server = subprocess.Popen(
        [program, "serve", "--listen", "127.0.0.1:0", "--data", data, *options],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = server.stderr.readline()
        yield re.search("http://[0-9.:]+", line).group()
    finally:
        server.terminate()
        assert server.wait(30) == 0


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory):
    """Where the platform listens."""
    if "MAYFLY_ENDPOINT" in os.environ:
        yield os.environ["MAYFLY_ENDPOINT"]
        return
    with served(tmp_path_factory.mktemp("data")) as endpoint:
        yield endpoint


def client_of(endpoint, service, **more):
    """A client of boto3 for any service."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="any",
        aws_secret_access_key="any",
        # The service's own checks are under test, and each request is to be made once.
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False, **more),
    )


@pytest.fixture(scope="session")
def connect(endpoint):
    return lambda service, **more: client_of(endpoint, service, **more)


@pytest.fixture(scope="session")
def quick(tmp_path_factory):
    """Clients of a platform that tries events again at once, by service."""
    with served(tmp_path_factory.mktemp("quick"), "--retry-scale", "0.0005") as endpoint:
        yield {service: client_of(endpoint, service) for service in ("lambda", "logs", "sqs")}


@pytest.fixture(scope="session")
def sqs(connect):
    return connect("sqs")


@pytest.fixture
def new_queue(sqs):
    """Makes queues that are deleted after the test; their URLs."""
    urls = []

    def make(**attributes):
        name = "q-" + uuid.uuid4().hex + (".fifo" if "FifoQueue" in attributes else "")
        urls.append(sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])
        return urls[-1]

    yield make
    for url in urls:
        with contextlib.suppress(sqs.exceptions.QueueDoesNotExist):
            sqs.delete_queue(QueueUrl=url)


@pytest.fixture(scope="session")
def client(connect):
    return connect("lambda")


def zipped(files):
    """A zip of {name: content}, all of them programs."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100755 << 16
            archive.writestr(entry, content)
    return out.getvalue()


def program(name):
    """A zip with a program of the fixtures as its bootstrap."""
    return zipped({"bootstrap": (FIXTURES / name).read_bytes()})


def package(*names):
    """Files of installed packages, as {path: content}."""
    files = {}
    for name in names:
        for file in importlib.metadata.files(name):
            path = str(file)
            if not path.startswith("..") and "__pycache__" not in path:
                files[path] = file.read_binary()
    return files


def boto3_for(*services):
    """Files of boto3 that knows these services alone: a zip has limits."""
    names = ["boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3"]
    parts = ("_", "endpoints", "partitions", "sdk-", *(service + "/" for service in services))
    kept = tuple("botocore/data/" + part for part in parts)
    files = package(*names).items()
    return {p: c for p, c in files if not p.startswith("botocore/data/") or p.startswith(kept)}


def eventually(look, seconds=120):
    """Looks until there is something to see; the time is a hang guard."""
    end = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < end, "it did not come: %r" % (seen,)
        time.sleep(0.1)
    return seen


def create(client, code, **more):
    request = {
        "FunctionName": "f-" + uuid.uuid4().hex,
        "Runtime": "provided.al2023",
        "Role": ROLE,
        "Handler": "h",
        "Timeout": 30,
        "Code": {"ZipFile": code},
    }
    return client.create_function(**(request | more))


@pytest.fixture
def make(client):
    """Creates functions that are deleted after the test; their names."""
    names = []

    def make(code, **more):
        names.append(create(client, code, **more)["FunctionName"])
        return names[-1]

    yield make
    for name in names:
        client.delete_function(FunctionName=name)


@pytest.fixture
def empty(make):
    """A function without anything to run."""
    return make(zipped({"readme": b"x"}))


@pytest.fixture
def echo(make):
    """A function that answers with its event."""
    return make(program("bootstrap"))


@pytest.fixture
def obedient(make):
    """A function that does as its event says: see tests/fixtures/function.c."""
    return make(program("function"))
