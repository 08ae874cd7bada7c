# The image of optiinfra-dbctl: docker build -t optiinfra-dbctl . && docker run --rm -e DATABASE_URL optiinfra-dbctl verify
FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
# For --version, where the build context has no .git: docker build --build-arg OPTIINFRA_COMMIT=$(git rev-parse --short HEAD) .
ARG OPTIINFRA_COMMIT
# libpq and OpenSSL are linked into the binary; openssl-sys takes a static library below /usr only where it is told the folders.
RUN OPENSSL_STATIC=1 OPENSSL_LIB_DIR=$(pkg-config --variable=libdir openssl) OPENSSL_INCLUDE_DIR=$(pkg-config --variable=includedir openssl) \
    cargo build --profile dist --locked --features bundled,parquet --bin optiinfra-dbctl \
    && ! ldd target/dist/optiinfra-dbctl | grep -E 'libpq|libssl'

FROM debian:bookworm-slim
# The certificates that sslrootcert=system trusts.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/dist/optiinfra-dbctl /usr/local/bin/
USER 65534:65534
ENTRYPOINT ["optiinfra-dbctl"]
