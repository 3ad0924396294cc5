# syntax=docker/dockerfile:1
#
# docker buildx build --platform linux/amd64,linux/arm64 --tag REGISTRY/tripline .
#
# `make image` writes the same image as an archive, without a container engine.

# The compiler runs on the machine's own architecture and compiles for the wanted one.
FROM --platform=$BUILDPLATFORM docker.io/library/rust:1.95-bookworm AS compile
ARG TARGETARCH
WORKDIR /src
COPY . .
# The script installs the C compiler that the architecture takes.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    image/compile.sh "$TARGETARCH" /out/tripline

FROM scratch
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="tripline" \
      org.opencontainers.image.description="Detection rules over the Kubernetes audit log" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=compile /out/tripline /tripline
# Nobody in particular. The chart's reader runs as the log's owner instead, with every capability dropped.
USER 65532:65532
ENTRYPOINT ["/tripline"]
CMD ["run"]
