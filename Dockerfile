# The image of optiinfra-dbctl: docker build -t optiinfra-dbctl . && docker run --rm -e DATABASE_URL optiinfra-dbctl verify
FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
# For --version, where the build context has no .git: docker build --build-arg OPTIINFRA_COMMIT=$(git rev-parse --short HEAD) .
ARG OPTIINFRA_COMMIT
# libpq and OpenSSL are linked into the binary.
ENV OPENSSL_STATIC=1
RUN cargo build --profile dist --locked --features bundled,parquet --bin optiinfra-dbctl

FROM debian:bookworm-slim
# The certificates that sslrootcert=system trusts.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/dist/optiinfra-dbctl /usr/local/bin/
USER 65534:65534
ENTRYPOINT ["optiinfra-dbctl"]
