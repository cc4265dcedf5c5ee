# The Kilosort 4 runner: torch has a layer of its own, everything else is pinned by the constraints.
# Its torch must be the version named in the Makefile; a test holds the two together.
FROM python:3.11-slim-bookworm AS wheel
WORKDIR /src
COPY pyproject.toml hatch_build.py README.md LICENSE CHANGELOG.md ./
COPY protos protos
COPY services services
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim-bookworm
ARG EXTRA=kilosort4
ARG TORCH=torch==2.13.0
# A layer of its own: it is by far the largest and changes least.
RUN pip install --no-cache-dir "${TORCH}"
COPY images/constraints/kilosort4.txt /constraints.txt
COPY --from=wheel /wheels /wheels
RUN wheel=$(ls /wheels/spikefleet-*.whl) \
 && pip install --no-cache-dir "${wheel}[${EXTRA}]" -c /constraints.txt \
 && rm -rf /wheels /constraints.txt
RUN useradd --uid 10001 --create-home spikefleet
USER 10001
ENV PYTHONUNBUFFERED=1 NUMBA_CACHE_DIR=/tmp/numba
# The attempt's folder is the argument; it holds the spec and receives the outcome.
ENTRYPOINT ["python", "-m", "spikefleet.deploy.attempt"]
