#!/usr/bin/env bash
# Build a stand-in for AWS's Lambda Python base image, for machines that reach no image registry:
# Debian's Python, the real runtime client and the real emulator, laid out as AWS lays them out.
# Usage: base_image.sh TAG PATH-OF-RIE   (root; DOCKER_HOST as engine.sh printed it)
#
# What it is not: Amazon Linux, Python 3.13, and AWS's own entrypoint. `Dockerfile.lambda` is built on
# it unchanged, through BASE_IMAGE.
set -euo pipefail
tag=$1 rie=$2
docker=/usr/bin/docker
[ -x $docker ] || docker=docker
if $docker image inspect "$tag" >/dev/null 2>&1; then
    exit 0
fi
command -v mmdebstrap >/dev/null || { apt-get update -qq && apt-get install -y -qq mmdebstrap; } >&2
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mmdebstrap -q --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates \
    bookworm "$root"

# Builds inside reach the package index the way this machine does: its CA bundle and pip settings.
[ ! -f /etc/ssl/certs/ca-certificates.crt ] ||
    cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
{
    echo "[global]"
    echo "cert = /etc/ssl/certs/ca-certificates.crt"
    wheels=$(python3 -m pip config get global.find-links 2>/dev/null || echo "${PIP_FIND_LINKS:-}")
    if [ -n "$wheels" ] && [ -d "$wheels" ]; then
        mkdir -p "$root/var/wheels"
        cp "$wheels"/*.whl "$root/var/wheels/"
        echo "find-links = /var/wheels"
    fi
} >"$root/etc/pip.conf"

install -m 755 "$rie" "$root/usr/local/bin/aws-lambda-rie"
mkdir -p "$root/var/task" "$root/var/runtime"
cp /etc/resolv.conf "$root/etc/resolv.conf"
chroot "$root" python3 -m venv /var/lang
chroot "$root" /var/lang/bin/pip install -q --disable-pip-version-check awslambdaric
ln -sf python3 "$root/var/lang/bin/python"
cat >"$root/var/runtime/bootstrap" <<'EOF'
#!/bin/sh
exec /var/lang/bin/python3 -m awslambdaric "$_HANDLER"
EOF
cat >"$root/lambda-entrypoint.sh" <<'EOF'
#!/bin/sh
[ $# -eq 1 ] || { echo "entrypoint requires the handler name to be the first argument" >&2; exit 142; }
export _HANDLER="$1"
if [ -z "$AWS_LAMBDA_RUNTIME_API" ]; then
    exec /usr/local/bin/aws-lambda-rie /var/runtime/bootstrap
fi
exec /var/runtime/bootstrap
EOF
chmod 755 "$root/var/runtime/bootstrap" "$root/lambda-entrypoint.sh"
tar -C "$root" --numeric-owner --exclude=./dev --exclude=./var/cache/apt -c . | $docker import \
    -c 'ENV PATH=/var/lang/bin:/usr/local/bin:/usr/bin:/bin LANG=en_US.UTF-8 TZ=:/etc/localtime LAMBDA_TASK_ROOT=/var/task LAMBDA_RUNTIME_DIR=/var/runtime' \
    -c 'WORKDIR /var/task' -c 'ENTRYPOINT ["/lambda-entrypoint.sh"]' - "$tag" >/dev/null
