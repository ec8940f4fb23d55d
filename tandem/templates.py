"""`{model}`, `{port}` and `{listen}` in [image] command and env: what stands there when the app is started."""

import re

TEMPLATE = re.compile(r"\{(?:model|port|listen)\}")


def resolve(text: str, *, model: str, port: int, listen: str) -> str:
    """The text with its three templates replaced; every other brace stays as it is.

    `model` is the path of the model's folder, `port` the number the app is reached by, `listen` what it is
    to bind: `0.0.0.0:PORT` in a container, `fd://N` where it inherits a socket. What is put in is not
    looked at again, so a model's path that holds `{port}` stays a path.
    """
    values = {"{model}": model, "{port}": str(port), "{listen}": listen}
    return TEMPLATE.sub(lambda match: values[match[0]], text)
