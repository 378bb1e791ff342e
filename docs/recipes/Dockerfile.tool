# The image that the other recipes call registry.example.com/tools/oci-pull.
FROM python:3.12-slim
RUN pip install --no-cache-dir oci-pull
USER 65532
ENTRYPOINT ["oci-pull"]
