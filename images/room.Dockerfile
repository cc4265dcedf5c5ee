# One image recipe for every room; EXTRA decides what is installed (see values.yaml of the chart).
# Two stages: the wheel is built once, the image holds no compiler and no source tree.
FROM python:3.11-slim-bookworm AS wheel
WORKDIR /src
COPY pyproject.toml hatch_build.py README.md LICENSE CHANGELOG.md ./
COPY protos protos
COPY services services
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim-bookworm
ARG EXTRA=analysis
ARG CONSTRAINTS=room
COPY images/constraints/${CONSTRAINTS}.txt /constraints.txt
COPY --from=wheel /wheels /wheels
RUN wheel=$(ls /wheels/spikefleet-*.whl) \
 && pip install --no-cache-dir "${wheel}[${EXTRA}]" -c /constraints.txt \
 && rm -rf /wheels /constraints.txt
RUN useradd --uid 10001 --create-home spikefleet && mkdir /data && chown spikefleet /data
USER 10001
ENV PYTHONUNBUFFERED=1 NUMBA_CACHE_DIR=/tmp/numba
# Runs every room in one process group today; a room of its own gets its entry point with the cluster.
ENTRYPOINT ["spikefleet"]
CMD ["serve"]
