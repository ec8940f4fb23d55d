"""docs/commands.md is what the command says of itself."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_of_commands_is_current():
    made = subprocess.run(
        [sys.executable, "scripts/commands_md.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert (ROOT / "docs/commands.md").read_text() == made.stdout, "run 'make docs'"


def test_prefect_yaml_of_this_repository_holds_what_its_app_folders_ask_for():
    from tandem.cli.deployments import differences
    from tandem.settings import Settings, apps

    assert differences(ROOT / "prefect.yaml", [Settings.load(app, ROOT) for app in apps(ROOT)]) == []
