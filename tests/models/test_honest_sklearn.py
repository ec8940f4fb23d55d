"""Models as scikit-learn's users make them, with skl2onnx's defaults: all of them ride."""

import numpy
import pytest
from skl2onnx import to_onnx
from sklearn.cluster import KMeans
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeRegressor

ESTIMATORS = [
    LogisticRegression(),
    LinearRegression(),
    make_pipeline(StandardScaler(), PolynomialFeatures(2), LogisticRegression()),
    RandomForestClassifier(30, random_state=0),
    GradientBoostingClassifier(n_estimators=5, random_state=0),
    DecisionTreeRegressor(random_state=0),
    SVC(),
    GaussianNB(),
    KNeighborsClassifier(),
    KMeans(3, n_init=1, random_state=0),
    MLPClassifier((8,), max_iter=5, random_state=0),
    GaussianProcessRegressor(),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def test_a_model_of_scikit_learn_rides(ride, estimator):
    random = numpy.random.default_rng(7)
    x = random.normal(size=(90, 4)).astype(numpy.float32)
    model = to_onnx(estimator.fit(x, numpy.arange(90) % 3), x[:1])
    ride("model.onnx", model.SerializeToString())
    ride("model.onnx", model.SerializeToString(), piece=997)


def test_labels_that_are_texts_ride(ride):
    x = numpy.eye(3, dtype=numpy.float32)
    model = to_onnx(LogisticRegression().fit(x, ["cat", "dog", "größer"]), x[:1])
    ride("model.onnx", model.SerializeToString())
