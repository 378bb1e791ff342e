"""Ray Serve: every replica pulls, every node downloads once, the engine gets a path.

    OCI_MODEL=REF serve run examples.ray_serve_app:app

With `ray.serve.llm` the same path is the `model_source`:

    LLMConfig(model_loading_config={"model_id": "smollm2", "model_source": str(pull(REF).path)})
"""

import json
import os

from ray import serve

from oci_pull import pull


class Model:
    """A stand-in for an engine: it answers with what it was told to load."""

    def __init__(self, reference: str) -> None:
        """Load the model; a failure is raised, and Serve starts the replica again."""
        self.path = pull(reference).path
        self.config = json.loads((self.path / "config.json").read_text())

    async def __call__(self, _: object) -> dict[str, str]:
        """Answer a request."""
        return {"path": str(self.path), "model_type": self.config["model_type"]}


app = serve.deployment(Model).bind(os.environ["OCI_MODEL"])
