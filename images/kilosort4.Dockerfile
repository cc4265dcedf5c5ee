# Kilosort 4. torch carries CUDA, so the base needs none; the driver comes with the node. TORCH_INDEX may name an index
# of builds for another CUDA, or without it to try the image on a machine that has none.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
COPY pyproject.toml images/requirements.py ./
RUN python requirements.py pyproject.toml kilosort4 s3 > /requirements.txt
RUN python -m venv /build && /build/bin/pip install --no-cache-dir --quiet "hatchling>=1.27" grpcio-tools==1.76.0 mypy-protobuf==5.1.0
COPY hatch_build.py README.md LICENSE CHANGELOG.md ./
COPY protos protos
COPY services services
RUN PATH=/build/bin:$PATH /build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
 && cd /wheels && sha256sum spikefleet-*.whl > /wheel.sha256

FROM ${BASE}
ENV PATH=/opt/spikefleet/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# For the container runtime of GPU nodes: compute, and the tool that reads temperature and memory.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
ARG TORCH=torch==2.13.0
ARG TORCH_INDEX=
# A layer of its own: it is by far the largest and changes least.
RUN python -m venv /opt/spikefleet \
 && pip install --no-cache-dir ${TORCH_INDEX:+--index-url ${TORCH_INDEX}} "${TORCH}"
COPY images/constraints/kilosort4.txt /constraints.txt
COPY --from=build /requirements.txt /requirements.txt
RUN pip install --no-cache-dir -r /requirements.txt -c /constraints.txt
RUN useradd --uid 10001 --user-group --create-home spikefleet
# Kilosort fetches its templates when it first needs them; a pod may have no way out and no place to keep them. A builder
# that has no way out either takes the copy that the package carries: KILOSORT_TEMPLATES=package.
ENV KILOSORT_LOCAL_DOWNLOADS_PATH=/usr/share/kilosort
ARG KILOSORT_TEMPLATES=download
RUN mkdir -p /usr/share/kilosort \
 && if [ "${KILOSORT_TEMPLATES}" = package ]; then cp /opt/spikefleet/lib/python3.*/site-packages/kilosort/wTEMP.npz /usr/share/kilosort/; fi \
 && HOME=/tmp python -c "from kilosort.utils import template_path; template_path()" \
 && chmod -R a+rX /usr/share/kilosort && rm -rf /tmp/.kilosort
COPY images/licences.py /usr/share/spikefleet/licences.py
# Some builders would use the last layer again for another wheel: they do not look into a mount.
COPY --from=build /wheel.sha256 /usr/share/spikefleet/wheel.sha256
# Ours comes last: a new release moves one small layer.
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    cd /wheels && sha256sum --check --quiet /usr/share/spikefleet/wheel.sha256 \
 && pip install --no-cache-dir --no-deps /wheels/spikefleet-*.whl \
 && python /usr/share/spikefleet/licences.py /usr/share/spikefleet/licences.json
USER 10001:10001
CMD ["python", "-m", "spikefleet.deploy.pod"]
