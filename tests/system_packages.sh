#!/usr/bin/env bash
# What the tests need from the system: mosquitto (a real broker). Installed with apt where that is
# allowed; elsewhere one sentence, and the tests that need it skip and say so.
set -eu
missing=()
command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || missing+=(mosquitto)
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get install -y --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
    { apt-get update >/dev/null && apt-get install -y --no-install-recommends "${missing[@]}" >/dev/null; }
else
  echo "The tests with a broker need: ${missing[*]}. Install it with: sudo apt-get install ${missing[*]}" >&2
fi
