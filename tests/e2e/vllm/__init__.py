"""vLLM itself, on the CPU, with a real model from a real registry: `make e2e-vllm`.

Not among the tests that pytest collects: it installs several GB and starts ten engines.
"""
