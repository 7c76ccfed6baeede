# What preflight must know of a host, as one JSON object. Reads only, needs no Python.
# Arguments: PORT LAN_PORT SOCKET_UNIT PATH... (a port of 0 is not looked at)
set -u
port=$1 lan_port=$2 unit=$3
shift 3

text() { printf '"%s"' "$(printf %s "$1" | tr -d '\\"' | tr -c '[:print:]' ' ' | cut -c1-120)"; }

os_id='' os_version=''
if [ -r /etc/os-release ]; then
    os_id=$(. /etc/os-release && printf %s "${ID:-}")
    os_version=$(. /etc/os-release && printf %s "${VERSION_ID:-}")
fi
architecture=$(dpkg --print-architecture 2>/dev/null || uname -m)
pid1=$(cat /proc/1/comm 2>/dev/null)
python=false
if [ -x /usr/bin/python3.11 ]; then python=true; fi
# Asked only where it is needed: the question may load a module of the kernel.
nft=false
if [ "$lan_port" != 0 ] && /usr/sbin/nft list tables >/dev/null 2>&1; then nft=true; fi
installed=false
if [ -e /opt/b3iq/current ]; then installed=true; fi

# Who listens on a TCP port (state 0A), whatever the address: proc(5).
holder_of() {
    hex=$(printf ':%04X' "$1")
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
        awk -v p="$hex" '$4 == "0A" && substr($2, length($2) - 4) == p {found = 1} END {exit !found}' || return 0
    if [ "$(systemctl is-active "$unit" 2>/dev/null)" = active ] &&
        systemctl show -p Listen --value "$unit" 2>/dev/null | grep -q ":$1 "; then
        printf ours
    else
        name=$(ss -Hltnp "sport = :$1" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)".*/\1/p' | head -n 1)
        printf %s "${name:-another program}"
    fi
}
holder=$(holder_of "$port")
lan_holder=$(holder_of "$lan_port")

# What stands under our names and is not ours: it would be taken over, and removed with the node.
foreign=''
for user in b3iq-node b3iq-engine; do
    home=$(getent passwd "$user" | cut -d: -f6)
    if [ "${home:-/nonexistent}" != /nonexistent ]; then foreign="$foreign, the account $user"; fi
done
command=/usr/local/bin/b3iq
if [ -e "$command" ] && [ "$(readlink "$command")" != /opt/b3iq/current/bin/b3iq ]; then
    foreign="$foreign, the file $command"
fi

driver=''
if [ -r /proc/driver/nvidia/version ]; then
    driver=$(sed -n 's/^NVRM version:.* \([0-9][0-9.]*\)  .*/\1/p' /proc/driver/nvidia/version)
    driver=${driver:-unknown}
fi
devices=false
if [ -c /dev/nvidiactl ] && [ -c /dev/nvidia-uvm ]; then devices=true; fi

# Free space for each path, measured on the nearest directory that exists.
disks=''
for path in "$@"; do
    at=$path
    while [ ! -d "$at" ]; do at=$(dirname "$at"); done
    set -- $(df -Pm "$at" | tail -n 1)
    disks="$disks${disks:+, }{\"path\": $(text "$path"), \"mount\": $(text "$6"), \"free_mb\": ${4:-0}}"
done

printf '{"os_id": %s, "os_version": %s, "architecture": %s, "pid1": %s, "python": %s, ' \
    "$(text "$os_id")" "$(text "$os_version")" "$(text "$architecture")" "$(text "$pid1")" "$python"
printf '"nft": %s, "installed": %s, "foreign": %s, "port_holder": %s, "lan_port_holder": %s, ' \
    "$nft" "$installed" "$(text "${foreign#, }")" "$(text "$holder")" "$(text "$lan_holder")"
printf '"nvidia_driver": %s, "nvidia_devices": %s, "disks": [%s]}\n' \
    "$(text "$driver")" "$devices" "$disks"
