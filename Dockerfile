# Three images: `slacktide` (both agents and all commands), `front` (the same with nats-server: the front-end machine) and `exchange`
# (nats-server alone, one of a cluster).
#   docker build --target slacktide --tag slacktide .
# compose.yml builds and uses the first two; with compose.cluster.yml the first and the last.

# Where the base images are, if not at Docker Hub, such as a mirror of yours: --build-arg REGISTRY=mirror.example/
ARG REGISTRY=

FROM ${REGISTRY}rust:1.95-slim-trixie AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --package slacktide --bin slacktide \
    && cp target/release/slacktide /usr/local/bin/slacktide

FROM ${REGISTRY}debian:13.2-slim AS slacktide
# For signals that query other systems over HTTPS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /usr/local/bin/slacktide /usr/local/bin/slacktide
# An unprivileged user; compose.yml names the user who owns the secrets.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/slacktide"]
CMD ["--help"]

FROM ${REGISTRY}nats:2.15.1-alpine AS exchange
# A fresh volume inherits these permissions.
RUN mkdir /data && chmod 1777 /data
USER 65532:65532
VOLUME /data
ENTRYPOINT ["/usr/local/bin/nats-server"]
CMD ["--config", "/etc/nats/server.conf"]

FROM slacktide AS front
COPY --from=exchange /usr/local/bin/nats-server /usr/local/bin/nats-server
USER 0:0
# A fresh volume inherits these permissions.
RUN mkdir /data && chmod 1777 /data
USER 65532:65532
VOLUME /data
