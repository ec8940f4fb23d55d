# The app's image without its model, for `docker build .`, and for builder = "docker" in app.toml.
#
# The model is no part of it: its layers go on top in the registry, or `docker run -v $PWD/digits:/model:ro …`.
# Where containers reach no package index, put the wheels into wheelhouse/ and build with
# --build-arg PIP_OPTIONS=--no-index; another base with Python 3.11 as python3: --build-arg BASE=….

ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS packages
ARG PIP_OPTIONS=""
# pip lives in an environment of its own, so that the one that serves has none.
RUN python3 -m venv /pip && python3 -m venv --without-pip /venv
COPY app/requirements.txt wheelhouse* /wheelhouse/
RUN /pip/bin/pip --python /venv/bin/python install ${PIP_OPTIONS} --find-links /wheelhouse --no-cache-dir \
        --no-compile --only-binary :all: --require-hashes -r /wheelhouse/requirements.txt
# By content and not by date: layers may be given other dates on their way.
COPY app /app/app
RUN /venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /venv/lib /app

FROM ${BASE}
LABEL org.opencontainers.image.title="digits" org.opencontainers.image.licenses="MIT"
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1 \
    MODEL_DIR=/model
COPY --from=packages /venv /venv
COPY --from=packages /app /app
WORKDIR /app
# A number, as Kubernetes' runAsNonRoot asks for. It owns nothing here: the root may be read-only.
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
CMD ["gunicorn", "--config", "app/gunicorn.conf.py", "--bind", "0.0.0.0:8000", "app:create_app()"]
