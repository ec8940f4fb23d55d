"""Swaps of gunicorn under load, by clients that never retry. benchmarks/swap.py is the long form."""

import importlib.util
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from tandem.settings import Request, VerifySettings
from tandem.targets.process import ProcessTarget


@pytest.fixture(scope="module")
def swap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("swap", Path(__file__).parents[2] / "benchmarks" / "swap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["swap"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("kind", "swaps"), [("{listen}", 3), ("{port}", 1)])
def test_swaps_under_load_cost_no_request(
    swap: ModuleType, tmp_path: Path, free_port: int, kind: str, swaps: int
) -> None:
    verify = VerifySettings(ready="/", time_limit=20.0, request=(Request(path="/", contains="v"),))
    target = ProcessTarget("swap", "local", tmp_path / "home", f"127.0.0.1:{free_port}", verify)
    over = threading.Event()
    loads = [swap.Load(free_port, keep, 0.01, over) for keep in (True, True, False, False)]
    try:
        for number in range(swaps + 1):
            image = swap.make_image(tmp_path, f"v{number}", swap.COMMANDS[kind])
            list(target.roll_out(image, target.state()))
            if number == 0:
                for load in loads:
                    load.start()
        over.set()
        for load in loads:
            load.join(40)
        assert [dict(load.failures) for load in loads] == [{}] * 4
        assert all(load.sent > 20 for load in loads)
        assert all(load.seen == sorted(set(load.seen)) for load in loads)
        assert loads[-1].seen[0] == "v0"
        assert loads[-1].seen[-1] == f"v{swaps}"
    finally:
        over.set()
        target.stop()
