# magdr on a CPU:
#
#   docker build -t magdr .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" magdr               writes magdr-demo/demo.html
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" magdr bench         writes runs/
#
# On x86-64 the package index has torch with CUDA, which runs on a CPU as well and takes several gigabytes. The address of
# the small builds is what pytorch.org says for "CPU":  docker build --build-arg TORCH_INDEX=ADDRESS -t magdr .

FROM python:3.11-slim AS build
COPY . /source
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /source

FROM python:3.11-slim
ARG TORCH_INDEX=""
RUN pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "torch>=2.6"
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir /wheels/*.whl && rm -r /wheels
# Whoever runs it has no home in here, and libraries want a place for what they keep.
ENV HOME=/tmp
WORKDIR /work
ENTRYPOINT ["magdr"]
CMD ["demo"]
