#!/bin/sh
# Install, upgrade or remove edge-agent as a service. docs/service.md tells more.
#
#   install.sh                           from the folder in which it lies: a bundle, or a checkout
#   install.sh --from edge-agent-….tar   from a bundle (make bundle), without any network
#     --system-site-packages             sees Debian's Python packages too: picamera2 for a CSI camera
#     --python PYTHON                    which Python (default: python3)
#     --no-start                         install only
#   install.sh --uninstall [--purge]     keeps configuration and state, unless --purge
#
# Every version lies in a folder of its own, and /opt/edge-agent/current leads to the one in charge:
# that link is moved when the new version has proved that it runs on this board. Whatever fails
# before leaves the old one in charge and running. Running it again does nothing twice.
set -eu
umask 022

opt=/opt/edge-agent
etc=/etc/edge-agent
state=/var/lib/edge-agent
units=/etc/systemd/system
command=/usr/local/bin/edge-agent
unit=edge-agent.service

here=$(cd "$(dirname "$0")" && pwd)
from='' python=python3 site='' start=yes action=install purge=''

say() { echo "edge-agent: $*"; }
fail() { # sentence, next step
  echo "edge-agent: $1" >&2
  [ -z "${2:-}" ] || echo "next: $2" >&2
  exit 1
}
usage() { sed -n '2,12s/^# \{0,1\}//p' "$0"; }

while [ $# -gt 0 ]; do
  case $1 in
    --from) [ $# -gt 1 ] || { usage >&2; exit 2; }; from=$2; shift ;;
    --python) [ $# -gt 1 ] || { usage >&2; exit 2; }; python=$2; shift ;;
    --system-site-packages) site=--system-site-packages ;;
    --no-start) start= ;;
    --uninstall) action=uninstall ;;
    --purge) purge=yes ;;
    -h | --help) usage; exit 0 ;;
    *) echo "edge-agent: there is no option $1" >&2; usage >&2; exit 2 ;;
  esac
  shift
done
[ "$(id -u)" = 0 ] || fail "it must be installed by root" "sudo $0"

runs_systemd() { [ -d /run/systemd/system ]; }
is_running() { runs_systemd && systemctl is-active --quiet "$unit"; }

# --- removing ------------------------------------------------------------------------------------

uninstall() {
  if runs_systemd; then systemctl disable --now "$unit" 2>/dev/null || true; fi
  rm -f "$units/$unit" "$units/multi-user.target.wants/$unit" /etc/tmpfiles.d/edge-agent.conf
  rm -f /etc/sysusers.d/edge-agent.conf "$command" "$units/$unit.d/10-groups.conf"
  rm -rf "$opt"
  if runs_systemd; then systemctl daemon-reload; fi
  if [ -n "$purge" ]; then
    rm -rf "$etc" "$state" "$units/$unit.d"
    rm -f /etc/credstore/edge-agent.*
    if id edge-agent >/dev/null 2>&1; then userdel edge-agent; fi
    say "removed, with its configuration, secrets and state"
  else
    say "removed; configuration and state are kept in $etc and $state (--purge removes them)"
  fi
}

# --- installing ----------------------------------------------------------------------------------

unpack() { # the bundle's folder in $source, in the end
  if [ -n "$from" ]; then
    [ -f "$from" ] || fail "there is no file $from" "make one: make bundle ARCH=$(uname -m) PY=3.11"
    tar -xf "$from" -C "$scratch" --no-same-owner ||
      fail "$from is no bundle, or damaged" "copy it again, and compare its sha256sum"
    source=$(find "$scratch" -mindepth 1 -maxdepth 1 -type d)
    [ -f "$source/requirements.txt" ] || fail "$from is no bundle: it has no requirements.txt"
  else
    source=$here
  fi
}

check_python() {
  command -v "$python" >/dev/null || fail "there is no $python" "apt install python3"
  found=$("$python" -c 'import platform, sys; v = sys.version_info
print(platform.machine(), f"{v[0]}.{v[1]}", int(v >= (3, 11) and sys.maxsize > 2**32))')
  [ "${found##* }" = 1 ] ||
    fail "this Python is ${found% *}: 3.11 or newer, 64 bits, is needed" "name another: --python"
  if [ -f "$source/target" ] && [ "$(cat "$source/target")" != "${found% *}" ]; then
    fail "the bundle is for $(cat "$source/target"), this Python is ${found% *}" \
      "make one: make bundle ARCH=${found%% *} PY=$(echo "$found" | cut -d' ' -f2)"
  fi
}

name_version() { # what is installed decides: the same again is there already
  if [ -f "$source/requirements.txt" ]; then
    version=$(cat "$source/requirements.txt" "$source/target")
  else
    [ -f "$source/../pyproject.toml" ] || fail "neither a bundle nor a checkout lies at $here"
    version=$(cd "$source/.." && find edge_agent ota models pyproject.toml constraints -type f \
      ! -name '*.pyc' -exec sha256sum {} + | sort)
  fi
  version=$(printf '%s %s %s' "$version" "$site" "$found" | sha256sum | cut -c1-12)
  new=$opt/versions/$version
}

build() {
  # What an interrupted installation left behind is in nobody's charge.
  if [ -d "$new" ] && [ ! -f "$new/complete" ]; then rm -rf "$new"; fi
  if [ -d "$new" ]; then return; fi
  say "installing into $new"
  mkdir -p "$opt/versions"
  half=$new
  if [ -f "$source/requirements.txt" ]; then
    "$python" -m venv --without-pip $site "$new"
    installer=$(echo "$source"/wheels/pip-*.whl)/pip
    "$new/bin/python" "$installer" --quiet --disable-pip-version-check --isolated install \
      --no-index --find-links "$source/wheels" --require-hashes --no-deps \
      -r "$source/requirements.txt" ||
      fail "the bundle cannot be installed" "copy it again, and compare its sha256sum"
  else
    "$python" -m venv $site "$new" ||
      fail "no virtual environment can be made" "apt install python3-venv"
    tested=$source/../constraints/py$(echo "$found" | cut -d' ' -f2 | tr -d .).txt
    if [ -f "$tested" ]; then set -- -c "$tested"; else set --; fi
    "$new/bin/python" -m pip --quiet --disable-pip-version-check install "$@" "$source/.." ||
      fail "it cannot be installed from here" "is the network there? Without one: make bundle"
  fi
  prove
  touch "$new/complete"
  half=''
}

prove() { # it runs on this board: interpreter, libraries, an engine, a model, a database
  log=$scratch/proof
  if "$new/bin/edge-agent" --version >"$log" 2>&1 &&
    "$new/bin/edge-agent" models test scene-detector --state "$scratch/proved" >>"$log" 2>&1; then
    return
  fi
  cat "$log" >&2
  fail "the new version does not run on this board; nothing was changed"
}

furnish() { # user, folders, unit, a first configuration; nothing that a person changed
  mkdir -p /etc/sysusers.d /etc/tmpfiles.d "$units"
  put "$source/edge-agent.sysusers.conf" /etc/sysusers.d/edge-agent.conf
  put "$source/edge-agent.tmpfiles.conf" /etc/tmpfiles.d/edge-agent.conf
  if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers /etc/sysusers.d/edge-agent.conf
  elif ! id edge-agent >/dev/null 2>&1; then
    useradd --system --user-group --home-dir "$state" --shell /usr/sbin/nologin edge-agent
  fi
  install -d -m 0750 -o root -g edge-agent "$etc"
  install -d -m 0700 -o edge-agent -g edge-agent "$state"
  # Raspberry Pi OS has groups for its pins that Debian lacks; a group that is not there would keep
  # the unit from starting, so it does not name them.
  groups=''
  for each in gpio i2c spi; do
    if getent group $each >/dev/null; then groups="$groups $each"; fi
  done
  if [ -n "$groups" ]; then
    mkdir -p "$units/$unit.d"
    printf '[Service]\nSupplementaryGroups=%s\n' "$groups" >"$scratch/groups"
    put "$scratch/groups" "$units/$unit.d/10-groups.conf"
  fi
  first=$source/config.yaml
  [ -f "$first" ] || first=$source/../configs/minimal.yaml
  [ -e "$etc/config.yaml" ] || install -m 0640 -o root -g edge-agent "$first" "$etc/config.yaml"
}

put() { # a file, whole or not at all
  install -m 0644 "$1" "$2.new"
  mv -f "$2.new" "$2"
}

check_config() { # a key that the new version does not know must not stop a device that works
  "$new/bin/edge-agent" check -c "$etc/config.yaml" --state "$state" >"$scratch/check" 2>&1 || {
    cat "$scratch/check" >&2
    fail "the new version does not take $etc/config.yaml; the old one stays in charge" \
      "correct it, then run this again"
  }
}

lead_to() { # one rename: at every moment the link leads to a whole version
  ln -sfn "$1" "$opt/current.new"
  mv -T "$opt/current.new" "$opt/current"
}

take_charge() {
  old=$(readlink "$opt/current" 2>/dev/null || true)
  cp "$units/$unit" "$scratch/unit" 2>/dev/null || true
  lead_to "versions/$version"
  ln -sfn "$opt/current/bin/edge-agent" "$command"
  put "$source/$unit" "$units/$unit"
  runs_systemd || { say "installed; systemd does not run here, so nothing was started"; return; }
  systemctl daemon-reload
  systemctl --quiet enable "$unit"
  [ -n "$start" ] || return 0
  # Type=notify: this returns when every model is loaded, or when it has failed.
  if systemctl restart "$unit"; then return; fi
  journalctl --no-pager -n 20 -u "$unit" >&2 || true
  if [ -z "$old" ] || [ "$old" = "versions/$version" ]; then
    fail "it is installed, and does not start" "see above; edge-agent doctor"
  fi
  lead_to "$old"
  put "$scratch/unit" "$units/$unit"
  systemctl daemon-reload
  systemctl restart "$unit" || true
  fail "the new version does not start: the old one is in charge again" "see above"
}

forget() { # all but the version in charge and the one before
  for each in "$opt"/versions/*; do
    case versions/${each##*/} in
      "versions/$version" | "$old") ;;
      *) rm -rf "$each" ;;
    esac
  done
}

if [ $action = uninstall ]; then
  uninstall
  exit 0
fi
mkdir -p "$opt"
exec 9>"$opt/.lock"
flock -n 9 || fail "another installation is under way" "wait for its end"
scratch=$(mktemp -d)
half=''
trap 'rm -rf "$scratch" ${half:+"$half"}' EXIT
trap 'exit 130' INT TERM HUP
unpack
check_python
name_version
build
furnish
check_config
take_charge
forget
say "$("$command" --version | head -n 1) is in charge; its configuration is $etc/config.yaml"
if is_running; then say "it runs: edge-agent status --state $state"; fi
