#!/bin/sh
# Builds the guest in FOLDER: vmlinux, initrd.img, root.img and the SSH key id_lab. Needs root.
# Usage: build.sh FOLDER PYTHON REQUIREMENTS SOURCES...
#   PYTHON        whose pip fetches the guest's Python packages
#   REQUIREMENTS  a file that pip reads
#   SOURCES       APT package sources, one file each
# Packages are only unpacked: without maintainer scripts and systemd that takes a quarter of the time. What those scripts would
# have left behind and the guest needs, stands in this file.
set -eu
recipe=$(dirname "$(readlink -f "$0")")
cd "$1"
python=$2
requirements=$3
shift 3
root=$PWD/root
guest_python=3.11

packages=base-files,base-passwd,bash,coreutils,dash,dmsetup,dropbear-bin,e2fsprogs,findutils,grep,gzip,hostname,iproute2,kmod
packages=$packages,kpartx,libc-bin,libstdc++6,linux-image-amd64,login,lsscsi,mount,multipath-tools,netbase,nfs-common
packages=$packages,nfs-kernel-server,open-iscsi,procps,psmisc,python3,qemu-utils,sed,sg3-utils,tar,udev,util-linux,xfsprogs

modules="virtio_pci virtio_blk virtio_net virtio_rng ext4 xfs crc32c_generic crct10dif_generic 9p 9pnet_virtio configfs loop
    sd_mod sg scsi_debug iscsi_tcp dm-multipath dm-service-time dm-round-robin dm-queue-length
    scsi_dh_alua scsi_dh_rdac scsi_dh_emc nfs nfsv4 nfsd e1000e fcoe tcm_fc target_core_file target_core_iblock"
modules_of_initrd="virtio_pci virtio_blk crc32c_generic ext4"

# FOLDER MODULE... prints the files of modules and of what they depend on, in the order to load them.
files_of() {
    folder=$1
    shift
    for module in "$@"; do
        modprobe -d "$folder" -S "$release" --show-depends "$module"
    done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++'
}

# How this machine reaches package servers is how the build does.
apt-config dump | grep -E '^Acquire::https?::' >apt.conf || true
mmdebstrap --quiet --variant=extract --mode=root --include="$packages" --aptopt="$PWD/apt.conf" \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr bookworm "$root" "$@"

[ -e "$root/etc/passwd" ] || cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
[ -e "$root/etc/group" ] || cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
sed -i 's|^root:.*|root::0:0:root:/root:/bin/ash|' "$root/etc/passwd"
echo 'statd:x:107:65534::/var/lib/nfs:/usr/sbin/nologin' >>"$root/etc/passwd"
# Named by udev's rules.
printf '%s\n' input:x:101: kvm:x:102: render:x:103: sgx:x:104: >>"$root/etc/group"
# Emulated, a static shell starts in half the time.
cp "$(command -v busybox)" "$root/bin/busybox"
ln -s busybox "$root/bin/ash"
echo /bin/ash >"$root/etc/shells"
printf '%s: files\n' passwd group hosts services protocols >"$root/etc/nsswitch.conf"
echo guest >"$root/etc/hostname"
echo '127.0.0.1 localhost guest' >"$root/etc/hosts"
[ -e "$root/bin/sh" ] || ln -s dash "$root/bin/sh"
ln -sf "python$guest_python" "$root/usr/bin/python3"
ldconfig -r "$root"
[ -e "$root/etc/iscsi/iscsid.conf" ] || cp "$root/usr/share/open-iscsi/iscsid.conf" "$root/etc/iscsi/"
echo 'InitiatorName=iqn.2026-11.test.blockdrivers:guest' >"$root/etc/iscsi/initiatorname.iscsi"
mkdir -p "$root/var/lib/nfs" "$root/etc/multipath/conf.d" "$root/share"
cp "$recipe/multipath.conf" "$root/etc/"
cp "$recipe/inittab" "$root/etc/"
install -m 755 "$recipe/init" "$root/sbin/lab-init"
install -D -m 755 "$recipe/host-programs" "$root/usr/local/sbin/host-programs"

# A dozen programs for every disk, which nothing here asks: emulated, they take longer than attaching does.
for rules in 55-scsi-sg3_id 58-scsi-sg3_symlink 56-dm-parts 60-kpartx 68-del-part-nodes 64-btrfs 70-iscsi-network-interface \
    85-hwclock 96-e2scrub 99-nfs; do
    rm -f "$root/usr/lib/udev/rules.d/$rules.rules"
done

ssh-keygen -q -t ed25519 -N '' -C lab -f id_lab
install -d -m 700 "$root/root" "$root/root/.ssh"
install -m 600 id_lab.pub "$root/root/.ssh/authorized_keys"
mkdir -p "$root/etc/dropbear"
chroot "$root" dropbearkey -t ed25519 -f /etc/dropbear/hostkey >/dev/null

# A kernel that QEMU starts without unpacking it in the guest, and of its modules only what is used.
release=$(ls "$root/usr/lib/modules")
"$python" "$recipe/vmlinux.py" "$root/boot/vmlinuz-$release" vmlinux
mkdir -p kernel/lib
mv "$root/usr/lib/modules" kernel/lib/
depmod -b kernel "$release"
mkdir -p "$root/usr/lib/modules/$release"
# shellcheck disable=SC2086
files_of kernel $modules >files
sed 's|^.*kernel/lib/modules/||' files | tar -C kernel/lib/modules -cf - -T - | tar -C "$root/usr/lib/modules" -xf -
cp kernel/lib/modules/"$release"/modules.builtin* kernel/lib/modules/"$release"/modules.order "$root/usr/lib/modules/$release/"
depmod -b "$root" "$release"

mkdir -p initrd/bin initrd/dev initrd/proc initrd/root initrd/modules
cp "$(command -v busybox)" initrd/bin/busybox
install -m 755 "$recipe/initrd-init" initrd/init
# shellcheck disable=SC2086
files_of kernel $modules_of_initrd | while read -r file; do
    cp "$file" initrd/modules/
    basename "$file" >>initrd/modules/order
done
(cd initrd && find . | cpio -o -H newc --quiet) | gzip -1 >initrd.img

# Wheels for the guest's Python, whatever this machine's is.
if [ "$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')" = "$guest_python" ]; then
    set --
else
    set -- --python-version "$guest_python" --only-binary=:all:
fi
"$python" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-compile \
    --target "$root/opt/python" --requirement "$requirements" "$@"
printf '%s\n' /opt/python /opt/project >"$root/usr/lib/python3/dist-packages/lab.pth"

rm -rf "$root"/usr/share/man "$root"/usr/share/doc "$root"/usr/share/locale "$root"/usr/share/info "$root"/var/cache/apt/* \
    "$root"/var/lib/apt/lists/* "$root"/boot/* "$root/usr/lib/python$guest_python/test" "$root"/usr/lib/x86_64-linux-gnu/gconv
find "$root/opt/python" -type d -name tests -prune -exec rm -rf {} +
chroot "$root" python3 -m compileall -q -j 2 "/usr/lib/python$guest_python" /opt/python >/dev/null

megabytes=$(du -sm "$root" | cut -f 1)
truncate -s "$((megabytes + 2048))M" root.img
mke2fs -q -t ext4 -O ^has_journal,^metadata_csum -E lazy_itable_init=1 -m 0 -d "$root" root.img
rm -rf "$root" kernel initrd files apt.conf
