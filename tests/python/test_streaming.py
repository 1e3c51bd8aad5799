"""Streamed responses through boto3, with nothing of it changed."""

import base64
import json

import pytest
from conftest import zipped


def begin(client, function, what, **more):
    answer = client.invoke_with_response_stream(FunctionName=function, Payload=json.dumps(what), **more)
    assert answer["StatusCode"] == 200 and answer["ExecutedVersion"] == "$LATEST"
    return iter(answer["EventStream"])


def whole(events):
    """The payload, and what InvokeComplete says."""
    *pieces, last = events
    return b"".join(piece["PayloadChunk"]["Payload"] for piece in pieces), last["InvokeComplete"]


def test_pieces_arrive_while_the_function_writes(client, obedient):
    events = begin(client, obedient, "stream 1")
    assert next(events) == {"PayloadChunk": {"Payload": b"first"}}
    # The function goes on when it sees this, and at nothing else.
    client.put_function_concurrency(FunctionName=obedient, ReservedConcurrentExecutions=1)
    assert whole(events) == (b"second", {})
    client.delete_function_concurrency(FunctionName=obedient)


def test_an_error_in_the_middle(client, obedient):
    payload, complete = whole(begin(client, obedient, "stream 2", LogType="Tail"))
    assert (payload, complete["ErrorCode"]) == (b"first", "Mine")
    assert json.loads(complete["ErrorDetails"]) == {"errorType": "Mine", "errorMessage": "in the middle"}
    assert base64.b64decode(complete["LogResult"]).startswith(b"START RequestId: ")
    answer = client.invoke(FunctionName=obedient, Payload=b'"stream 2"')
    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(answer["Payload"].read())["errorMessage"] == "in the middle"


def test_twenty_megabytes_and_not_more(client, obedient):
    payload, complete = whole(begin(client, obedient, "pour 20"))
    assert (len(payload), complete) == (20 << 20, {})
    payload, complete = whole(begin(client, obedient, "pour 21"))
    assert len(payload) <= 20 << 20 and complete["ErrorCode"] == "Function.ResponseSizeTooLarge"
    assert len(client.invoke(FunctionName=obedient, Payload=b'"pour 6"')["Payload"].read()) == 6 << 20
    answer = client.invoke(FunctionName=obedient, Payload=b'"pour 7"')
    assert json.loads(answer["Payload"].read())["errorType"] == "Function.ResponseSizeTooLarge"


def test_a_runtime_that_answers_whole(client, obedient):
    assert whole(begin(client, obedient, "count"))[1] == {}
    assert whole(begin(client, obedient, "error"))[1]["ErrorCode"] == "Mine"
    assert whole(begin(client, obedient, "exit 3"))[1]["ErrorCode"] == "Runtime.ExitError"
    payload, _ = whole(begin(client, obedient, "big 2"))
    assert payload == b" " * (2 << 20)


def test_a_client_that_goes_away(client, obedient):
    events = begin(client, obedient, "pour 20")
    next(events)
    del events
    # The function finishes, or another environment serves.
    assert whole(begin(client, obedient, "stream 0")) == (b"firstsecond", {})


def test_requests_are_checked_first(client, make):
    empty = make(zipped({"readme": b"x"}))
    stream = client.invoke_with_response_stream
    assert stream(FunctionName=empty, InvocationType="DryRun")["StatusCode"] == 204
    with pytest.raises(client.exceptions.InvalidRequestContentException):
        stream(FunctionName=empty, Payload=b"{")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        stream(FunctionName=empty + "-not")
    assert whole(stream(FunctionName=empty)["EventStream"])[1]["ErrorCode"] == "Runtime.InvalidEntrypoint"
