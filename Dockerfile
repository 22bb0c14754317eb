# Built in two stages so that compilers and caches stay behind. Runs as nobody in particular.
#   docker build -t atelier .                               (CPU)
#   docker build -t atelier --build-arg TORCH_INDEX= .      (NVIDIA; run with --gpus all)
FROM python:3.12-slim AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /app
RUN python -m venv /venv
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY . .
RUN /venv/bin/pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url $TORCH_INDEX} -c constraints.txt .

FROM python:3.12-slim
RUN useradd --uid 10001 --create-home atelier && mkdir /data && chown atelier /data
COPY --from=build /venv /venv
WORKDIR /app
COPY --chown=root:root . .
USER atelier
ENV ATELIER_DATA_DIR=/data PYTHONUNBUFFERED=1
VOLUME /data
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
    CMD ["/venv/bin/python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8790/healthz', timeout=4)"]
# Safe with: docker run --read-only --tmpfs /tmp --cap-drop ALL -v atelier:/data --env-file .env atelier
ENTRYPOINT ["/venv/bin/python", "bot.py"]
CMD ["serve"]
