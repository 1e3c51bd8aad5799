"""Functions that invoke themselves from inside, by AWS's own client, boto3, which passes the trace header on."""

import json
import textwrap

import pytest
from conftest import RUNTIME, boto3_for, create, eventually, zipped

# Documented: about 16 invocations in one chain of requests.
RUNS = 16


def lines(quick, name):
    """What a function's log says; nothing before it was run."""
    pages = quick["logs"].get_paginator("filter_log_events").paginate(logGroupName="/aws/lambda/" + name)
    try:
        return [event["message"] for page in pages for event in page["events"]]
    except quick["logs"].exceptions.ResourceNotFoundException:
        return []


def starts(quick, name):
    """How often it was run."""
    return sum(line.startswith("START ") for line in lines(quick, name))


def queue(quick, name, **attributes):
    """A queue's URL and ARN."""
    url = quick["sqs"].create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    known = quick["sqs"].get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return url, known["Attributes"]["QueueArn"]


@pytest.fixture
def looping(quick):
    """Makes a function of app.py's text that has boto3; its name."""
    names = []

    def make(code):
        files = {"app.py": textwrap.dedent(code).encode(), **boto3_for("lambda", "sqs")}
        more = {"Runtime": RUNTIME, "Handler": "app.handler", "MemorySize": 256, "Timeout": 30}
        names.append(create(quick["lambda"], zipped(files), **more)["FunctionName"])
        return names[-1]

    yield make
    for name in names:
        quick["lambda"].delete_function(FunctionName=name)


def test_a_function_that_invokes_itself_is_stopped(quick, looping):
    name = looping("""
        import boto3

        def handler(event, context):
            boto3.client("lambda").invoke(FunctionName=context.function_name, InvocationType="Event")
    """)
    url, arn = queue(quick, "stopped")
    quick["lambda"].put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnFailure": {"Destination": arn}}
    )
    quick["lambda"].invoke(FunctionName=name, InvocationType="Event")
    receive = lambda: quick["sqs"].receive_message(QueueUrl=url, WaitTimeSeconds=5).get("Messages")  # noqa: E731
    (message,) = eventually(receive, 600)
    context = json.loads(message["Body"])["requestContext"]
    assert context["condition"] == "RecursiveInvocationException"
    assert starts(quick, name) == RUNS


def test_a_loop_through_a_queue_is_stopped(quick, looping):
    dead_url, dead_arn = queue(quick, "loop-dead")
    policy = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 1})
    url, arn = queue(quick, "loop", VisibilityTimeout="30", RedrivePolicy=policy)
    name = looping("""
        import boto3

        def handler(event, context):
            sqs = boto3.client("sqs")
            url = sqs.get_queue_url(QueueName="loop")["QueueUrl"]
            for record in event["Records"]:
                sqs.send_message(QueueUrl=url, MessageBody="%d" % (int(record["body"]) + 1))
    """)
    mapping = quick["lambda"].create_event_source_mapping(EventSourceArn=arn, FunctionName=name)
    quick["sqs"].send_message(QueueUrl=url, MessageBody="0")
    eventually(lambda: any("recursive loop" in line for line in lines(quick, name)), 600)
    assert starts(quick, name) == RUNS
    # It is not lost: it waits for its end, which is the dead letters.
    (last,) = eventually(
        lambda: quick["sqs"].receive_message(QueueUrl=dead_url, WaitTimeSeconds=5).get("Messages"), 600
    )
    assert last["Body"] == str(RUNS)
    quick["lambda"].delete_event_source_mapping(UUID=mapping["UUID"])
