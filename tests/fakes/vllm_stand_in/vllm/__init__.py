"""As much of vLLM 0.32 as a plugin meets, with its names, its signatures and its order."""

__version__ = "0.32.0"
