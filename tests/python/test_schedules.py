"""EventBridge Scheduler through AWS's own client, boto3."""

import contextlib
import datetime
import json
import uuid

import pytest
from botocore.exceptions import ClientError
from conftest import ROLE, program

UTC = datetime.timezone.utc
OFF = {"Mode": "OFF"}
ARN = "arn:aws:{}:us-east-1:000000000000:{}"


@pytest.fixture(scope="session")
def scheduler(connect):
    return connect("scheduler")


@pytest.fixture
def group(scheduler):
    """The name of a group that is deleted after the test, and its schedules with it."""
    name = "g-" + uuid.uuid4().hex
    arn = scheduler.create_schedule_group(Name=name, Tags=[{"Key": "a", "Value": "1"}])["ScheduleGroupArn"]
    assert arn == ARN.format("scheduler", "schedule-group/" + name)
    yield name
    with contextlib.suppress(scheduler.exceptions.ResourceNotFoundException):
        scheduler.delete_schedule_group(Name=name)


@pytest.fixture
def queue(sqs, new_queue):
    """Makes queues; their URLs and ARNs."""

    def make(**attributes):
        url = new_queue(**attributes)
        answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return url, answer["Attributes"]["QueueArn"]

    return make


def received(sqs, url):
    for _ in range(6):
        answer = sqs.receive_message(
            QueueUrl=url, WaitTimeSeconds=20, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"]
        )
        for message in answer.get("Messages", []):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return message
    raise AssertionError("nothing came")


def soon():
    """An expression for a moment that is about to come, and has not when the request for it is read."""
    return (datetime.datetime.now(UTC) + datetime.timedelta(seconds=6)).strftime("at(%Y-%m-%dT%H:%M:%S)")


def test_a_schedule_is_kept_as_it_was_made(scheduler, group):
    start = datetime.datetime(2100, 1, 2, 3, 4, 5, tzinfo=UTC)
    request = {
        "ScheduleExpression": "cron(0/15 8-17 ? * MON-FRI *)",
        "ScheduleExpressionTimezone": "Europe/Berlin",
        "Description": "grün",
        "StartDate": start,
        "EndDate": start + datetime.timedelta(days=30),
        "State": "DISABLED",
        "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15},
        "ActionAfterCompletion": "DELETE",
        "Target": {
            "Arn": ARN.format("lambda", "function:f:live"),
            "RoleArn": ROLE,
            "Input": '{"a": "<aws.scheduler.schedule-arn>"}',
            "RetryPolicy": {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 5},
            "DeadLetterConfig": {"Arn": ARN.format("sqs", "dead")},
        },
    }
    made = scheduler.create_schedule(Name="s", GroupName=group, **request)
    shown = scheduler.get_schedule(Name="s", GroupName=group)
    assert shown["Arn"] == made["ScheduleArn"] == ARN.format("scheduler", f"schedule/{group}/s")
    assert {name: shown[name] for name in request} == request
    assert abs(shown["CreationDate"] - datetime.datetime.now(UTC)) < datetime.timedelta(minutes=10)
    with pytest.raises(scheduler.exceptions.ConflictException):
        scheduler.create_schedule(Name="s", GroupName=group, **request)

    target = {"Arn": ARN.format("sqs", "q"), "RoleArn": ROLE}
    again = scheduler.update_schedule(
        Name="s", GroupName=group, ScheduleExpression="rate(2 days)", FlexibleTimeWindow=OFF, Target=target
    )
    assert again["ScheduleArn"] == made["ScheduleArn"]
    updated = scheduler.get_schedule(Name="s", GroupName=group)
    assert (updated["State"], updated["ScheduleExpressionTimezone"]) == ("ENABLED", "UTC")
    assert not {"Description", "StartDate", "EndDate"} & set(updated)
    assert updated["Target"]["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185}
    assert updated["CreationDate"] == shown["CreationDate"] <= updated["LastModificationDate"]

    scheduler.delete_schedule(Name="s", GroupName=group)
    for call in (scheduler.get_schedule, scheduler.delete_schedule):
        with pytest.raises(scheduler.exceptions.ResourceNotFoundException):
            call(Name="s", GroupName=group)
    with pytest.raises(scheduler.exceptions.ResourceNotFoundException):
        scheduler.update_schedule(
            Name="s", GroupName=group, ScheduleExpression="rate(2 days)", FlexibleTimeWindow=OFF, Target=target
        )


def test_a_queue_gets_what_is_said_at_the_time_that_is_said(scheduler, sqs, group, queue):
    url, arn = queue()
    words = ("schedule-arn", "scheduled-time", "execution-id", "attempt-number")
    text = " ".join(f"<aws.scheduler.{word}>" for word in words)
    expression = soon()
    made = scheduler.create_schedule(
        Name="s",
        GroupName=group,
        ScheduleExpression=expression,
        FlexibleTimeWindow=OFF,
        ActionAfterCompletion="DELETE",
        Target={"Arn": arn, "RoleArn": ROLE, "Input": text},
    )
    message = received(sqs, url)
    schedule, time, execution, attempt = message["Body"].split(" ")
    assert (schedule, time, attempt) == (made["ScheduleArn"], expression[3:-1] + "Z", "1")
    assert len(execution) == 16
    # Not before its time.
    due = datetime.datetime.fromisoformat(time.replace("Z", "+00:00"))
    assert int(message["Attributes"]["SentTimestamp"]) >= due.timestamp() * 1000
    with pytest.raises(scheduler.exceptions.ResourceNotFoundException):
        scheduler.get_schedule(Name="s", GroupName=group)


def test_a_fifo_queue_gets_its_messages_in_a_group(scheduler, sqs, group, queue):
    url, arn = queue(FifoQueue="true", ContentBasedDeduplication="true")
    request = {"ScheduleExpression": "rate(1 day)", "FlexibleTimeWindow": OFF, "GroupName": group}
    target = {"Arn": arn, "RoleArn": ROLE, "Input": "now", "SqsParameters": {"MessageGroupId": "m"}}
    scheduler.create_schedule(Name="s", Target=target, **request)
    message = received(sqs, url)
    assert (message["Body"], message["Attributes"]["MessageGroupId"]) == ("now", "m")
    del target["SqsParameters"]
    with pytest.raises(scheduler.exceptions.ValidationException, match="MessageGroupId"):
        scheduler.create_schedule(Name="t", Target=target, **request)


def test_a_function_is_invoked_with_a_notification_or_the_input(scheduler, client, sqs, group, queue, make):
    url, told = queue()
    function = make(program("bootstrap"), Publish=True)
    client.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
    client.put_function_event_invoke_config(
        FunctionName=function, Qualifier="live", DestinationConfig={"OnSuccess": {"Destination": told}}
    )
    request = {"ScheduleExpression": "rate(1 day)", "FlexibleTimeWindow": OFF, "GroupName": group}
    target = {"Arn": ARN.format("lambda", f"function:{function}:live"), "RoleArn": ROLE}
    made = scheduler.create_schedule(Name="plain", Target=target, **request)
    event = json.loads(received(sqs, url)["Body"])["requestPayload"]
    assert (event["source"], event["detail-type"]) == ("aws.scheduler", "Scheduled Event")
    assert (event["resources"], event["detail"]) == ([made["ScheduleArn"]], "{}")
    scheduler.create_schedule(
        Name="given", Target=target | {"Input": '{"at": "<aws.scheduler.scheduled-time>"}'}, **request
    )
    record = json.loads(received(sqs, url)["Body"])
    assert record["requestContext"]["functionArn"] == target["Arn"]
    datetime.datetime.fromisoformat(record["requestPayload"]["at"].replace("Z", "+00:00"))


def test_what_can_not_be_delivered_is_a_dead_letter(scheduler, sqs, group, queue):
    url, dead = queue()
    nowhere = ARN.format("lambda", "function:nowhere-" + uuid.uuid4().hex)
    made = scheduler.create_schedule(
        Name="s",
        GroupName=group,
        ScheduleExpression="rate(1 day)",
        FlexibleTimeWindow=OFF,
        Target={
            "Arn": nowhere,
            "RoleArn": ROLE,
            "Input": "[1]",
            "RetryPolicy": {"MaximumRetryAttempts": 1},
            "DeadLetterConfig": {"Arn": dead},
        },
    )
    message = received(sqs, url)
    said = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert message["Body"] == "[1]"
    assert (said["SCHEDULE_ARN"], said["TARGET_ARN"]) == (made["ScheduleArn"], nowhere)
    assert (said["ERROR_CODE"], said["RETRY_ATTEMPTS"]) == ("ResourceNotFoundException", "1")
    assert said["EXHAUSTED_RETRY_CONDITION"] == "MaximumRetryAttempts"


def test_lists_have_pages_and_filters(scheduler, group):
    names = [f"s-{number:02}" for number in range(12)]
    for number, name in enumerate(names):
        scheduler.create_schedule(
            Name=name,
            GroupName=group,
            ScheduleExpression="at(2100-01-01T00:00:00)",
            FlexibleTimeWindow=OFF,
            State="DISABLED" if number % 3 == 0 else "ENABLED",
            Target={"Arn": ARN.format("sqs", "q"), "RoleArn": ROLE},
        )
    pages = scheduler.get_paginator("list_schedules").paginate(GroupName=group, MaxResults=5)
    pages = [[one["Name"] for one in page["Schedules"]] for page in pages]
    assert [len(page) for page in pages] == [5, 5, 2] and sum(pages, []) == names
    listed = scheduler.list_schedules(GroupName=group, State="DISABLED", NamePrefix="s-0")["Schedules"]
    assert [one["Name"] for one in listed] == names[0:10:3]
    assert listed[0]["Target"] == {"Arn": ARN.format("sqs", "q")} and listed[0]["GroupName"] == group
    # More than it may be, and less.
    for count in (0, 101):
        with pytest.raises(scheduler.exceptions.ValidationException):
            scheduler.list_schedules(MaxResults=count)


def test_groups_and_their_tags(scheduler, group):
    shown = scheduler.get_schedule_group(Name=group)
    assert (shown["Name"], shown["State"]) == (group, "ACTIVE")
    tags = lambda: scheduler.list_tags_for_resource(ResourceArn=shown["Arn"])["Tags"]  # noqa: E731
    assert tags() == [{"Key": "a", "Value": "1"}]
    scheduler.tag_resource(ResourceArn=shown["Arn"], Tags=[{"Key": "b", "Value": "2"}, {"Key": "c", "Value": "3"}])
    scheduler.untag_resource(ResourceArn=shown["Arn"], TagKeys=["a", "c"])
    assert tags() == [{"Key": "b", "Value": "2"}]
    names = {one["Name"] for one in scheduler.list_schedule_groups()["ScheduleGroups"]}
    assert {"default", group} <= names
    listed = scheduler.list_schedule_groups(NamePrefix=group)["ScheduleGroups"]
    assert [one["Arn"] for one in listed] == [shown["Arn"]]
    with pytest.raises(scheduler.exceptions.ConflictException):
        scheduler.create_schedule_group(Name=group)
    with pytest.raises(scheduler.exceptions.ValidationException):
        scheduler.delete_schedule_group(Name="default")
    scheduler.delete_schedule_group(Name=group)
    with pytest.raises(scheduler.exceptions.ResourceNotFoundException):
        scheduler.get_schedule_group(Name=group)


@pytest.mark.parametrize(
    "expression",
    [
        "at(2020-01-01T00:00:00)",
        "at(2100-02-29T00:00:00)",
        "rate(0 minutes)",
        "rate(1 week)",
        "cron(0 0 * * * *)",
        "cron(0 0 ? * ? *)",
        "cron(60 0 * * ? *)",
        "cron(0 24 * * ? *)",
        "cron(0 0 32 * ? *)",
        "cron(0 0 * 13 ? *)",
        "cron(0 0 ? * 8 *)",
        "cron(0 0 * * ? 2200)",
        "cron(0 0 31 2 ? *)",
        "cron(0 0 * * ?)",
        "every minute",
    ],
)
def test_expressions_that_are_none_are_refused(scheduler, group, expression):
    with pytest.raises(ClientError) as error:
        scheduler.create_schedule(
            Name="s",
            GroupName=group,
            ScheduleExpression=expression,
            FlexibleTimeWindow=OFF,
            Target={"Arn": ARN.format("sqs", "q"), "RoleArn": ROLE},
        )
    answer = error.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("ValidationException", 400)
    assert "Invalid Schedule Expression" in answer["Error"]["Message"]
