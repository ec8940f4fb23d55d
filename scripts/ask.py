"""Send a picture to an app that Tandem released, and print its answer: ask.py APP ENVIRONMENT PICTURE."""

import base64
import json
import sys
from pathlib import Path

import httpx

from tandem.cli.environment import server
from tandem.settings import Settings, find_root
from tandem.targets import open_target  # the address that its users use, whatever port was free


def main(app: str, environment: str, picture: str) -> None:
    """Find the address, ask, say where to look further."""
    root = find_root()
    address = open_target(Settings.load(app, root), environment).running().address
    body = {"input": [base64.b64encode(Path(picture).read_bytes()).decode()]}
    url = address if address and "://" in address else f"http://{address}"
    result = httpx.post(f"{url}/score", json=body, timeout=10).raise_for_status().json()["result"]
    label, percent = result[0][0][0]
    print(f"{picture} is a {label} ({percent} %), says {url}/score: {json.dumps(result)}\n")
    print(f"the app's page    {url}/")
    if prefect := server(root):
        print(f"Prefect's pages   {prefect.page}/runs")
    print(f"what runs here    tandem status {app}    (in .venv/bin)")
    print("end it all        make stop")


main(*sys.argv[1:])
