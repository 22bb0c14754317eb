# syntax=docker/dockerfile:1
# Two images, which run as an ordinary user on a read-only root (docs/containers.md):
#   docker build --target cpu  -t atelier .
#   docker build --target cuda -t atelier:cuda .     NVIDIA cards; run with --gpus all
# The base image is named by digest, so that every build starts from the same bytes. To take a newer one:
#   docker buildx imagetools inspect python:3.12-slim --format '{{.Manifest.Digest}}'
ARG BASE=python:3.12-slim@sha256:78387bc3881b8273120a12ebe6c1ab22b018ccc2c9adf565ae1ac9b536e184ea

# Libraries before the source: a change of the program leaves these layers, which are most of the image, as they are.
FROM ${BASE} AS libraries
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv /venv
COPY requirements.lock requirements-extras.lock ./
RUN --mount=type=cache,target=/root/.cache/pip \
    /venv/bin/pip install --no-deps --require-hashes -r requirements.lock -r requirements-extras.lock

FROM libraries AS libraries-cpu
# The index of PyTorch has builds for processors, whose hashes the locks do not know.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY constraints.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    /venv/bin/pip install --no-deps --index-url "$TORCH_INDEX" "$(grep '^torch==' constraints.txt)"

FROM libraries AS libraries-cuda
COPY requirements-cuda.lock ./
RUN --mount=type=cache,target=/root/.cache/pip \
    /venv/bin/pip install --no-deps --require-hashes -r requirements-cuda.lock

FROM libraries AS wheels
COPY . .
RUN /venv/bin/pip wheel --no-deps --no-build-isolation --no-cache-dir -w /wheels . ./packages/discord_sandbox

FROM ${BASE} AS runtime
ARG VERSION=unknown REVISION=unknown
LABEL org.opencontainers.image.title="Atelier" \
      org.opencontainers.image.description="A self-hosted Discord bot that paints: one GPU, shared fairly, and every picture can be made again." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN useradd --uid 10001 --user-group --home-dir /data --no-create-home --shell /usr/sbin/nologin atelier \
    && install --directory --owner=atelier --group=atelier --mode=0700 /data
# All that is written lies in /data, caches of libraries and drivers too.
ENV PATH=/venv/bin:$PATH HOME=/data PYTHONUNBUFFERED=1 \
    ATELIER_HOME=/data ATELIER_DATA_DIR=/data \
    XDG_CACHE_HOME=/data/cache HF_HOME=/data/cache/huggingface \
    CUDA_CACHE_PATH=/data/cache/cuda TRITON_CACHE_DIR=/data/cache/triton TORCHINDUCTOR_CACHE_DIR=/data/cache/inductor
WORKDIR /data
VOLUME /data
# It asks as the bot is set up to be asked. A proxy in the environment has no say in it.
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s CMD ["python", "-c", "\
import http.client, os, sys; \
page = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('ATELIER_HEALTH_PORT') or 8790), timeout=4); \
page.request('GET', '/healthz'); \
sys.exit(page.getresponse().status != 200)"]
ENTRYPOINT ["atelier"]
CMD ["serve"]

FROM runtime AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=libraries-cuda /venv /venv
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    pip install --no-deps --no-index --no-cache-dir --compile /wheels/*.whl
USER 10001:10001

# The last one is what `docker build .` makes.
FROM runtime AS cpu
COPY --from=libraries-cpu /venv /venv
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    pip install --no-deps --no-index --no-cache-dir --compile /wheels/*.whl
USER 10001:10001
