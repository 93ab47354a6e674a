# A small image with the server alone: configuration, zones and state come in as volumes.
#
#   docker build -t waypost .
#   docker run -p 53:53/udp -p 53:53/tcp -v ./waypost.toml:/etc/waypost/waypost.toml:ro \
#     -v ./zones:/etc/waypost/zones:ro -v waypost-state:/var/lib/waypost waypost

FROM rust:1-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --profile dist --locked

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --home-dir /var/lib/waypost --create-home waypost
COPY --from=build /source/target/dist/waypost /usr/local/bin/waypost
COPY waypost.toml /etc/waypost/waypost.toml
COPY zones /etc/waypost/zones
COPY geoip /etc/waypost/geoip
USER waypost
WORKDIR /etc/waypost
VOLUME /var/lib/waypost
EXPOSE 53/udp 53/tcp
# DNS over TLS and QUIC, where [tls] is configured.
EXPOSE 853/udp 853/tcp
# Port 53 needs no privilege inside a container: Docker sets ip_unprivileged_port_start to 0.
CMD ["waypost", "run", "--config", "/etc/waypost/waypost.toml", "--state", "/var/lib/waypost"]
