"""SQS through AWS's own client, boto3, which checks every MD5 by itself."""

import json
import time
import uuid

import pytest
from botocore.exceptions import ClientError
from conftest import create, program


def arn_of(sqs, url):
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return answer["Attributes"]["QueueArn"]


def bodies(answer):
    return [message["Body"] for message in answer.get("Messages", [])]


def test_queues_are_made_found_and_deleted(sqs, new_queue):
    url = new_queue(DelaySeconds="0", VisibilityTimeout="7")
    name = url.rsplit("/", 1)[1]
    assert sqs.get_queue_url(QueueName=name)["QueueUrl"] == url
    assert url in sqs.list_queues(QueueNamePrefix=name)["QueueUrls"]
    assert sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "7"})["QueueUrl"] == url
    with pytest.raises(sqs.exceptions.QueueNameExists):
        sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "8"})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "9"})
    all_of_it = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (all_of_it["VisibilityTimeout"], all_of_it["MaximumMessageSize"]) == ("9", "1048576")
    sqs.tag_queue(QueueUrl=url, Tags={"a": "1", "b": "2"})
    sqs.untag_queue(QueueUrl=url, TagKeys=["a"])
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"b": "2"}
    sqs.delete_queue(QueueUrl=url)
    with pytest.raises(sqs.exceptions.QueueDoesNotExist) as error:
        sqs.get_queue_url(QueueName=name)
    assert error.value.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue"
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.send_message(QueueUrl=url, MessageBody="x")


def test_a_message_comes_with_all_that_it_was_sent_with(sqs, new_queue):
    url = new_queue()
    attributes = {
        "text": {"DataType": "String", "StringValue": "grün"},
        "number": {"DataType": "Number.int", "StringValue": "12"},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    sent = sqs.send_message(QueueUrl=url, MessageBody="héllo \U0001f600", MessageAttributes=attributes)
    answer = sqs.receive_message(
        QueueUrl=url, AttributeNames=["All"], MessageAttributeNames=["All"]
    )
    (message,) = answer["Messages"]
    assert (message["Body"], message["MessageId"]) == ("héllo \U0001f600", sent["MessageId"])
    assert message["MessageAttributes"] == attributes
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert abs(int(message["Attributes"]["SentTimestamp"]) / 1000 - time.time()) < 600
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert bodies(sqs.receive_message(QueueUrl=url)) == []


def test_batches_end_entry_by_entry(sqs, new_queue):
    url = new_queue()
    entries = [{"Id": str(n), "MessageBody": "m%d" % n} for n in range(10)]
    assert len(sqs.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]) == 10
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert sorted(message["Body"] for message in messages) == sorted(e["MessageBody"] for e in entries)
    handles = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
    handles[0]["ReceiptHandle"] = "forged"
    visible = [dict(handle, VisibilityTimeout=0) for handle in handles[:2]]
    changed = sqs.change_message_visibility_batch(QueueUrl=url, Entries=visible)
    assert [one["Id"] for one in changed["Successful"]] == ["1"]
    assert changed["Failed"][0]["Code"] == "ReceiptHandleIsInvalid"
    deleted = sqs.delete_message_batch(QueueUrl=url, Entries=handles)
    assert (len(deleted["Successful"]), deleted["Failed"][0]["Id"]) == (9, "0")
    with pytest.raises(ClientError) as error:
        sqs.send_message_batch(QueueUrl=url, Entries=[])
    assert error.value.response["Error"]["Code"] == "AWS.SimpleQueueService.EmptyBatchRequest"


def test_a_message_received_too_often_is_a_dead_letter(sqs, new_queue):
    dead = new_queue()
    policy = json.dumps({"deadLetterTargetArn": arn_of(sqs, dead), "maxReceiveCount": 2})
    url = new_queue(RedrivePolicy=policy, VisibilityTimeout="0")
    sqs.send_message(QueueUrl=url, MessageBody="poison")
    assert [bodies(sqs.receive_message(QueueUrl=url)) for _ in range(3)] == [["poison"], ["poison"], []]
    assert bodies(sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=5)) == ["poison"]
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]


def test_a_fifo_queue_keeps_groups_in_order_and_messages_single(sqs, new_queue):
    url = new_queue(FifoQueue="true", ContentBasedDeduplication="true")
    sent = [
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=body[0])
        for body in ("a1", "a2", "b1", "a1")
    ]
    assert sent[0]["MessageId"] == sent[3]["MessageId"]
    assert int(sent[0]["SequenceNumber"]) < int(sent[1]["SequenceNumber"])
    first = sqs.receive_message(QueueUrl=url, AttributeNames=["All"])["Messages"]
    assert [message["Body"] for message in first] == ["a1"]
    assert first[0]["Attributes"]["MessageGroupId"] == "a"
    assert bodies(sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)) == ["b1"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=first[0]["ReceiptHandle"])
    assert bodies(sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)) == ["a2"]
    with pytest.raises(ClientError) as error:
        sqs.send_message(QueueUrl=url, MessageBody="x")
    assert error.value.response["Error"]["Code"] == "MissingParameter"


def test_purged_is_empty(sqs, new_queue):
    url = new_queue()
    sqs.send_message(QueueUrl=url, MessageBody=str(uuid.uuid4()))
    sqs.purge_queue(QueueUrl=url)
    assert bodies(sqs.receive_message(QueueUrl=url)) == []


def test_a_function_is_invoked_with_batches(quick):
    client, queues = quick["lambda"], quick["sqs"]
    function = create(client, program("bootstrap"), Timeout=20)["FunctionName"]
    url = queues.create_queue(QueueName="batches")["QueueUrl"]
    mapping = client.create_event_source_mapping(
        EventSourceArn=arn_of(queues, url),
        FunctionName=function,
        BatchSize=5,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        ScalingConfig={"MaximumConcurrency": 2},
    )
    assert (mapping["State"], mapping["ScalingConfig"]) == ("Creating", {"MaximumConcurrency": 2})
    entries = [{"Id": str(n), "MessageBody": "m"} for n in range(10)]
    queues.send_message_batch(QueueUrl=url, Entries=entries)
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    for _ in range(600):
        depth = queues.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        if set(depth.values()) == {"0"}:
            break
        time.sleep(0.1)
    assert set(depth.values()) == {"0"}
    found = client.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
    assert [one["UUID"] for one in found] == [mapping["UUID"]]
    updated = client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False, BatchSize=1)
    assert (updated["State"], updated["BatchSize"]) == ("Disabling", 1)
    assert client.delete_event_source_mapping(UUID=mapping["UUID"])["State"] == "Deleting"
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_event_source_mapping(UUID=mapping["UUID"])
    client.delete_function(FunctionName=function)
    queues.delete_queue(QueueUrl=url)
