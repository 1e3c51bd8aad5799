"""Lambda's API through AWS's own client, boto3.

    pip install --requirement tests/python/requirements.txt
    pytest tests/python
"""

import base64
import json

import pytest
from botocore.exceptions import ClientError
from conftest import FIXTURES, create, program, zipped


def code_of(error):
    return error.value.response["Error"]["Code"], error.value.response["ResponseMetadata"]["HTTPStatusCode"]


def test_a_function_is_created_found_and_deleted(client):
    created = create(client, zipped({"bootstrap": b"x"}), Environment={"Variables": {"KEY": "v"}})
    name = created["FunctionName"]
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert created["Environment"] == {"Variables": {"KEY": "v"}}
    for form in (name, created["FunctionArn"], "000000000000:function:" + name):
        client.get_waiter("function_active_v2").wait(FunctionName=form)
        found = client.get_function_configuration(FunctionName=form)
        assert (found["FunctionArn"], found["CodeSha256"]) == (created["FunctionArn"], created["CodeSha256"])
    assert (created["State"], found["State"], found["LastUpdateStatus"]) == ("Pending", "Active", "Successful")
    assert created["RevisionId"] != found["RevisionId"], "the revision of a function that is being created"
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
        {"Role": "me"},
        {"TracingConfig": {"Mode": "Sometimes"}},
        {"SnapStart": {"ApplyOn": "Sometimes"}},
    ],
)
def test_what_the_model_does_not_allow_is_refused(client, more):
    with pytest.raises(client.exceptions.ClientError) as error:
        create(client, zipped({"a": b"x"}), **more)
    told = error.value.response
    assert told["Error"]["Code"] == "ValidationException"
    assert told["Error"]["Message"].startswith("1 validation error detected: Value '")
    assert told["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.mark.parametrize(
    "more",
    [
        {"Code": {"ZipFile": b"no zip"}},
        {"Code": {"ZipFile": zipped({"../escape": b"x"})}},
        {"Environment": {"Variables": {"KEY": "x" * 5000}}},
        {"Runtime": "Python-3"},
        {"SnapStart": {"ApplyOn": "PublishedVersions"}},
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


def test_a_bootstrap_may_be_a_script(client, make):
    script = b"#!/bin/bash\nset -eu\necho started as $(basename $0)\nexec ./program\n"
    files = {"bootstrap": script, "program": (FIXTURES / "bootstrap").read_bytes()}
    answer = client.invoke(FunctionName=make(zipped(files)), Payload=b'"echo"', LogType="Tail")
    assert "FunctionError" not in answer, answer["Payload"].read()
    assert b"started as bootstrap" in base64.b64decode(answer["LogResult"])


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


def tell(client, function, what):
    answer = client.invoke(FunctionName=function, Payload=json.dumps(what))
    return answer.get("FunctionError"), json.loads(answer["Payload"].read())


def test_failures_are_function_errors_and_the_next_call_works(client, obedient):
    for what, kind, message in [
        ("exit 3", "Runtime.ExitError", "exit status 3"),
        ("crash", "Runtime.ExitError", "segmentation fault"),
        ("error", "Mine", "as asked"),
        ("big 7", "Function.ResponseSizeTooLarge", "6291556 bytes"),
    ]:
        error, document = tell(client, obedient, what)
        assert (error, document["errorType"]) == ("Unhandled", kind)
        assert message in document["errorMessage"]
        assert tell(client, obedient, "count")[0] is None


def test_a_time_out_is_a_function_error(client, make):
    function = make(program("function"), Timeout=1)
    error, document = tell(client, function, "hang")
    assert (error, document["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    assert document["errorMessage"].endswith("Task timed out after 1.00 seconds")
    assert tell(client, function, "count") == (None, 1)


def test_waiters_end(client, echo):
    client.get_waiter("function_active_v2").wait(FunctionName=echo)
    client.get_waiter("function_updated_v2").wait(FunctionName=echo)
    client.get_waiter("function_exists").wait(FunctionName=echo)


def test_a_function_is_replaced(client, echo):
    before = client.get_function_configuration(FunctionName=echo)
    client.invoke(FunctionName=echo, Payload=b"{}")
    updated = client.update_function_code(FunctionName=echo, ZipFile=program("function"))
    client.get_waiter("function_updated_v2").wait(FunctionName=echo)
    assert updated["CodeSha256"] != before["CodeSha256"]
    assert tell(client, echo, "count") == (None, 1)
    updated = client.update_function_configuration(
        FunctionName=echo, MemorySize=256, Environment={"Variables": {"KEY": "new"}}
    )
    assert (updated["MemorySize"], updated["Timeout"]) == (256, before["Timeout"])
    assert tell(client, echo, "count") == (None, 1)
    with pytest.raises(client.exceptions.PreconditionFailedException):
        client.update_function_configuration(FunctionName=echo, Timeout=5, RevisionId=before["RevisionId"])
