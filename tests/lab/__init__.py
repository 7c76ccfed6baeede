"""Throwaway systemd hosts for the demo and the tests: create, reach by SSH, destroy.

A host is a Debian 12 root booted by systemd-nspawn over a disk overlay. Its life hangs on one
supervisor process: whatever way that process ends, the guest, its mounts and its network link
end with it, and `destroy` removes the files that are left.
"""
