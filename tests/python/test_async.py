"""Asynchronous invocations through AWS's own client, boto3: retries, destinations, dead letters."""

import json
import uuid

import pytest
from botocore.exceptions import ClientError
from conftest import create, program


@pytest.fixture(scope="module")
def impatient(quick):
    """Functions that do as their events say, and are deleted with the module."""
    names = []

    def make(**more):
        names.append(create(quick["lambda"], program("function"), Timeout=60, **more)["FunctionName"])
        return names[-1]

    yield make
    for name in names:
        quick["lambda"].delete_function(FunctionName=name)


@pytest.fixture
def queue(quick):
    url = quick["sqs"].create_queue(QueueName="q-" + uuid.uuid4().hex)["QueueUrl"]
    attributes = quick["sqs"].get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    yield url, attributes["Attributes"]["QueueArn"]
    quick["sqs"].delete_queue(QueueUrl=url)


def event(quick, function, payload, **more):
    answer = quick["lambda"].invoke(
        FunctionName=function, InvocationType="Event", Payload=json.dumps(payload), **more
    )
    assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
    return answer["ResponseMetadata"]["RequestId"]


def received(quick, url):
    for _ in range(6):
        answer = quick["sqs"].receive_message(QueueUrl=url, WaitTimeSeconds=20, MessageAttributeNames=["All"])
        for message in answer.get("Messages", []):
            quick["sqs"].delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return message
    raise AssertionError("nothing came")


def test_a_success_and_a_failure_are_told(quick, impatient, queue):
    url, arn = queue
    function = impatient()
    config = quick["lambda"].put_function_event_invoke_config(
        FunctionName=function,
        MaximumRetryAttempts=1,
        DestinationConfig={"OnSuccess": {"Destination": arn}, "OnFailure": {"Destination": arn}},
    )
    assert config["FunctionArn"].endswith(function + ":$LATEST")
    request_id = event(quick, function, "count")
    record = json.loads(received(quick, url)["Body"])
    assert record["requestContext"]["requestId"] == request_id
    assert record["requestContext"]["condition"] == "Success"
    assert (record["requestPayload"], record["responsePayload"]) == ("count", 1)
    event(quick, function, "error")
    record = json.loads(received(quick, url)["Body"])
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert record["responseContext"] == {
        "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled",
    }
    assert record["responsePayload"]["errorType"] == "Mine"


def test_a_dead_letter_is_the_event_itself(quick, impatient, queue):
    url, arn = queue
    function = impatient(DeadLetterConfig={"TargetArn": arn})
    found = quick["lambda"].get_function_configuration(FunctionName=function)
    assert found["DeadLetterConfig"] == {"TargetArn": arn}
    request_id = event(quick, function, "crash")
    message = received(quick, url)
    assert json.loads(message["Body"]) == "crash"
    attributes = message["MessageAttributes"]
    assert attributes["RequestID"]["StringValue"] == request_id
    assert "segmentation fault" in attributes["ErrorMessage"]["StringValue"]
    found = quick["lambda"].update_function_configuration(
        FunctionName=function, DeadLetterConfig={"TargetArn": ""}
    )
    assert "DeadLetterConfig" not in found


def test_an_event_without_room_of_its_own_fails_at_once(quick, impatient, queue):
    url, arn = queue
    function = impatient()
    quick["lambda"].put_function_event_invoke_config(
        FunctionName=function, DestinationConfig={"OnFailure": {"Destination": arn}}
    )
    quick["lambda"].put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
    event(quick, function, "count")
    context = json.loads(received(quick, url)["Body"])["requestContext"]
    assert (context["condition"], context["approximateInvokeCount"]) == ("ZeroReservedConcurrency", 0)


def test_a_destination_that_cannot_be_is_refused(quick, impatient):
    function = impatient()
    for arn, code in (
        ("arn:aws:la_mbda:us-east-1:000000000000:function:f", "ValidationException"),
        ("arn:aws:iam::000000000000:role/r", "InvalidParameterValueException"),
        ("arn:aws:lambda:us-east-1:000000000000:function:none", "InvalidParameterValueException"),
    ):
        with pytest.raises(ClientError) as error:
            quick["lambda"].put_function_event_invoke_config(
                FunctionName=function, DestinationConfig={"OnSuccess": {"Destination": arn}}
            )
        assert error.value.response["Error"]["Code"] == code
        assert arn in error.value.response["Error"]["Message"]


def test_configurations_by_qualifier(quick, impatient):
    function = impatient()
    client = quick["lambda"]
    client.publish_version(FunctionName=function)
    client.put_function_event_invoke_config(FunctionName=function, MaximumRetryAttempts=0)
    client.put_function_event_invoke_config(
        FunctionName=function, Qualifier="1", MaximumEventAgeInSeconds=60
    )
    client.update_function_event_invoke_config(FunctionName=function, MaximumEventAgeInSeconds=120)
    found = client.get_function_event_invoke_config(FunctionName=function)
    assert (found["MaximumRetryAttempts"], found["MaximumEventAgeInSeconds"]) == (0, 120)
    listed = client.list_function_event_invoke_configs(FunctionName=function)
    assert len(listed["FunctionEventInvokeConfigs"]) == 2
    client.delete_function_event_invoke_config(FunctionName=function, Qualifier="1")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_function_event_invoke_config(FunctionName=function, Qualifier="1")


def test_an_event_has_its_own_limit(quick, impatient):
    function = impatient()
    event(quick, function, "x" * ((1 << 20) - 2))
    with pytest.raises(ClientError) as error:
        event(quick, function, "x" * ((1 << 20) - 1))
    assert error.value.response["Error"]["Code"] == "RequestTooLargeException"


def test_the_older_call_takes_events_too(quick, impatient):
    name = impatient()
    assert quick["lambda"].invoke_async(FunctionName=name, InvokeArgs=b'"count"')["Status"] == 202
    with pytest.raises(ClientError) as error:
        quick["lambda"].invoke_async(FunctionName=name, InvokeArgs=b"{")
    assert error.value.response["Error"]["Code"] == "InvalidRequestContentException"
