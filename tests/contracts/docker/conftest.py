from tests.docker_engine import base_image, engine, engine_registry

__all__ = ["base_image", "engine", "engine_registry"]
