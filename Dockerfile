# Built in two stages so that compilers and caches stay behind. Runs as an ordinary user.
#   docker build -t atelier .                               (CPU)
#   docker build -t atelier --build-arg TORCH_INDEX= .      (NVIDIA; run with --gpus all)
# The base image is named by digest, so that every build starts from the same bytes. To take a newer one:
#   docker buildx imagetools inspect python:3.12-slim --format '{{.Manifest.Digest}}'
FROM python:3.12-slim@sha256:78387bc3881b8273120a12ebe6c1ab22b018ccc2c9adf565ae1ac9b536e184ea AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /app
RUN python -m venv /venv
COPY requirements.lock ./
RUN /venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock
COPY . .
RUN /venv/bin/pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url $TORCH_INDEX} --no-build-isolation -c constraints.txt ./packages/discord_sandbox '.[sandbox]'

FROM python:3.12-slim@sha256:78387bc3881b8273120a12ebe6c1ab22b018ccc2c9adf565ae1ac9b536e184ea
RUN useradd --uid 10001 --create-home atelier && mkdir /data && chown atelier /data
COPY --from=build /venv /venv
WORKDIR /app
# `docker compose exec atelier /venv/bin/python bot.py ...` still works; the rest of the program is in /venv.
COPY --chown=root:root bot.py ./
USER atelier
ENV PATH=/venv/bin:$PATH ATELIER_HOME=/data ATELIER_DATA_DIR=/data PYTHONUNBUFFERED=1
VOLUME /data
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
    CMD ["/venv/bin/python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8790/healthz', timeout=4)"]
# Safe with: docker run --read-only --tmpfs /tmp --cap-drop ALL -v atelier:/data --env-file .env atelier
ENTRYPOINT ["/venv/bin/atelier"]
CMD ["serve"]
