"""What is kept of a function besides what runs: wishes about its runtime and its loops, and its past."""

import json
import urllib.request

from conftest import program


def test_wishes_are_kept(client, make):
    function = make(program("bootstrap"), Publish=True)
    assert client.get_runtime_management_config(FunctionName=function)["UpdateRuntimeOn"] == "Auto"
    arn = "arn:aws:lambda:us-east-1::runtime:0123456789abcdef"
    manual = {"UpdateRuntimeOn": "Manual", "RuntimeVersionArn": arn}
    client.put_runtime_management_config(FunctionName=function, Qualifier="1", **manual)
    got = client.get_runtime_management_config(FunctionName=function, Qualifier="1")
    assert {key: got[key] for key in manual} == manual
    assert client.get_function_recursion_config(FunctionName=function)["RecursiveLoop"] == "Terminate"
    client.put_function_recursion_config(FunctionName=function, RecursiveLoop="Allow")
    assert client.get_function_recursion_config(FunctionName=function)["RecursiveLoop"] == "Allow"


def test_a_function_has_a_history(client, endpoint, make):
    function = make(program("bootstrap"), Timeout=3)
    client.update_function_configuration(FunctionName=function, Timeout=4)
    with urllib.request.urlopen("%s/mayfly/functions/%s/history" % (endpoint, function)) as answer:
        history = json.load(answer)["History"]
    assert [one["Timeout"] for one in history] == [4, 3]
