"""What is connected, from a tree like the kernel's; the real devices were not seen."""

from __future__ import annotations

from pathlib import Path

from edge_agent.host.devices import Device, connected


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_cameras_sensors_and_ports_are_named_with_what_to_write(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "sys/class/video4linux/video0/name": "UVC Camera: ACME 人\n",
            "sys/class/video4linux/video0/index": "0\n",
            "sys/class/video4linux/video1/name": "UVC Camera: ACME 人\n",
            "sys/class/video4linux/video1/index": "1\n",
            "sys/class/video4linux/video10/name": "bcm2835-isp\n",
            "sys/class/video4linux/v4l-subdev0/name": "imx219\n",
            "sys/bus/iio/devices/iio:device0/name": "adxl345\n",
            "sys/bus/iio/devices/iio:device0/in_accel_x_raw": "3\n",
            "sys/bus/iio/devices/iio:device0/in_accel_y_raw": "4\n",
            "sys/bus/iio/devices/iio:device0/in_accel_scale": "0.04\n",
            "sys/bus/iio/devices/iio:device0/sampling_frequency": "800\n",
            "sys/bus/iio/devices/trigger0/name": "timer\n",
        },
    )
    ports = tmp_path / "dev/serial/by-id"
    ports.mkdir(parents=True)
    (ports / "usb-FTDI_X-if00-port0").symlink_to("../../ttyUSB0")
    assert connected(tmp_path) == (
        Device("camera", "UVC Camera: ACME 人", "/dev/video0", "pictures"),
        Device("camera", "UVC Camera: ACME 人", "", "its device 1: as a rule without pictures"),
        Device("camera", "bcm2835-isp", "/dev/video10", "pictures"),
        Device(
            "iio", "adxl345", "iio:/sys/bus/iio/devices/iio:device0", "accel_x, accel_y; 800 Hz"
        ),
        Device(
            "serial",
            "usb-FTDI_X-if00-port0",
            "serial:/dev/serial/by-id/usb-FTDI_X-if00-port0",
            "/dev/ttyUSB0",
        ),
    )


def test_a_board_without_any_has_none(tmp_path: Path) -> None:
    assert connected(tmp_path) == ()
