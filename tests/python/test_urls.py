"""Function URLs: configured through boto3, called by plain HTTP."""

import http.client
import json
import sys
from urllib.parse import urlsplit

import pytest
from conftest import program, zipped

RUNTIME = "python%d.%d" % sys.version_info[:2]

CODE = b"""
import json

def handler(event, context):
    if event["rawPath"] == "/fail":
        raise ValueError("no")
    if event["rawPath"] == "/plain":
        return ["plain"]
    told = {key: event.get(key) for key in ("rawPath", "queryStringParameters", "cookies", "body")}
    told["method"] = event["requestContext"]["http"]["method"]
    return {"statusCode": 202, "headers": {"x-told": "yes"}, "cookies": ["a=1"], "body": json.dumps(told)}
"""


def open_to_everybody(client, function, **more):
    """What the console does by itself, and the API leaves to its client."""
    client.add_permission(
        FunctionName=function,
        StatementId="url",
        Action="lambda:InvokeFunctionUrl",
        Principal="*",
        FunctionUrlAuthType="NONE",
        **more,
    )


def call(endpoint, url, method="GET", path="/", body=None, **headers):
    """A request by the URL's host, to where the platform listens: names below localhost need not be known here."""
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc)
    connection.request(method, path, body, {"Host": urlsplit(url).netloc} | headers)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def test_a_function_answers_http(client, endpoint, make):
    more = {"Runtime": RUNTIME, "Handler": "app.handler", "MemorySize": 256}
    function = make(zipped({"app.py": CODE}), **more)
    url = client.create_function_url_config(FunctionName=function, AuthType="NONE")["FunctionUrl"]
    assert urlsplit(url).port == urlsplit(endpoint).port
    assert call(endpoint, url)[::2] == (403, b'{"Message":"Forbidden"}')
    open_to_everybody(client, function)
    status, headers, body = call(endpoint, url, "PUT", "/a/b?x=1&x=2", "hi", Cookie="c=1", **{"content-type": "text/plain"})
    assert (status, headers["x-told"], headers["set-cookie"]) == (202, "yes", "a=1")
    assert json.loads(body) == {
        "rawPath": "/a/b",
        "queryStringParameters": {"x": "1,2"},
        "cookies": ["c=1"],
        "body": "hi",
        "method": "PUT",
    }
    assert call(endpoint, url, path="/plain")[::2] == (200, b'["plain"]')
    assert call(endpoint, url, path="/fail")[::2] == (502, b"Internal Server Error")
    identity = urlsplit(url).hostname.split(".")[0]
    assert call(endpoint, endpoint, path="/mayfly/urls/%s/plain" % identity)[::2] == (200, b'["plain"]')


def test_urls_are_configured(client, endpoint, make):
    function = make(program("bootstrap"), Publish=True)
    client.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
    cors = {"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET"], "MaxAge": 5}
    created = client.create_function_url_config(FunctionName=function, AuthType="AWS_IAM", Cors=cors)
    assert (created["Cors"], created["InvokeMode"]) == (cors, "BUFFERED")
    client.create_function_url_config(FunctionName=function, Qualifier="live", AuthType="NONE")
    with pytest.raises(client.exceptions.ResourceConflictException):
        client.create_function_url_config(FunctionName=function, AuthType="NONE")
    got = client.get_function_url_config(FunctionName=function)
    assert got["FunctionUrl"] == created["FunctionUrl"] and got["AuthType"] == "AWS_IAM"
    pages = client.get_paginator("list_function_url_configs").paginate(
        FunctionName=function, PaginationConfig={"PageSize": 1}
    )
    arns = [one["FunctionArn"] for page in pages for one in page["FunctionUrlConfigs"]]
    assert [arn.endswith(":live") for arn in arns] == [False, True]
    assert call(endpoint, created["FunctionUrl"])[0] == 403
    updated = client.update_function_url_config(FunctionName=function, AuthType="NONE", InvokeMode="RESPONSE_STREAM")
    assert (updated["AuthType"], updated["Cors"]) == ("NONE", cors)
    preflight = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    _, headers, _ = call(endpoint, created["FunctionUrl"], "OPTIONS", **preflight)
    assert (headers["access-control-allow-origin"], headers["access-control-max-age"]) == ("https://a.example", "5")
    client.delete_function_url_config(FunctionName=function, Qualifier="live")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_function_url_config(FunctionName=function, Qualifier="live")
