"""Batches of which a function says what failed, from a queue by a mapping to a real function and to the dead letters."""

import collections
import json
import textwrap
import uuid

import pytest
from conftest import RUNTIME, create, eventually, zipped

# As short as a cold start allows: what failed is seen again after it.
VISIBLE_S = 10


@pytest.fixture
def mapped(quick):
    """Maps a new queue to a function of app.py's text, once there are messages in it; (function, queue, dead letters)."""
    ends = []

    def make(code, bodies, receives, **mapping):
        name = "batch-" + uuid.uuid4().hex
        sqs, client = quick["sqs"], quick["lambda"]
        known = lambda url: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])  # noqa: E731
        dead = sqs.create_queue(QueueName=name + "-dead")["QueueUrl"]
        policy = {"deadLetterTargetArn": known(dead)["Attributes"]["QueueArn"], "maxReceiveCount": receives}
        attributes = {"VisibilityTimeout": str(VISIBLE_S), "RedrivePolicy": json.dumps(policy)}
        url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        for body in bodies:
            sqs.send_message(QueueUrl=url, MessageBody=body)
        files = {"app.py": textwrap.dedent(code).encode()}
        more = {"Runtime": RUNTIME, "Handler": "app.handler", "Timeout": VISIBLE_S, "MemorySize": 256}
        function = create(client, zipped(files), **more)["FunctionName"]
        # An environment is there before messages are in flight, whose time runs.
        client.invoke(FunctionName=function, Payload=json.dumps({"Records": []}))
        made = client.create_event_source_mapping(
            EventSourceArn=known(url)["Attributes"]["QueueArn"],
            FunctionName=function,
            FunctionResponseTypes=["ReportBatchItemFailures"],
            **mapping,
        )
        ends.append((made["UUID"], function, url, dead))
        return function, url, dead

    yield make
    for mapping, function, url, dead in ends:
        quick["lambda"].delete_event_source_mapping(UUID=mapping)
        quick["lambda"].delete_function(FunctionName=function)
        quick["sqs"].delete_queue(QueueUrl=url)
        quick["sqs"].delete_queue(QueueUrl=dead)


def is_empty(sqs, url):
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    depth = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return set(depth.values()) == {"0"}


def letters(sqs, url, count):
    """So many dead letters' bodies, sorted."""
    found = []

    def look():
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2)
        found.extend(message["Body"] for message in answer.get("Messages", []))
        return len(found) >= count

    eventually(look)
    return sorted(found)


def test_what_a_function_reports_as_failed_comes_again_and_dies(quick, mapped):
    bodies = [json.dumps({"kind": "good", "n": n}) for n in range(12)]
    bad = [json.dumps({"kind": "bad", "n": n}) for n in range(2)]
    passed = [json.dumps({"kind": "other", "n": n}) for n in range(3)]
    function, url, dead = mapped(
        """
        import json

        def handler(event, context):
            records = event["Records"]
            print(json.dumps({"batch": [record["body"] for record in records]}))
            bad = [one["messageId"] for one in records if json.loads(one["body"])["kind"] == "bad"]
            return {"batchItemFailures": [{"itemIdentifier": one} for one in bad]}
        """,
        bodies + bad + passed,
        receives=2,
        BatchSize=10,
        MaximumBatchingWindowInSeconds=1,
        FilterCriteria={"Filters": [{"Pattern": json.dumps({"body": {"kind": ["good", "bad"]}})}]},
        ScalingConfig={"MaximumConcurrency": 2},
    )
    assert letters(quick["sqs"], dead, 2) == sorted(bad)
    eventually(lambda: is_empty(quick["sqs"], url))
    pages = quick["logs"].get_paginator("filter_log_events")
    pages = pages.paginate(logGroupName="/aws/lambda/" + function, filterPattern='"batch"')
    lines = [event["message"] for page in pages for event in page["events"]]
    batches = [json.loads(line)["batch"] for line in lines if line.startswith("{")]
    runs = collections.Counter(body for batch in batches for body in batch)
    assert runs == collections.Counter(bodies + 2 * bad), "each good one once, each bad one twice"
    assert max(map(len, batches)) <= 10


# Lambda developer guide, "Implementing partial batch responses": what fails a batch as a whole, and what is no failure.
GOOD = [None, {}, {"batchItemFailures": None}, {"batchItemFailures": []}]
BAD = [
    {"batchItemFailures": [{"itemIdentifier": ""}]},
    {"batchItemFailures": [{"itemIdentifier": None}]},
    {"batchItemFailures": [{"itemIdentifier": "none of the batch"}]},
    {"batchItemFailures": [{"id": "x"}]},
    "raise",
]


def test_answers_that_make_no_sense_fail_the_whole_batch(quick, mapped):
    function, url, dead = mapped(
        """
        import json

        def handler(event, context):
            for record in event["Records"]:
                answer = json.loads(record["body"])
                assert answer != "raise"
                return answer
        """,
        [json.dumps(answer) for answer in GOOD + BAD],
        receives=1,
        BatchSize=1,
    )
    assert letters(quick["sqs"], dead, len(BAD)) == sorted(map(json.dumps, BAD))
    eventually(lambda: is_empty(quick["sqs"], url))
    assert quick["sqs"].receive_message(QueueUrl=dead).get("Messages") is None, "those alone"
