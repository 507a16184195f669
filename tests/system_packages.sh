#!/usr/bin/env bash
# What the tests need from the system: mosquitto (a real broker), ffmpeg and GStreamer's RTSP server
# (real cameras), strace (power cuts). Installed with apt where that is allowed; elsewhere one sentence, and the tests
# that need them skip and say so.
set -eu
missing=()
command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || missing+=(mosquitto)
command -v ffmpeg >/dev/null || missing+=(ffmpeg)
command -v strace >/dev/null || missing+=(strace)
rtsp="import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
/usr/bin/python3 -c "$rtsp" 2>/dev/null ||
  missing+=(python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-rtsp gstreamer1.0-plugins-{base,good,bad,ugly})
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get install -y --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
    { apt-get update >/dev/null && apt-get install -y --no-install-recommends "${missing[@]}" >/dev/null; }
else
  echo "The tests with a broker, a camera or a power cut need: ${missing[*]}. Install it with: sudo apt-get install ${missing[*]}" >&2
fi
