"""The API through AWS's own client, boto3.

    pip install boto3 pytest
    MAYFLY_BIN=target/release/mayfly pytest tests/python

Without MAYFLY_ENDPOINT each run starts `mayfly serve` on a data directory of its own. MAYFLY_BOOTSTRAP names
a static program that answers each event with the event itself; without one, tests that need it are skipped.
"""

import base64
import io
import os
import pathlib
import socket
import subprocess
import time
import uuid
import zipfile

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::000000000000:role/test"


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory):
    """Where the platform listens."""
    if "MAYFLY_ENDPOINT" in os.environ:
        yield os.environ["MAYFLY_ENDPOINT"]
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % free.getsockname()[1]
    program = os.environ.get("MAYFLY_BIN", "target/release/mayfly")
    data = tmp_path_factory.mktemp("data")
    server = subprocess.Popen([program, "serve", "--listen", address, "--data", data])
    try:
        wait_for(address, server)
        yield "http://" + address
    finally:
        server.terminate()
        assert server.wait(30) == 0


def wait_for(address, server):
    host, port = address.split(":")
    end = time.monotonic() + 10
    while True:
        assert server.poll() is None, "the platform has ended"
        try:
            return socket.create_connection((host, int(port)), 1).close()
        except OSError:
            assert time.monotonic() < end, "the platform does not listen"
            time.sleep(0.02)


@pytest.fixture(scope="session")
def client(endpoint):
    return boto3.client(
        "lambda",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
    )


def zipped(files):
    """A zip of {name: content}, all of them programs."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100755 << 16
            archive.writestr(entry, content)
    return out.getvalue()


def create(client, code, **more):
    request = {
        "FunctionName": "f-" + uuid.uuid4().hex,
        "Runtime": "provided.al2023",
        "Role": ROLE,
        "Handler": "h",
        "Code": {"ZipFile": code},
    }
    return client.create_function(**(request | more))


@pytest.fixture
def empty(client):
    """A function without anything to run."""
    function = create(client, zipped({"readme": b"x"}))
    yield function["FunctionName"]
    client.delete_function(FunctionName=function["FunctionName"])


@pytest.fixture
def echo(client):
    """A function that answers with its event."""
    if "MAYFLY_BOOTSTRAP" not in os.environ:
        pytest.skip("needs MAYFLY_BOOTSTRAP")
    bootstrap = pathlib.Path(os.environ["MAYFLY_BOOTSTRAP"]).read_bytes()
    function = create(client, zipped({"bootstrap": bootstrap}))
    client.get_waiter("function_active_v2").wait(FunctionName=function["FunctionName"])
    yield function["FunctionName"]
    client.delete_function(FunctionName=function["FunctionName"])


def code_of(error):
    return error.value.response["Error"]["Code"], error.value.response["ResponseMetadata"]["HTTPStatusCode"]


def test_a_function_is_created_found_and_deleted(client):
    created = create(client, zipped({"bootstrap": b"x"}), Environment={"Variables": {"KEY": "v"}})
    name = created["FunctionName"]
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert created["Environment"] == {"Variables": {"KEY": "v"}}
    for form in (name, created["FunctionArn"], "000000000000:function:" + name):
        assert client.get_function_configuration(FunctionName=form)["RevisionId"] == created["RevisionId"]
    assert client.get_function(FunctionName=name)["Code"]["RepositoryType"] == "S3"
    with pytest.raises(client.exceptions.ResourceConflictException):
        create(client, zipped({}), FunctionName=name)
    client.delete_function(FunctionName=name)
    with pytest.raises(client.exceptions.ResourceNotFoundException) as error:
        client.get_function(FunctionName=name)
    assert "Function not found" in error.value.response["Error"]["Message"]


def test_pages(client):
    names = {create(client, zipped({"a": b"x"}))["FunctionName"] for _ in range(3)}
    pages = client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 1})
    found = [function["FunctionName"] for page in pages for function in page["Functions"]]
    assert names <= set(found) and len(found) == len(set(found))
    for name in names:
        client.delete_function(FunctionName=name)


@pytest.mark.parametrize(
    "more",
    [
        {"MemorySize": 64},
        {"Timeout": 901},
        {"FunctionName": "no spaces"},
        {"Code": {"ZipFile": b"no zip"}},
        {"Code": {"ZipFile": zipped({"../escape": b"x"})}},
        {"Environment": {"Variables": {"KEY": "x" * 5000}}},
    ],
)
def test_what_breaks_a_limit_is_refused(client, more):
    with pytest.raises(client.exceptions.InvalidParameterValueException) as error:
        create(client, zipped({"a": b"x"}), **more)
    assert error.value.response["Error"]["Message"]


def test_nothing_to_run(client, empty):
    answer = client.invoke(FunctionName=empty, Payload=b"{}")
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert b"Runtime.InvalidEntrypoint" in answer["Payload"].read()


def test_requests_are_checked_first(client, empty):
    assert client.invoke(FunctionName=empty, InvocationType="DryRun")["StatusCode"] == 204
    with pytest.raises(client.exceptions.InvalidRequestContentException):
        client.invoke(FunctionName=empty, Payload=b"{")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.invoke(FunctionName=empty, Qualifier="7")
    with pytest.raises(ClientError) as error:
        client.invoke(FunctionName=empty, Payload=b'"%s"' % (b"x" * (6 << 20)))
    assert code_of(error) == ("RequestTooLargeException", 413)


def test_an_event_comes_back_with_its_log(client, echo):
    for payload in (b'{"a":1}', b"[]", b'"%s"' % (b"x" * 1_000_000)):
        answer = client.invoke(FunctionName=echo, Payload=payload, LogType="Tail")
        assert answer["StatusCode"] == 200 and "FunctionError" not in answer
        assert answer["ExecutedVersion"] == "$LATEST"
        assert answer["Payload"].read() == payload
        log = base64.b64decode(answer["LogResult"]).decode()
        request_id = answer["ResponseMetadata"]["RequestId"]
        assert log.startswith("START RequestId: %s Version: $LATEST\n" % request_id)
        assert "\tBilled Duration: " in log
