# docker build -t tocsin .
# docker run --read-only --tmpfs /tmp -v tocsin:/data -v "$PWD/routing.yaml:/etc/tocsin/routing.yaml:ro" \
#   -p 127.0.0.1:5001:5001 tocsin
#
# There is no login yet: publish the port on loopback, or to a proxy that asks for one.

FROM python:3.11.11-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/tocsin
COPY requirements.txt ./
RUN /opt/tocsin/bin/pip install --no-cache-dir --require-hashes -r requirements.txt
COPY pyproject.toml README.md LICENSE NOTICE routing.yaml routing.schema.json ./
COPY receiver ./receiver
COPY templates ./templates
COPY migrations ./migrations
RUN /opt/tocsin/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11.11-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home tocsin && install -d -o tocsin -g tocsin /data
COPY --from=build /opt/tocsin /opt/tocsin
COPY routing.yaml /etc/tocsin/routing.yaml
# Nothing but /data is written to, so the root file system may be read-only.
ENV PATH=/opt/tocsin/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TOCSIN_CONFIG=/etc/tocsin/routing.yaml \
    TOCSIN_DATABASE_URL=sqlite:////data/tocsin.db \
    TOCSIN_HOST=0.0.0.0 \
    TOCSIN_PORT=5001 \
    TOCSIN_PUBLIC_URL=http://127.0.0.1:5001
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 5001
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:5001/health/ready', timeout=4)"]
CMD ["tocsin", "serve", "--insecure"]
