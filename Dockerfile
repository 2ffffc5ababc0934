# The program for the CPU. Written for Docker 24 and newer; linted, and not yet built anywhere.
#
#   docker build --tag adamole .
#   docker run --rm --volume "$PWD:/data" adamole devices

FROM rust:1.95-slim-bookworm AS build
WORKDIR /source
# The C compiler of the image is all that the build needs.
COPY . .
RUN cargo build --release --locked --package adamole --bin adamole

FROM debian:bookworm-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /source/target/release/adamole /usr/local/bin/adamole
RUN useradd --create-home --uid 1001 adamole
USER 1001
WORKDIR /data
# Models from the hub: mount a volume here to keep them.
ENV HF_HOME=/home/adamole/huggingface
# To serve: docker run --publish 8000:8000 adamole serve --host 0.0.0.0 --api-key KEY --model MODEL
EXPOSE 8000
ENTRYPOINT ["adamole"]
