"""Function URLs: configured through boto3, called by plain HTTP."""

import http.client
import json
import re
import sys
import urllib.request
from urllib.parse import urlsplit

import pytest
from conftest import client_of, create, program, served, zipped

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
    """A request to where the platform listens: names below localhost need not be known here."""
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc)
    path = urlsplit(url).path.rstrip("/") + path
    connection.request(method, path, body, {"Host": urlsplit(url).netloc} | headers)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def test_a_function_answers_http(client, endpoint, make):
    more = {"Runtime": RUNTIME, "Handler": "app.handler", "MemorySize": 256}
    function = make(zipped({"app.py": CODE}), **more)
    url = client.create_function_url_config(FunctionName=function, AuthType="NONE")["FunctionUrl"]
    assert urlsplit(url).port == urlsplit(endpoint).port
    status, _, body = call(endpoint, url)
    assert (status, body[:22]) == (403, b'{"Message":"Forbidden.')
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


def test_urls_are_configured(client, endpoint, make):
    function = make(program("bootstrap"), Publish=True)
    client.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
    cors = {"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET"], "MaxAge": 5}
    created = client.create_function_url_config(FunctionName=function, AuthType="AWS_IAM", Cors=cors)
    # What was not said is told only to who asks.
    assert created["Cors"] == cors and "InvokeMode" not in created
    client.create_function_url_config(FunctionName=function, Qualifier="live", AuthType="NONE")
    with pytest.raises(client.exceptions.ResourceConflictException):
        client.create_function_url_config(FunctionName=function, AuthType="NONE")
    got = client.get_function_url_config(FunctionName=function)
    assert got["FunctionUrl"] == created["FunctionUrl"]
    assert (got["AuthType"], got["InvokeMode"]) == ("AWS_IAM", "BUFFERED")
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


@pytest.mark.parametrize("form", ["host", "path"])
def test_clients_are_told_one_form_and_may_use_either(tmp_path, form):
    with served(tmp_path, "--function-urls", form) as endpoint:
        client = client_of(endpoint, "lambda")
        function = create(client, program("bootstrap"))["FunctionName"]
        open_to_everybody(client, function)
        url = client.create_function_url_config(FunctionName=function, AuthType="NONE")["FunctionUrl"]
        identity = re.search("[0-9a-f]{32}", url).group()
        port = urlsplit(endpoint).port
        forms = {
            "host": f"http://{identity}.lambda-url.us-east-1.localhost:{port}/",
            "path": f"http://127.0.0.1:{port}/mayfly/urls/{identity}/",
        }
        assert url == forms[form]
        for url in forms.values():
            status, _, body = call(endpoint, url, path="/a?b=c", body="x")
            assert (status, json.loads(body)["rawPath"]) == (200, "/a")


def test_a_url_leads_where_it_says(client, make):
    """Without help: this host's programs are told what they can look up."""
    function = make(program("bootstrap"))
    open_to_everybody(client, function)
    url = client.create_function_url_config(FunctionName=function, AuthType="NONE")["FunctionUrl"]
    with urllib.request.urlopen(url + "there") as answer:
        assert json.load(answer)["rawPath"] == "/there"
