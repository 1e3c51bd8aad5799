"""CloudWatch Logs through AWS's own client, boto3."""

import json

import pytest
from conftest import program
from test_command_line import aws  # noqa: F401


@pytest.fixture
def logs(connect):
    return connect("logs")


@pytest.fixture
def printed(client, make):
    """The log group of a function that has printed "line 1 of …" and more in each of two invocations."""
    name = make(program("function"))
    for _ in range(2):
        client.invoke(FunctionName=name, Payload=b'"print 3"')
    return "/aws/lambda/" + name


def test_events_in_pages(logs, printed):
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=printed, PaginationConfig={"PageSize": 5}
    )
    events = [event for page in pages for event in page["events"]]
    messages = [event["message"] for event in events]
    assert len(messages) == 12
    assert messages[0].startswith("START RequestId: ") and messages[1].startswith("line 1 of ")
    assert messages[-1].startswith("REPORT RequestId: ") and messages[-1].endswith("\t\n")
    times = [event["timestamp"] for event in events]
    assert times == sorted(times)
    assert len({event["eventId"] for event in events}) == 12


def test_a_filter(logs, printed):
    found = logs.filter_log_events(logGroupName=printed, filterPattern='"line 1" -START')["events"]
    assert len(found) == 2
    last = found[-1]["timestamp"]
    later = logs.filter_log_events(logGroupName=printed, startTime=last + 1, filterPattern="line")
    assert all(event["timestamp"] > last for event in later["events"])
    with pytest.raises(logs.exceptions.InvalidParameterException):
        logs.filter_log_events(logGroupName=printed, nextToken="nonsense")


def test_a_stream_by_its_tokens(logs, printed):
    (stream,) = logs.describe_log_streams(logGroupName=printed, orderBy="LastEventTime")["logStreams"]
    assert "/[$LATEST]" in stream["logStreamName"]
    assert stream["firstEventTimestamp"] <= stream["lastEventTimestamp"]
    which = {"logGroupName": printed, "logStreamName": stream["logStreamName"], "limit": 5}
    seen, page = [], logs.get_log_events(**which, startFromHead=True)
    while page["events"]:
        seen += page["events"]
        token = page["nextForwardToken"]
        page = logs.get_log_events(**which, nextToken=token)
    assert page["nextForwardToken"] == token and len(seen) == 12
    last = logs.get_log_events(**which)
    assert last["events"] == seen[-5:]
    before = logs.get_log_events(**which, nextToken=last["nextBackwardToken"])
    assert before["events"] == seen[-10:-5]


def test_groups(logs, printed):
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix="/aws/lambda/f-")
    groups = {group["logGroupName"]: group for page in pages for group in page["logGroups"]}
    assert groups[printed]["storedBytes"] > 0
    assert logs.filter_log_events(logGroupIdentifier=groups[printed]["logGroupArn"], limit=1)["events"]
    logs.delete_log_group(logGroupName=printed)
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.get_log_events(logGroupName=printed, logStreamName="any")


def test_the_command_line(aws, printed):  # noqa: F811
    events = aws("logs", "filter-log-events", "--log-group-name", printed, "--filter-pattern", "line")
    assert len(events["events"]) == 6
    assert json.dumps(events).count("line 2 of ") == 2
