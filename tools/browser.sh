#!/bin/sh
# Chromium and its driver for the tests of the page: installed on Debian where we may, else the tests
# say what is missing.
set -e
command -v chromium >/dev/null && command -v chromedriver >/dev/null && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "no chromium and chromedriver here: the tests of the page will fail" >&2
    exit 0
fi
echo "installing chromium for the tests of the page" >&2
apt-get update -qq >&2 && apt-get install -y -qq chromium chromium-driver >&2
