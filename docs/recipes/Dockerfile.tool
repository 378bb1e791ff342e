# syntax=docker/dockerfile:1
# The image that the other recipes call registry.example.com/tools/oci-pull. It runs as any user, on a
# read-only root file system, without a HOME.
#
# It is a place to copy from as well, into an image that has the same Python, as that of vLLM does:
#
#   COPY --from=registry.example.com/tools/oci-pull:1 /opt/oci-pull /opt/oci-pull
#   COPY --from=registry.example.com/tools/oci-pull:1 /usr/local/bin/oci-pull /usr/local/bin/oci-pull
#
# What it needs is in that directory, where no other program sees it. It is no single file: parts of
# what it needs are compiled, and Python cannot load those from a zip archive.
FROM python:3.12-slim
RUN pip install --no-cache-dir --target /opt/oci-pull oci-pull \
    && printf '%s\n' '#!/bin/sh' \
    'exec python3 -I -c "import sys; sys.path.insert(0, \"/opt/oci-pull\"); from oci_pull.__main__ import main; main()" "$@"' \
    > /usr/local/bin/oci-pull \
    && chmod 755 /usr/local/bin/oci-pull
USER 65532
ENTRYPOINT ["oci-pull"]
