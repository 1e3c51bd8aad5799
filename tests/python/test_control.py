"""Lambda's control plane through boto3: what functions are made of, besides their own code."""

import json
import sys
import uuid

import pytest
from botocore.exceptions import ClientError
from conftest import FIXTURES, create, program, zipped

RUNTIME = "python%d.%d" % sys.version_info[:2]


def tell(client, function, what, **more):
    answer = client.invoke(FunctionName=function, Payload=json.dumps(what), **more)
    return answer.get("FunctionError"), json.loads(answer["Payload"].read())


@pytest.fixture
def layer(client):
    """Publishes layers that are deleted after the test; their versions' ARNs."""
    published = []

    def layer(files, **more):
        name = "l-" + uuid.uuid4().hex
        published.append(client.publish_layer_version(LayerName=name, Content={"ZipFile": zipped(files)}, **more))
        return published[-1]["LayerVersionArn"]

    yield layer
    for one in published:
        client.delete_layer_version(LayerName=one["LayerArn"], VersionNumber=one["Version"])


def test_a_layer_is_published_listed_and_deleted(client):
    name = "l-" + uuid.uuid4().hex
    more = {"CompatibleRuntimes": [RUNTIME], "LicenseInfo": "MIT", "Description": "d"}
    first = client.publish_layer_version(LayerName=name, Content={"ZipFile": zipped({"a": b"1"})}, **more)
    second = client.publish_layer_version(LayerName=name, Content={"ZipFile": zipped({"a": b"2"})})
    assert (first["Version"], second["Version"]) == (1, 2)
    assert first["Content"]["CodeSha256"] != second["Content"]["CodeSha256"]
    got = client.get_layer_version(LayerName=name, VersionNumber=1)
    by_arn = client.get_layer_version_by_arn(Arn=first["LayerVersionArn"])
    assert got["CreatedDate"] == by_arn["CreatedDate"] == first["CreatedDate"]
    pages = client.get_paginator("list_layer_versions").paginate(LayerName=name, PaginationConfig={"PageSize": 1})
    assert [one["Version"] for page in pages for one in page["LayerVersions"]] == [2, 1]
    pages = client.get_paginator("list_layers").paginate(CompatibleRuntime=RUNTIME)
    layers = {one["LayerName"]: one for page in pages for one in page["Layers"]}
    assert layers[name]["LatestMatchingVersion"]["Version"] == 1
    for version in (1, 2):
        client.delete_layer_version(LayerName=first["LayerArn"], VersionNumber=version)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_layer_version(LayerName=name, VersionNumber=1)


def test_layers_are_merged_under_opt_in_order(client, layer, make):
    first = layer(
        {
            "python/shared.py": b"NAME = 'first'",
            "python/alone.py": b"NAME = 'alone'",
            "data/both": b"1",
            "data/first": b"1",
            "was-directory/x": b"1",
            "was-file": b"1",
        }
    )
    second = layer(
        {
            "python/shared.py": b"NAME = 'second'",
            "data/both": b"2",
            "data/second": b"2" * 10_000,
            "was-directory": b"2",
            "was-file/x": b"2",
        }
    )
    code = b"""
import os, shared, alone

def handler(event, context):
    found = {}
    for directory, _, files in os.walk("/opt"):
        for name in files:
            path = os.path.join(directory, name)
            if not path.endswith((".py", ".pyc")):
                found[path] = open(path).read()[:1]
    return [shared.NAME, alone.NAME, found]
"""
    more = {"Runtime": RUNTIME, "Handler": "app.handler", "MemorySize": 256}
    function = make(zipped({"app.py": code}), Layers=[first, second], **more)
    error, (shared, alone, found) = tell(client, function, {})
    assert (error, shared, alone) == (None, "second", "alone")
    assert found == {
        "/opt/data/both": "2",
        "/opt/data/first": "1",
        "/opt/data/second": "2",
        "/opt/was-directory": "2",
        "/opt/was-file/x": "2",
    }
    client.update_function_configuration(FunctionName=function, Layers=[second, first])
    assert tell(client, function, {})[1][0] == "first"


def test_a_layer_may_bring_the_runtime(client, layer, make):
    runtime = layer({"bootstrap": (FIXTURES / "function").read_bytes()})
    function = make(zipped({"readme": b"x"}), Layers=[runtime])
    assert [tell(client, function, "count") for _ in (1, 2)] == [(None, 1), (None, 2)]
    client.update_function_configuration(FunctionName=function, Layers=[])
    assert tell(client, function, "count")[1]["errorType"] == "Runtime.InvalidEntrypoint"


def test_a_layer_that_is_not_there_is_refused(client, make):
    arn = "arn:aws:lambda:us-east-1:000000000000:layer:nothing:1"
    with pytest.raises(client.exceptions.InvalidParameterValueException) as error:
        make(program("bootstrap"), Layers=[arn])
    assert "does not exist" in error.value.response["Error"]["Message"]


def test_a_published_version_never_changes(client, make):
    function = make(program("function"), Publish=True)
    assert client.get_function_configuration(FunctionName=function, Qualifier="1")["Version"] == "1"
    again = client.publish_version(FunctionName=function)
    assert again["Version"] == "1", "nothing has changed"
    client.update_function_configuration(FunctionName=function, Environment={"Variables": {"KEY": "new"}})
    second = client.publish_version(FunctionName=function, Description="second", CodeSha256=again["CodeSha256"])
    assert (second["Version"], second["Description"]) == ("2", "second")
    pages = client.get_paginator("list_versions_by_function").paginate(
        FunctionName=function, PaginationConfig={"PageSize": 2}
    )
    listed = [one for page in pages for one in page["Versions"]]
    assert [one["Version"] for one in listed] == ["$LATEST", "1", "2"]
    assert ["Environment" in one for one in listed] == [True, False, True]
    client.get_waiter("published_version_active").wait(FunctionName=function, Qualifier="2")
    client.update_function_code(FunctionName=function, ZipFile=program("bootstrap"))
    for count in (1, 2):
        for version in ("1", "2"):
            assert tell(client, function, "count", Qualifier=version) == (None, count), "each in its own environment"
    answer = client.invoke(FunctionName=function, Qualifier="2", Payload=b'"count"')
    assert answer["ExecutedVersion"] == "2"
    assert client.invoke(FunctionName=function, Payload=b"{}")["ExecutedVersion"] == "$LATEST"
    with pytest.raises(client.exceptions.PreconditionFailedException):
        client.publish_version(FunctionName=function, RevisionId="stale")
    client.delete_function(FunctionName=function, Qualifier="1")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.invoke(FunctionName=function, Qualifier="1")


def test_a_function_in_python_knows_its_version(client, make):
    code = b"""
def handler(event, context):
    return [context.function_version, context.invoked_function_arn, context.log_stream_name]
"""
    more = {"Runtime": RUNTIME, "Handler": "app.handler", "MemorySize": 256, "Publish": True}
    function = make(zipped({"app.py": code}), **more)
    for qualifier in ("1", "$LATEST"):
        error, (version, arn, stream) = tell(client, function, {}, Qualifier=qualifier)
        assert (error, version) == (None, qualifier)
        assert arn.endswith(":function:%s:%s" % (function, qualifier))
        assert "/[%s]" % qualifier in stream


def test_an_alias_shares_its_invocations_by_weight(client, make):
    function = make(program("function"), Publish=True)
    client.update_function_configuration(FunctionName=function, Timeout=20)
    client.publish_version(FunctionName=function)
    weights = {"AdditionalVersionWeights": {"2": 0.5}}
    created = client.create_alias(FunctionName=function, Name="live", FunctionVersion="1", RoutingConfig=weights)
    assert created["RoutingConfig"] == weights
    runs = [client.invoke(FunctionName=function, Qualifier="live", Payload=b'"count"') for _ in range(60)]
    versions = [run["ExecutedVersion"] for run in runs]
    counts = [json.loads(run["Payload"].read()) for run in runs]
    # Each version counts its own: no environment serves both.
    for version in ("1", "2"):
        own = [count for count, one in zip(counts, versions) if one == version]
        assert own == list(range(1, len(own) + 1)) and own
    client.update_alias(FunctionName=function, Name="live", FunctionVersion="2", RoutingConfig={})
    assert client.invoke(FunctionName=function + ":live", Payload=b'"count"')["ExecutedVersion"] == "2"
    assert client.get_alias(FunctionName=function, Name="live")["FunctionVersion"] == "2"
    with pytest.raises(client.exceptions.ResourceConflictException):
        client.create_alias(FunctionName=function, Name="live", FunctionVersion="1")
    with pytest.raises(client.exceptions.ResourceConflictException):
        client.delete_function(FunctionName=function, Qualifier="2")
    assert [one["Name"] for one in client.list_aliases(FunctionName=function)["Aliases"]] == ["live"]
    client.delete_alias(FunctionName=function, Name="live")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_alias(FunctionName=function, Name="live")


def test_reserved_concurrency_throttles(client, obedient):
    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(FunctionName=obedient)
    client.put_function_concurrency(FunctionName=obedient, ReservedConcurrentExecutions=0)
    with pytest.raises(client.exceptions.TooManyRequestsException) as error:
        client.invoke(FunctionName=obedient, Payload=b'"count"')
    assert error.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert int(error.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"]) > 0
    left = client.get_account_settings()["AccountLimit"]
    client.put_function_concurrency(FunctionName=obedient, ReservedConcurrentExecutions=1)
    assert client.get_function(FunctionName=obedient)["Concurrency"] == {"ReservedConcurrentExecutions": 1}
    now = client.get_account_settings()["AccountLimit"]
    assert now["UnreservedConcurrentExecutions"] == left["UnreservedConcurrentExecutions"] - 1
    assert [tell(client, obedient, "count") for _ in (1, 2)] == [(None, 1), (None, 2)]
    client.delete_function_concurrency(FunctionName=obedient)
    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(FunctionName=obedient)


def test_a_list_tells_no_state(client, make):
    function = make(zipped({"a": b"x"}), TracingConfig={"Mode": "Active"})
    told = client.get_function_configuration(FunctionName=function)
    runtime = told.pop("RuntimeVersionConfig")["RuntimeVersionArn"]
    assert runtime.startswith("arn:aws:lambda:us-east-1::runtime:")
    assert (told.pop("State"), told.pop("LastUpdateStatus")) == ("Active", "Successful")
    assert told["TracingConfig"] == {"Mode": "Active"}
    del told["ResponseMetadata"]
    pages = client.get_paginator("list_functions").paginate()
    listed = {one["FunctionName"]: one for page in pages for one in page["Functions"]}
    assert listed[function] == told
    versions = client.list_versions_by_function(FunctionName=function)["Versions"]
    assert versions == [told | {"FunctionArn": told["FunctionArn"] + ":$LATEST"}]


def test_publishing_at_once_tells_the_version(client):
    created = create(client, zipped({"a": b"x"}), Publish=True)
    function = created["FunctionName"]
    # As on AWS, creation alone calls the version by the function's ARN.
    assert (created["FunctionArn"].split(":")[6:], created["Version"]) == ([function], "1")
    code = zipped({"a": b"y"})
    updated = client.update_function_code(FunctionName=function, ZipFile=code, Publish=True)
    assert (updated["FunctionArn"].split(":")[6:], updated["Version"]) == ([function, "2"], "2")
    client.delete_function(FunctionName=function)


def test_a_description_that_was_updated_is_published(client, make):
    function = make(zipped({"a": b"x"}), Description="one")
    first = client.publish_version(FunctionName=function, Description="of the version")
    assert (first["Version"], first["Description"]) == ("1", "of the version")
    assert client.publish_version(FunctionName=function)["Version"] == "1", "nothing has changed"
    client.update_function_configuration(FunctionName=function, Description="two")
    second = client.publish_version(FunctionName=function)
    assert (second["Version"], second["Description"]) == ("2", "two")


def refusal(call, **request):
    """What a call that is refused says: its error's type and message."""
    with pytest.raises(ClientError) as error:
        call(**request)
    told = error.value.response["Error"]
    return told["Code"], told["Message"]


def test_what_is_missing_is_named(client, make):
    function = make(zipped({"a": b"x"}))
    arn = client.get_function(FunctionName=function)["Configuration"]["FunctionArn"]
    missing = "ResourceNotFoundException"
    alias = {"FunctionName": function, "Name": "gone"}
    assert refusal(client.get_alias, **alias) == (missing, f"Cannot find alias arn: {arn}:gone")
    assert refusal(client.update_alias, **alias) == (missing, f"Alias not found: {arn}:gone")
    qualified = {"FunctionName": function, "Qualifier": "gone"}
    get = client.get_provisioned_concurrency_config
    assert refusal(get, **qualified) == (missing, f"Cannot find alias arn: {arn}:gone")
    permission = {"StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
    refused = refusal(client.add_permission, **qualified, **permission)
    assert refused == (missing, f"Cannot find alias arn: {arn}:gone")
    get = client.get_function_event_invoke_config
    message = "The function %s:$LATEST doesn't have an EventInvokeConfig"
    assert refusal(get, FunctionName=function) == (missing, message % arn)
    assert refusal(get, FunctionName="nothing") == (missing, message % arn.replace(function, "nothing"))
    create_url = client.create_function_url_config
    assert refusal(create_url, FunctionName="nothing", AuthType="NONE") == (missing, "Function does not exist")
    get = client.get_function_url_config
    assert refusal(get, FunctionName="nothing") == (missing, "The resource you requested does not exist.")
    policy = {"LayerName": "nothing", "VersionNumber": 1}
    layer = "arn:aws:lambda:us-east-1:000000000000:layer:nothing:1"
    refused = refusal(client.get_layer_version_policy, **policy)
    assert refused == (missing, f"Layer version {layer} does not exist.")


def test_a_qualifier_that_cannot_be_is_refused(client, make):
    function = make(zipped({"a": b"x"}), Publish=True)
    invalid = "InvalidParameterValueException"
    latest = {"FunctionName": function, "Qualifier": "$LATEST"}
    code, message = refusal(client.put_provisioned_concurrency_config, **latest, ProvisionedConcurrentExecutions=1)
    assert (code, message.split()[-3:]) == (invalid, ["unpublished", "function", "versions."])
    code, message = refusal(client.get_provisioned_concurrency_config, **latest)
    assert (code, message) == (invalid, "The function resource provided must be an alias or a published version.")
    put = client.put_function_concurrency
    code, message = refusal(put, FunctionName=function + ":1", ReservedConcurrentExecutions=1)
    assert code == invalid and message.startswith("This operation is permitted on Lambda functions only.")
    code, message = refusal(client.get_function_url_config, FunctionName="nothing", Qualifier="1")
    assert code == "ValidationException" and message.startswith("1 validation error detected: Value '1' at 'qualifier'")
    weights = {"AdditionalVersionWeights": {"1": 1.5}}
    alias = {"FunctionName": function, "Name": "live", "FunctionVersion": "1"}
    code, message = refusal(client.create_alias, **alias, RoutingConfig=weights)
    assert code == "ValidationException" and "Value '{1=1.5}' at 'routingConfig.additionalVersionWeights'" in message


def test_no_function_has_a_code_signing_config(client, empty):
    told = client.get_function_code_signing_config(FunctionName=empty)
    assert "CodeSigningConfigArn" not in told
    client.delete_function_code_signing_config(FunctionName=empty)
    arn = "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-0123456789abcdef0"
    with pytest.raises(client.exceptions.CodeSigningConfigNotFoundException):
        client.put_function_code_signing_config(FunctionName=empty, CodeSigningConfigArn=arn)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_function_code_signing_config(FunctionName="nothing")


def test_functions_have_tags(client, make):
    function = make(zipped({"a": b"x"}), Tags={"team": "one"})
    arn = client.get_function(FunctionName=function)["Configuration"]["FunctionArn"]
    client.tag_resource(Resource=arn, Tags={"stage": "test", "b c": "é"})
    assert client.list_tags(Resource=arn)["Tags"] == {"team": "one", "stage": "test", "b c": "é"}
    client.untag_resource(Resource=arn, TagKeys=["team", "b c"])
    assert client.get_function(FunctionName=function)["Tags"] == {"stage": "test"}
    with pytest.raises(client.exceptions.InvalidParameterValueException):
        client.tag_resource(Resource=arn + ":1", Tags={"a": "b"})
