# The recorder as a container; docs/operations.md, "In Docker", has the commands. compose.yaml says how it is run.
#
# Two stages: what is only built with stays in the first. There is no compiler in either: each dependency has a wheel.

FROM python:3.13-slim-trixie AS build
WORKDIR /opt/hk-tick-collector
RUN ["python", "-m", "venv", "--without-pip", ".venv"]
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY hk_tick_collector hk_tick_collector
# The constraints also hold for what the package is built with, hence the variable.
RUN --mount=type=cache,target=/root/.cache/pip \
    PIP_CONSTRAINT=constraints.txt python -m pip --python .venv/bin/python install --quiet .

FROM python:3.13-slim-trixie
LABEL org.opencontainers.image.title="hk-tick-collector" \
      org.opencontainers.image.description="Records every Hong Kong stock trade from Futu OpenD into SQLite" \
      org.opencontainers.image.licenses="MIT"
# A number of its own, the same in each image: the data belongs to it.
RUN groupadd --gid 10111 hk-tick \
 && useradd --uid 10111 --gid hk-tick --no-log-init --home-dir /var/lib/hk-tick-collector --shell /usr/sbin/nologin hk-tick \
 && install --directory --owner=hk-tick --group=hk-tick --mode=750 /var/lib/hk-tick-collector
COPY --from=build /opt/hk-tick-collector/.venv /opt/hk-tick-collector/.venv
COPY deploy/healthcheck.py /opt/hk-tick-collector/healthcheck.py
# PYTHONSAFEPATH: the working directory is the recorder's to write, so no code may be loaded from it.
ENV PATH=/opt/hk-tick-collector/.venv/bin:$PATH \
    DATA_ROOT=/var/lib/hk-tick-collector \
    METRICS_PORT=9108 \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1
# By number, so that Kubernetes can see that it is not root.
USER 10111:10111
WORKDIR /var/lib/hk-tick-collector
VOLUME /var/lib/hk-tick-collector
# The recorder hangs up, has everything stored, and ends with 0. Give it STOP_FLUSH_TIMEOUT_SEC and 30 s more.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-I", "/opt/hk-tick-collector/healthcheck.py"]
ENTRYPOINT ["hk-tick-collector"]
CMD ["run"]
