# Every room of the service: ingest, preflight, curation, reporter, controller. The command says which.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
COPY pyproject.toml images/requirements.py ./
RUN python requirements.py pyproject.toml analysis cluster > /requirements.txt
RUN python -m venv /build && /build/bin/pip install --no-cache-dir --quiet "hatchling>=1.27" grpcio-tools==1.76.0 mypy-protobuf==5.1.0
COPY hatch_build.py README.md LICENSE CHANGELOG.md ./
COPY protos protos
COPY services services
RUN PATH=/build/bin:$PATH /build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
 && cd /wheels && sha256sum spikefleet-*.whl > /wheel.sha256

FROM ${BASE}
ENV PATH=/opt/spikefleet/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY images/constraints/rooms.txt /constraints.txt
COPY --from=build /requirements.txt /requirements.txt
RUN python -m venv /opt/spikefleet \
 && pip install --no-cache-dir -r /requirements.txt -c /constraints.txt
RUN useradd --uid 10001 --user-group --create-home spikefleet && mkdir /data && chown 10001:10001 /data
COPY images/licences.py /usr/share/spikefleet/licences.py
# Some builders would use the last layer again for another wheel: they do not look into a mount.
COPY --from=build /wheel.sha256 /usr/share/spikefleet/wheel.sha256
# Ours comes last: a new release moves one small layer.
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    cd /wheels && sha256sum --check --quiet /usr/share/spikefleet/wheel.sha256 \
 && pip install --no-cache-dir --no-deps /wheels/spikefleet-*.whl \
 && python /usr/share/spikefleet/licences.py /usr/share/spikefleet/licences.json
USER 10001:10001
EXPOSE 7311 9100
CMD ["python", "-m", "spikefleet.deploy.cluster", "all"]
