"""Requests that schemathesis makes from the platform's own OpenAPI documents: never a 500, answers as documented."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.running import platform_process

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
CONTAINER = {"contract": "tests.contract.container:container"}
# With names that exist, requests get further than to a 404.
EXISTING = '\n[parameters]\naction = "Say"\nstream = "Count"\nagentId = "tester"\n'


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("document", "parameters"),
    [
        pytest.param("/v3/api-docs", "", id="any names"),
        pytest.param("/v3/api-docs", EXISTING, id="existing names"),
        pytest.param("/v3/api-docs/actions", "", id="every action"),
    ],
)
def test_the_platform_answers_as_its_document_says(
    document: str,
    parameters: str,
    real_part: Callable[[str], Path],
    at_size: Callable[[int, int], int],
    tmp_path: Path,
    seed: int,
) -> None:
    schemathesis = real_part("schemathesis").with_name("schemathesis")
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(CONFIGURATION.read_text() + parameters)
    with platform_process(tmp_path, CONTAINER) as process:
        options = f"--seed {seed} --max-examples {at_size(6, 300)} --generation-database none"
        appearance = "--phases examples,coverage,fuzzing --no-color --warnings off"
        url = f"{process.base_url}{document}"
        done = subprocess.run(
            [schemathesis, "--config-file", configuration, "run", url, *options.split(), *appearance.split()],
            cwd=tmp_path,
            env={**process.environment, "PYTHONPATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        # It may have deleted the container: IDs that it sees in answers become part of its requests.
        assert process.ask("GET", "/info").status == 200
