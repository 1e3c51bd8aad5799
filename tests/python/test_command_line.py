"""Lambda's API through AWS's own command line."""

import json
import os
import subprocess
import sys
import uuid

import pytest
from conftest import REGION, ROLE, program


@pytest.fixture
def aws(endpoint, tmp_path):
    """Runs an aws command; what it prints, as JSON where it is some."""

    def aws(*words, fails=False):
        environment = os.environ | {
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_PAGER": "",
            "HOME": str(tmp_path),
        }
        command = [sys.executable, "-m", "awscli", *words]
        ended = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
        assert (ended.returncode != 0) == fails, ended.stderr
        if fails:
            return ended.stderr
        return json.loads(ended.stdout) if ended.stdout.strip() else None

    return aws


def test_a_functions_life(aws, tmp_path):
    name = "f-" + uuid.uuid4().hex
    (tmp_path / "code.zip").write_bytes(program("bootstrap"))
    created = aws(
        "lambda", "create-function", "--function-name", name, "--runtime", "provided.al2023", "--role", ROLE,
        "--handler", "h", "--zip-file", "fileb://code.zip", "--environment", "Variables={KEY=value}",
    )  # fmt: skip
    assert created["Environment"]["Variables"] == {"KEY": "value"}
    aws("lambda", "wait", "function-active-v2", "--function-name", name)
    assert aws("lambda", "get-function", "--function-name", name)["Configuration"]["State"] == "Active"
    listed = aws("lambda", "list-functions", "--query", "Functions[].FunctionName")
    assert name in listed
    answer = aws(
        "lambda", "invoke", "--function-name", name, "--payload", '{"key":"value"}', "--log-type", "Tail",
        "answer.json",
    )  # fmt: skip
    assert answer["StatusCode"] == 200 and answer["LogResult"]
    assert json.loads((tmp_path / "answer.json").read_text()) == {"key": "value"}
    aws("lambda", "delete-function", "--function-name", name)
    complaint = aws("lambda", "get-function", "--function-name", name, fails=True)
    assert "(ResourceNotFoundException)" in complaint and "Function not found" in complaint


def test_a_schedule(aws):
    name = "s-" + uuid.uuid4().hex
    target = {"Arn": "arn:aws:sqs:us-east-1:000000000000:q", "RoleArn": ROLE, "Input": "x"}
    made = aws(
        "scheduler", "create-schedule", "--name", name, "--schedule-expression", "cron(0 8 ? * MON-FRI *)",
        "--schedule-expression-timezone", "America/New_York", "--flexible-time-window", "Mode=OFF",
        "--start-date", "2100-01-01T00:00:00Z", "--target", json.dumps(target),
    )  # fmt: skip
    assert made["ScheduleArn"].endswith(f":schedule/default/{name}")
    shown = aws("scheduler", "get-schedule", "--name", name)
    assert (shown["StartDate"], shown["Target"]["Input"]) == (4102444800.0, "x")
    assert name in aws("scheduler", "list-schedules", "--query", "Schedules[].Name")
    aws("scheduler", "delete-schedule", "--name", name)
    complaint = aws("scheduler", "get-schedule", "--name", name, fails=True)
    assert "(ResourceNotFoundException)" in complaint and f"Schedule {name} does not exist" in complaint


def test_an_account_is_told(aws):
    assert aws("sts", "get-caller-identity")["Account"] == "000000000000"
