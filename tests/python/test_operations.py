"""Every operation of AWS's models: of Lambda, those that are built, and a proper error for all others; of EventBridge
Scheduler, all."""

import http.client
import re
import urllib.parse

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.session import Session

MODEL = Session().get_service_model("lambda")
# What is here. Whatever else the model has may come, or is told to be unknown.
BUILT = set(
    """
    AddLayerVersionPermission AddPermission CreateAlias CreateEventSourceMapping CreateFunction
    CreateFunctionUrlConfig DeleteAlias DeleteEventSourceMapping DeleteFunction DeleteFunctionConcurrency
    DeleteFunctionEventInvokeConfig DeleteFunctionUrlConfig DeleteLayerVersion DeleteProvisionedConcurrencyConfig
    GetAccountSettings GetAlias GetEventSourceMapping GetFunction GetFunctionConcurrency GetFunctionConfiguration
    GetFunctionEventInvokeConfig GetFunctionRecursionConfig GetFunctionUrlConfig GetLayerVersion GetLayerVersionByArn
    GetLayerVersionPolicy GetPolicy GetProvisionedConcurrencyConfig GetRuntimeManagementConfig Invoke
    InvokeAsync InvokeWithResponseStream ListAliases ListEventSourceMappings ListFunctionEventInvokeConfigs ListFunctionUrlConfigs
    ListFunctions ListLayerVersions ListLayers ListProvisionedConcurrencyConfigs ListTags ListVersionsByFunction
    PublishLayerVersion PublishVersion PutFunctionConcurrency PutFunctionEventInvokeConfig PutFunctionRecursionConfig
    PutProvisionedConcurrencyConfig PutRuntimeManagementConfig RemoveLayerVersionPermission RemovePermission
    TagResource UntagResource UpdateAlias UpdateEventSourceMapping UpdateFunctionCode UpdateFunctionConfiguration
    UpdateFunctionEventInvokeConfig UpdateFunctionUrlConfig
    """.split()
)
# These need nothing that is there.
WITHOUT = set(
    "DeleteLayerVersion GetAccountSettings ListEventSourceMappings ListFunctions ListLayerVersions ListLayers".split()
)


def values(shape):
    """Something for each member that goes into the path: what is nowhere."""
    for name, member in shape.members.items():
        if member.serialization.get("location") == "uri":
            yield name, 1 if member.type_name in ("integer", "long") else "nowhere"


@pytest.mark.parametrize("name", MODEL.operation_names)
def test_an_operation_is_there_or_refused_properly(client, name):
    operation = MODEL.operation_model(name)
    values_of_path = dict(values(operation.input_shape)) if operation.input_shape else {}
    call = getattr(client, xform_name(name))
    if name in WITHOUT:
        assert call(**values_of_path)["ResponseMetadata"]["HTTPStatusCode"] < 300
        return
    with pytest.raises(ClientError) as error:
        call(**values_of_path)
    answer = error.value.response
    code, status = answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]
    assert re.fullmatch("[A-Za-z]+Exception", code) and answer["Error"]["Message"], answer
    assert 400 <= status < 500
    if name in BUILT:
        assert code != "UnknownOperationException"
        # Refused as the model says, since the body is none, or for a value that the model does not allow.
        known = {shape.name for shape in operation.error_shapes}
        known |= {"InvalidRequestContentException", "ValidationException"}
        assert code in known, answer
    elif code == "UnknownOperationException":
        # A path of two parts that is POSTed to may be a queue's URL: then it is SQS that does not know the call.
        assert status in (400, 404)


def test_the_list_is_of_the_model():
    assert BUILT <= set(MODEL.operation_names)


SCHEDULER = Session().get_service_model("scheduler")


@pytest.mark.parametrize("name", SCHEDULER.operation_names)
def test_an_operation_of_the_scheduler_is_there(connect, name):
    operation = SCHEDULER.operation_model(name)
    call = getattr(connect("scheduler"), xform_name(name))
    if name in ("ListSchedules", "ListScheduleGroups"):
        assert call()["ResponseMetadata"]["HTTPStatusCode"] == 200
        return
    if name == "CreateScheduleGroup":
        # It needs nothing but a name.
        values_of_path = {"Name": "no/name"}
    else:
        values_of_path = dict(values(operation.input_shape))
    with pytest.raises(ClientError) as error:
        call(**values_of_path)
    code = error.value.response["Error"]["Code"]
    assert code in {shape.name for shape in operation.error_shapes}, error.value.response


def test_a_connection_goes_on_after_what_is_not_there(endpoint):
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(endpoint).netloc)
    for _ in range(100):
        connection.request("POST", "/2099-01-01/none/here", b"{}")
        answer = connection.getresponse()
        assert (answer.status, answer.read()[:1]) == (404, b"{")
