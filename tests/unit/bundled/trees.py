"""Recorded parts of /proc and /sys."""

from __future__ import annotations

from pathlib import Path

# A Raspberry Pi 4 with Wi-Fi.
PI: dict[str, str] = {
    "proc/stat": (
        "cpu  4705 356 584 3699176 23060 0 277 0 0 0\n"
        "cpu0 1393 100 150 924000 5000 0 270 0 0 0\n"
        "cpu1 1100 80 140 925000 6000 0 3 0 0 0\n"
        "cpu2 1100 90 150 925176 6060 0 2 0 0 0\n"
        "cpu3 1112 86 144 925000 6000 0 2 0 0 0\n"
        "intr 114930548 113199788 3 0 5\nctxt 1990473\nbtime 1062191376\n"
    ),
    "proc/loadavg": "0.20 0.18 0.12 1/80 11206\n",
    "proc/meminfo": (
        "MemTotal:        3884432 kB\nMemFree:         2822484 kB\nMemAvailable:    3369288 kB\n"
        "Buffers:           50732 kB\nCached:           571052 kB\n"
        "SwapTotal:        102396 kB\nSwapFree:         102396 kB\nHugePages_Total:       0\n"
    ),
    "proc/uptime": "350735.47 1234567.89\n",
    "proc/mounts": (
        "/dev/mmcblk0p2 / ext4 rw,noatime 0 0\n"
        "devtmpfs /dev devtmpfs rw,relatime 0 0\n"
        "proc /proc proc rw,relatime 0 0\n"
        "tmpfs /run tmpfs rw,nosuid 0 0\n"
        "/dev/mmcblk0p1 /boot/firmware vfat rw,relatime 0 0\n"
        "/dev/mmcblk0p2 /var/again ext4 rw,noatime 0 0\n"
        "/dev/sda1 /media/my\\040stick vfat rw 0 0\n"
        "/dev/sdb1 /gone ext4 rw 0 0\n"
        "broken\n"
    ),
    "proc/net/route": (
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "wlan0\t00000000\t0102A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
        "wlan0\t0002A8C0\t00000000\t0001\t0\t0\t600\t00FFFFFF\t0\t0\t0\n"
    ),
    "proc/net/fib_trie": (
        "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n"
        "Local:\n  +-- 127.0.0.0/8 2 0 2\n"
        "     |-- 127.0.0.1\n        /32 host LOCAL\n"
        "     |-- 192.168.2.17\n        /32 host LOCAL\n"
        "     |-- 192.168.2.255\n        /32 link BROADCAST\n"
        "     |-- 10.9.9.9\n        /32 host LOCAL\n"
    ),
    "proc/net/if_inet6": (
        "00000000000000000000000000000001 01 80 10 80       lo\nfe80000000000000ba27ebfffe000001 03 40 20 80    wlan0\n"
    ),
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "48312\n",
    "sys/class/thermal/thermal_zone1/type": "wifi\n",
    "sys/class/thermal/thermal_zone1/temp": "55000\n",
    "sys/class/thermal/cooling_device0/type": "fan\n",
    "boot/firmware/.keep": "",
    "var/again/.keep": "",
    "media/my stick/.keep": "",
}

# A PC whose sensors are known to drivers only; one of them is not wired.
PC: dict[str, str] = {
    **{name: text for name, text in PI.items() if not name.startswith("sys/class/thermal")},
    "sys/class/hwmon/hwmon0/name": "nvme\n",
    "sys/class/hwmon/hwmon0/temp1_input": "61900\n",
    "sys/class/hwmon/hwmon1/name": "coretemp\n",
    "sys/class/hwmon/hwmon1/temp1_input": "52000\n",
    "sys/class/hwmon/hwmon1/temp2_input": "53500\n",
    "sys/class/hwmon/hwmon2/name": "acpitz\n",
    "sys/class/hwmon/hwmon2/temp1_input": "-274000\n",
}

# Nothing that can be read as it should be.
ODD: dict[str, str] = {
    "proc/stat": "cpu  1 2\n",
    "proc/loadavg": "high\n",
    "proc/meminfo": "MemTotal: many kB\n",
    "proc/uptime": "\n",
    "proc/mounts": "\n",
    "proc/net/route": "Iface\nwlan0 junk\n",
    "proc/net/fib_trie": "|-- 1.2\n",
    "proc/net/if_inet6": "fe80 03\n",
    "sys/class/thermal/thermal_zone0/temp": "warm\n",
}

# A kernel before 3.14.
OLD = {**PI, "proc/meminfo": "MemTotal: 1000 kB\nMemFree: 200 kB\nBuffers: 100 kB\nCached: 100 kB\n"}


def write(folder: Path, tree: dict[str, str]) -> Path:
    """Lay a tree down in a folder and return it."""
    for name, text in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder
