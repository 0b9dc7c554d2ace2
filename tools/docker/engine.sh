#!/usr/bin/env bash
# Make sure a Docker engine answers, and print what to export for it.
#
# An engine that runs already is used as it is. Otherwise, as root on Debian or Ubuntu, the
# distribution's own is installed and started in a folder of its own; `engine.sh stop` ends that one.
set -euo pipefail
folder=${OPENCLIP_DOCKER_DIR:-/tmp/openclip-docker}
socket=unix://$folder/docker.sock

if [ "${1:-start}" = stop ]; then
    [ ! -f "$folder/pid" ] || kill "$(cat "$folder/pid")" 2>/dev/null || true
    exit 0
fi
if docker info >/dev/null 2>&1; then
    exit 0
fi
if [ ! -x /usr/bin/docker ] || [ ! -x /usr/sbin/dockerd ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "no Docker engine answers; install Docker and start it" >&2
        exit 1
    fi
    apt-get update -qq >&2 && apt-get install -y -qq docker.io >&2
fi
export DOCKER_HOST=$socket
if ! /usr/bin/docker info >/dev/null 2>&1; then
    mkdir -p "$folder"
    rm -f "$folder/pid"
    nohup /usr/sbin/dockerd --data-root "$folder/data" --exec-root "$folder/exec" -H "$socket" \
        --pidfile "$folder/pid" >"$folder/log" 2>&1 &
    for _ in $(seq 60); do
        /usr/bin/docker info >/dev/null 2>&1 && break
        sleep 0.5
    done
    /usr/bin/docker info >/dev/null 2>&1 || { tail -5 "$folder/log" >&2; exit 1; }
fi
echo "DOCKER_HOST=$socket"
