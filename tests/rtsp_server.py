"""A real RTSP server on 127.0.0.1, run by the system's Python (Debian's GStreamer bindings).

/usr/bin/python3 rtsp_server.py PORT WIDTHxHEIGHT FPS [USER PASSWORD basic|digest]: H.264 at /s
SIGUSR1 blackens the picture, SIGUSR2 brings it back.
"""

import signal
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

LAUNCH = (
    "( videotestsrc name=picture is-live=true pattern=smpte"
    " ! video/x-raw,width={},height={},framerate={}/1"
    " ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15"
    " ! rtph264pay name=pay0 pt=96 config-interval=1 )"
)


def main(port: str, size: str, fps: str, *credentials: str) -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer.new()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory.new()
    factory.set_launch(LAUNCH.format(*size.split("x"), fps))
    factory.set_shared(True)
    if credentials:
        protect(server, factory, *credentials)
    factory.connect("media-configure", obey)
    server.get_mount_points().add_factory("/s", factory)
    server.attach(None)
    GLib.MainLoop().run()


def obey(_, media):  # type: ignore[no-untyped-def]
    picture = media.get_element().get_by_name("picture")
    for number, pattern in ((signal.SIGUSR1, "black"), (signal.SIGUSR2, "smpte")):
        GLib.unix_signal_add(
            GLib.PRIORITY_DEFAULT, number, Gst.util_set_object_arg, picture, "pattern", pattern
        )


def protect(server, factory, user, password, method):  # type: ignore[no-untyped-def]
    auth, token = GstRtspServer.RTSPAuth.new(), GstRtspServer.RTSPToken.new()
    token.set_string("media.factory.role", "viewer")
    if method == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
    else:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    allowed = GstRtspServer.RTSPPermissions.new()
    for what in ("access", "construct"):
        allowed.add_permission_for_role("viewer", f"media.factory.{what}", True)
    factory.set_permissions(allowed)


main(*sys.argv[1:])
