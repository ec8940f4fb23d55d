"""`require`: which models may ride by their metrics."""

import pytest

from tandem.errors import SettingsError
from tandem.models import meets, open_store
from tandem.models.require import Requirement, parse
from tandem.records import Facts, Model
from tandem.settings import ModelSettings


def model(**metrics):
    return Model("digits", "v", (), Facts(metrics))


@pytest.mark.parametrize(
    ("line", "passes", "fails"),
    [
        ("accuracy >= 0.95", [0.95, 1], [0.9499, -1]),
        ("accuracy>0.95", [0.96], [0.95]),
        ("accuracy <= 1e-3", [0.001], [0.002]),
        ("accuracy < -.5", [-0.6], [-0.5]),
        ("accuracy == 1", [1.0], [0.99]),
        ("  accuracy  !=  0 ", [1], [0]),
    ],
)
def test_each_comparison(line, passes, fails):
    assert all(meets(model(accuracy=value), [line]) == [] for value in passes)
    assert all(len(meets(model(accuracy=value), [line])) == 1 for value in fails)


def test_a_reason_says_what_is_and_what_must_be():
    assert meets(model(accuracy=0.9, loss=2), ["accuracy >= 0.95", "loss < 1", "loss < 3"]) == [
        "accuracy is 0.9; must be accuracy >= 0.95",
        "loss is 2; must be loss < 1",
    ]


def test_a_metric_that_is_missing_fails_and_says_so():
    [reason] = meets(model(loss=2), ["accuracy != 0.95"])
    assert reason == "no metric 'accuracy' (metrics given: loss); must be accuracy != 0.95"


@pytest.mark.parametrize("metric", ["val.accuracy", "f1-score", "val/acc", "recall@5", "top_5", "A"])
def test_names_of_metrics_as_people_write_them(metric):
    assert parse(f"{metric}>=0.5") == Requirement(metric, ">=", 0.5)


@pytest.mark.parametrize(
    "line", ["", "accuracy", "accuracy >=", ">= 1", "accuracy => 1", "accuracy = 1", "a >= b", "a >= 1 2", "a >= 1.2.3",
             "a >= nan", "a >= 1e999", "a > 1; b > 2"]
)  # fmt: skip
def test_a_line_that_is_no_requirement_is_refused_when_the_store_is_opened(line, tmp_path):
    settings = ModelSettings(store="file://store", name="digits", require=(line,))
    with pytest.raises(SettingsError, match=r'\[model\].require .*: "accuracy >= 0\.95"'):
        open_store(settings, tmp_path)
