"""Policies of functions and layers through boto3."""

import json

import pytest
from conftest import program, zipped

ALLOW = {"StatementId": "s3", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}


def test_a_function_has_a_policy(client, make):
    function = make(program("bootstrap"), Publish=True)
    client.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
    for qualifier in ({}, {"Qualifier": "1"}, {"Qualifier": "live"}):
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.get_policy(FunctionName=function, **qualifier)
        added = client.add_permission(FunctionName=function, SourceAccount="000000000001", **ALLOW, **qualifier)
        got = client.get_policy(FunctionName=function, **qualifier)
        assert json.loads(got["Policy"])["Statement"] == [json.loads(added["Statement"])]
        with pytest.raises(client.exceptions.ResourceConflictException):
            client.add_permission(FunctionName=function, **ALLOW, **qualifier)
        with pytest.raises(client.exceptions.PreconditionFailedException):
            client.remove_permission(FunctionName=function, StatementId="s3", RevisionId="stale", **qualifier)
        client.remove_permission(FunctionName=function, StatementId="s3", RevisionId=got["RevisionId"], **qualifier)
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.remove_permission(FunctionName=function, StatementId="s3", **qualifier)
    with pytest.raises(client.exceptions.PolicyLengthExceededException):
        for count in range(100):
            allow = ALLOW | {"StatementId": "s%d" % count, "SourceArn": "arn:aws:s3:::" + "b" * 5000}
            client.add_permission(FunctionName=function, **allow)
    assert client.invoke(FunctionName=function, Payload=b"1")["Payload"].read() == b"1"


def test_a_layers_version_has_a_policy(client):
    published = client.publish_layer_version(LayerName="permitted", Content={"ZipFile": zipped({"a": b"1"})})
    layer = {"LayerName": "permitted", "VersionNumber": published["Version"]}
    allow = {"Action": "lambda:GetLayerVersion", "Principal": "*", "OrganizationId": "o-0123456789"}
    added = client.add_layer_version_permission(StatementId="all", **allow, **layer)
    got = client.get_layer_version_policy(**layer)
    assert got["RevisionId"] == added["RevisionId"]
    assert json.loads(got["Policy"])["Statement"][0]["Condition"] == {
        "StringEquals": {"aws:PrincipalOrgID": "o-0123456789"}
    }
    with pytest.raises(client.exceptions.PreconditionFailedException):
        client.remove_layer_version_permission(StatementId="all", RevisionId="stale", **layer)
    client.remove_layer_version_permission(StatementId="all", **layer)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_layer_version_policy(**layer)
    client.delete_layer_version(**layer)
