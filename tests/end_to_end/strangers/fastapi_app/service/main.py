"""Says how likely rain is: a FastAPI app that is run as `uvicorn service.main:app`."""

import json
import os
from pathlib import Path

from fastapi import FastAPI, HTTPException

MODEL_DIR = Path(os.getenv("MODEL_DIR", "models"))

app = FastAPI()


@app.get("/healthz")
def healthz() -> dict:
    return {"status": "ok"}


@app.get("/rain/{city}")
def rain(city: str) -> dict:
    chances = json.loads((MODEL_DIR / "chances.json").read_text())
    if city not in chances:
        raise HTTPException(404, f"no forecast for {city}")
    return {"city": city, "chance": chances[city], "release": "first"}
