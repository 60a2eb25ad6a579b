# syntax=docker/dockerfile:1.7
# Three images of one file:
#   docker build -t switchback .                          switchbackd and switchback
#   docker build -t switchback-sample --target sample .   an application that writes all the time
# `deploy/check` reads it, `make image-check` runs its commands on Debian without Docker.

# Not from rust-toolchain.toml, which names a channel: an image is built by one compiler.
FROM rust:1.95-slim-trixie AS build
WORKDIR /src
# By name: what is not needed to build does not make the cache stale. rust-toolchain.toml would
# have rustup get another compiler, .cargo has what SQLite is compiled with.
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
COPY proto proto
COPY migrations migrations
COPY server server
COPY client client
COPY tests tests
# What is in a cache mount is in no layer, so the programs are taken out in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --package switchback-server --package switchback-client \
    && install -D -t /out target/release/switchbackd target/release/switchback

FROM debian:trixie-slim AS base
# pg_dump and pg_restore are for backups of PostgreSQL; they may not be older than its server.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates postgresql-client \
    && rm -rf /var/lib/apt/lists/*
# The application that shares the SQLite file has to be this user, or of this group. What is in a
# volume that is mounted over these directories is theirs as well.
RUN groupadd --gid 65532 switchback \
    && useradd --uid 65532 --gid 65532 --home-dir /var/lib/switchback --no-create-home \
        --shell /usr/sbin/nologin switchback \
    && install -d -o 65532 -g 65532 -m 0750 /var/lib/switchback /data
USER 65532:65532

FROM base AS sample
USER root
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-psycopg \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/switchback /usr/local/bin/
COPY deploy/sample/sample.py /usr/local/lib/sample.py
USER 65532:65532
LABEL org.opencontainers.image.title="switchback-sample" \
    org.opencontainers.image.description="An application that writes to the active engine all the time" \
    org.opencontainers.image.licenses="Apache-2.0"
CMD ["switchback", "exec", "--", "python3", "-u", "/usr/local/lib/sample.py"]

FROM base AS switchback
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="switchback" \
    org.opencontainers.image.description="Moves a live SQLite database to PostgreSQL, and back" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/switchbackd /out/switchback /usr/local/bin/
ENV SWITCHBACK_STATE_DIR=/var/lib/switchback
VOLUME /var/lib/switchback
EXPOSE 50051
# It drains before it ends.
STOPSIGNAL SIGTERM
# Unhealthy while the active engine does not answer. SWITCHBACK_ENDPOINT and SWITCHBACK_TLS_CA say how
# it is reached where it does not listen on loopback.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["switchback", "health"]
ENTRYPOINT ["switchbackd"]
