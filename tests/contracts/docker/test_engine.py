import docker

from tests.docker_engine import BaseImage


def test_the_base_image_is_pulled_by_digest_and_runs(engine: str, base_image: BaseImage) -> None:
    client = docker.DockerClient(engine)
    client.images.pull(base_image.name)
    said = client.containers.run(
        base_image.name, ["python3", "-c", "import venv, sys; print(sys.version)"], remove=True
    )
    assert said.startswith(b"3.11.")
    client.close()
