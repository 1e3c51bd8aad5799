"""Provisioned concurrency through boto3, in real environments."""

import json
import sys
import time

import pytest
from conftest import zipped

RUNTIME = "python%d.%d" % sys.version_info[:2]

CODE = b"""
import os

def handler(event, context):
    return os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]
"""


def settled(client, status, **which):
    """Waits for a status, for as long as a slow machine takes."""
    while True:
        got = client.get_provisioned_concurrency_config(**which)
        if got["Status"] == status:
            return got
        time.sleep(0.05)


def test_environments_are_ready_before_they_are_needed(client, make):
    more = {"Runtime": RUNTIME, "Handler": "app.handler", "MemorySize": 256, "Publish": True}
    function = make(zipped({"app.py": CODE}), **more)
    client.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
    which = {"FunctionName": function, "Qualifier": "live"}
    with pytest.raises(client.exceptions.ProvisionedConcurrencyConfigNotFoundException):
        client.get_provisioned_concurrency_config(**which)
    asked = client.put_provisioned_concurrency_config(ProvisionedConcurrentExecutions=2, **which)
    assert asked["RequestedProvisionedConcurrentExecutions"] == 2
    assert settled(client, "READY", **which)["AvailableProvisionedConcurrentExecutions"] == 2
    answer = client.invoke(Payload=b"{}", LogType="Tail", **which)
    assert json.load(answer["Payload"]) == "provisioned-concurrency"
    assert json.load(client.invoke(FunctionName=function, Payload=b"{}")["Payload"]) == "on-demand"
    listed = client.list_provisioned_concurrency_configs(FunctionName=function)["ProvisionedConcurrencyConfigs"]
    assert [one["FunctionArn"].rsplit(":", 1)[1] for one in listed] == ["live"]
    with pytest.raises(client.exceptions.InvalidParameterValueException):
        client.put_provisioned_concurrency_config(
            FunctionName=function, Qualifier="$LATEST", ProvisionedConcurrentExecutions=1
        )
    client.delete_provisioned_concurrency_config(**which)
    with pytest.raises(client.exceptions.ProvisionedConcurrencyConfigNotFoundException):
        client.get_provisioned_concurrency_config(**which)


def test_a_function_that_does_not_start_is_told(client, make):
    more = {"Runtime": RUNTIME, "Handler": "nothing.handler", "MemorySize": 256, "Publish": True}
    function = make(zipped({"app.py": CODE}), **more)
    which = {"FunctionName": function, "Qualifier": "1"}
    client.put_provisioned_concurrency_config(ProvisionedConcurrentExecutions=1, **which)
    assert settled(client, "FAILED", **which)["AllocatedProvisionedConcurrentExecutions"] == 0
