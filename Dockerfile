# syntax=docker/dockerfile:1
# Two stages: the toolchain builds, a distroless image without shell or package manager runs as an unprivileged user.
# Needs BuildKit. tests/it/packaging checks what is used here against the program, and that the stubs make a whole package.
# Base images have tags: whoever builds for production pins the digests that they have looked at.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
# First the dependencies, with stubs for every target that Cargo.toml names: this layer stays until manifest or lock file change.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches tests/it \
    && touch src/lib.rs \
    && for target in src/main build benches/encode benches/load benches/cloudquery tests/it/main; do \
        echo 'fn main() {}' > "$target.rs"; done
RUN --mount=type=cache,id=pgflight-cargo-registry,target=/usr/local/cargo/registry \
    cargo build --release --locked --bin pgflight
# Then the program. Cargo judges by the time of a file, and COPY keeps that of the checkout, which may be older than the stubs; so all
# files are new, and nothing of another build is at hand: target/ is in this layer and in no cache.
COPY . .
RUN --mount=type=cache,id=pgflight-cargo-registry,target=/usr/local/cargo/registry \
    find Cargo.toml build.rs src sql scripts docs -type f -exec touch {} + \
    && cargo build --release --locked --bin pgflight \
    && target/release/pgflight --version | grep -q '^pgflight '

FROM gcr.io/distroless/cc-debian12:nonroot
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="pgflight" \
      org.opencontainers.image.description="Lands Arrow data in PostgreSQL: Arrow Flight, Flight SQL and CloudQuery in, binary COPY out." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.base.name="gcr.io/distroless/cc-debian12:nonroot"
COPY --from=build /src/target/release/pgflight /usr/local/bin/pgflight
# In a container the loopback address reaches nobody; what is reachable from outside is decided by what is published.
# Nobody is asked for credentials there until auth is configured, on purpose.
ENV PGFLIGHT_LISTEN=0.0.0.0:8815 \
    PGFLIGHT_ADMIN_LISTEN=0.0.0.0:8816 \
    PGFLIGHT_INSECURE=true
EXPOSE 8815 8816
# Longer than `health` waits for its answer, so that its reason is kept.
HEALTHCHECK --interval=5s --timeout=5s --start-period=10s --retries=6 CMD ["/usr/local/bin/pgflight", "health", "--timeout", "3"]
# `docker stop` waits 10 s by itself and the drain takes up to 25: docker stop --time 40, or docker run --stop-timeout 40.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/pgflight"]
CMD ["serve"]
