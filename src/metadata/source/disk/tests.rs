use super::super::testing::Machine;
use super::*;
use crate::exit::exit_of;
use std::os::unix::fs::symlink;
use std::thread;
use std::time::Duration;

const DISK: Disk = Disk {
    labels: &["cidata", "CIDATA"],
    file_systems: &["iso9660", "vfat"],
};

fn links(root: &Path) -> PathBuf {
    let links = root.join("dev/disk/by-label");
    fs::create_dir_all(&links).unwrap();
    links
}

#[test]
fn either_label_is_found_and_a_dangling_link_is_not() {
    let root = tempfile::tempdir().unwrap();
    let links = links(root.path());
    symlink("../../vdb", links.join("cidata")).unwrap();
    assert_eq!(DISK.present(root.path()), None);
    fs::write(links.join("CIDATA"), "").unwrap();
    assert_eq!(DISK.present(root.path()), Some(links.join("CIDATA")));
}

#[test]
fn a_disk_that_appears_late_is_found() {
    let machine = Machine::new("quiet", Duration::from_secs(60));
    let links = links(machine.root());
    let late = thread::spawn(move || fs::write(links.join("cidata"), ""));
    assert!(DISK.wait(&machine.context()).is_some());
    late.join().unwrap().unwrap();
}

#[test]
fn what_is_no_block_device_is_not_mounted() {
    let root = tempfile::tempdir().unwrap();
    let device = links(root.path()).join("cidata");
    fs::write(&device, "").unwrap();
    let error = DISK.mount(root.path(), &device).unwrap_err();
    assert_eq!(exit_of(&error), Exit::NotFound);
    assert!(format!("{error:#}").contains("cannot mount"), "{error:#}");
}

#[test]
fn only_plain_files_beneath_are_read() {
    let disk = tempfile::tempdir().unwrap();
    let read = |path| read_beneath(disk.path(), path, "it");
    let refused = |path| format!("{:#}", read(path).unwrap_err());
    fs::create_dir(disk.path().join("folder")).unwrap();
    fs::write(disk.path().join("folder/file"), "kind: Machine").unwrap();
    symlink("/etc", disk.path().join("etc")).unwrap();
    symlink("folder/file", disk.path().join("link")).unwrap();
    nix::unistd::mkfifo(&disk.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(read("folder/file").unwrap().unwrap(), b"kind: Machine");
    assert_eq!(read("missing/file").unwrap(), None);
    for path in ["folder", "link", "etc/passwd", "../x", "pipe"] {
        assert!(refused(path).contains("not a plain file"), "{path}");
    }
    let files = Files::of(disk.path());
    assert_eq!(files.names_in("folder").unwrap(), ["file"]);
    assert!(files.names_in("missing").unwrap().is_empty());
    assert!(files.names_in("etc").is_err());
    assert!(files.names_in("../").is_err());
    assert_eq!(files.names(), "etc, folder, link, pipe");
}
