"""STS through boto3: the one call by which clients learn their account."""

import pytest
from botocore.exceptions import ClientError


def test_clients_learn_their_account(connect):
    told = connect("sts").get_caller_identity()
    assert (told["Account"], told["UserId"]) == ("000000000000",) * 2
    assert told["Arn"] == "arn:aws:iam::000000000000:root"


def test_other_calls_are_refused_as_the_service_would(connect):
    with pytest.raises(ClientError) as error:
        connect("sts").get_session_token()
    assert error.value.response["Error"]["Code"] == "InvalidAction"
    assert "GetSessionToken" in str(error.value)
