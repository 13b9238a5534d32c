mod judged;
mod owners;

use super::Conflict::{Fail, Leave};
use super::*;
use crate::exit::exit_of;
use crate::metadata::envelope::{DOCUMENT, Id};
use crate::secret::Secret;
use tempfile::TempDir;

fn entry(path: &str, what: What) -> Entry {
    Entry {
        path: path.to_owned(),
        what,
        mode: None,
        user: None,
        group: None,
        overwrite: false,
    }
}

fn file(path: &str, text: &str) -> Entry {
    entry(path, What::File(Secret::new(text)))
}

fn link(path: &str, target: &str, hard: bool) -> Entry {
    let target = target.to_owned();
    entry(path, What::Link { target, hard })
}

fn text(dir: &TempDir, path: &str) -> String {
    fs::read_to_string(dir.path().join(path)).unwrap()
}

fn root() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("etc")).unwrap();
    dir
}

#[test]
fn everything_is_written_and_a_second_time_changes_nothing() {
    let dir = root();
    fs::write(dir.path().join("etc/hosts"), "127.0.0.1 localhost\n").unwrap();
    let entries = [
        Entry {
            mode: Some(0o700),
            ..entry("/var/deep/folder", What::Folder)
        },
        Entry {
            mode: Some(0o600),
            ..file("/var/deep/folder/file", "x")
        },
        entry("/etc/hosts", What::Append(Secret::new("10.0.0.1 a\n"))),
        link("/etc/one", "../var/deep/folder/file", false),
        link("/etc/systemd/system/x.service", "/dev/null", false),
        link("/etc/two", "/var/deep/folder/file", true),
    ];
    for _ in 0..2 {
        place(dir.path(), &entries, Fail).unwrap();
        assert_eq!(text(&dir, "etc/one"), "x");
        assert_eq!(text(&dir, "etc/two"), "x");
        assert_eq!(text(&dir, "etc/hosts"), "127.0.0.1 localhost\n10.0.0.1 a\n");
        let mode = |path: &str| fs::metadata(dir.path().join(path)).unwrap().mode() & 0o7777;
        assert_eq!(mode("var/deep/folder"), 0o700);
        assert_eq!(mode("var/deep/folder/file"), 0o600);
        assert_eq!(mode("etc/hosts"), 0o644);
    }
}

#[test]
fn names_outside_are_refused_together_and_nothing_is_written() {
    let dir = root();
    let bad = [
        "/usr/bin/slipway",
        "/dev/vda",
        "/proc/sysrq-trigger",
        "/sys/power/state",
        "/etc",
        "/etc/",
        "/etc/../usr/x",
        "/etc/./x",
        "//etc/x",
        "etc/x",
        "",
        "/etc/a\0b",
        "/etcetera",
        "/var/lib/slipway",
        "/var/lib/slipway/machine.yaml",
        DOCUMENT,
    ];
    let mut entries: Vec<_> = bad.iter().map(|path| file(path, "x")).collect();
    entries.push(link("/etc/x", "../../usr", false));
    entries.push(link("/etc/x", "/../usr", false));
    entries.push(link("/etc/x", "", false));
    entries.push(link("/etc/x", "/dev/vda", true));
    let count = entries.len();
    entries.push(file("/etc/good", "x"));
    let error = place(dir.path(), &entries, Fail).unwrap_err();
    assert_eq!(exit_of(&error), Exit::Invalid);
    assert_eq!(error.to_string().lines().count(), 1 + count, "{error}");
    assert_eq!(fs::read_dir(dir.path().join("etc")).unwrap().count(), 0);
}

#[test]
fn links_of_the_target_must_stay_inside() {
    let dir = root();
    let outside = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    symlink(outside.path(), at("etc/absolute")).unwrap();
    symlink("../..", at("etc/up")).unwrap();
    fs::create_dir_all(at("var/real")).unwrap();
    symlink("../var/real", at("etc/inside")).unwrap();
    for path in ["/etc/absolute/x", "/etc/up/x"] {
        let error = place(dir.path(), &[file(path, "x")], Fail).unwrap_err();
        assert_eq!(exit_of(&error), Exit::Refused, "{path}");
        assert!(
            format!("{error:#}").contains("leads out of the root"),
            "{error:#}"
        );
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    place(dir.path(), &[file("/etc/inside/x", "x")], Fail).unwrap();
    assert_eq!(text(&dir, "var/real/x"), "x");
}

#[test]
fn what_is_there_is_replaced_only_on_request() {
    let dir = root();
    fs::write(dir.path().join("etc/x"), "old").unwrap();
    symlink("x", dir.path().join("etc/link")).unwrap();
    for path in ["/etc/x", "/etc/link"] {
        let again = file(path, "new");
        let error = place(dir.path(), std::slice::from_ref(&again), Fail).unwrap_err();
        assert!(
            format!("{error:#}").contains("does not say overwrite"),
            "{error:#}"
        );
        let overwrite = true;
        place(dir.path(), &[Entry { overwrite, ..again }], Fail).unwrap();
        assert_eq!(text(&dir, &path[1..]), "new");
    }
    assert!(!dir.path().join("etc/link").is_symlink());
    let over = Entry {
        overwrite: true,
        ..file("/etc/folder", "x")
    };
    fs::create_dir(dir.path().join("etc/folder")).unwrap();
    assert!(place(dir.path(), &[over], Fail).is_err());
}

#[test]
fn links_of_the_envelope_make_no_other_place_writable() {
    const FOLDERS: [&str; 3] = ["usr/lib/systemd/system", "var/lib", "etc/slipway"];
    let outside = "leads to \"/usr/lib/systemd/system/x.service\": only /etc";
    let cases = [
        (
            "/etc/l",
            "../usr/lib/systemd/system",
            "/etc/l/x.service",
            outside,
        ),
        (
            "/etc/l",
            "../usr/lib",
            "/etc/l/systemd/system/x.service",
            outside,
        ),
        (
            "/etc/l",
            "../var/lib",
            "/etc/l/slipway/handed-over",
            "slipway's own",
        ),
        (
            "/etc/l",
            "../var",
            "/etc/l/lib/slipway/deep/er",
            "slipway's own",
        ),
        ("/etc/l", "slipway", "/etc/l/machine.yaml", "slipway's own"),
        ("/etc/l", "..", "/etc/l/x", "only /etc"),
    ];
    for (from, to, path, want) in cases {
        let dir = root();
        for folder in FOLDERS {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let entries = [link(from, to, false), file(path, "x")];
        let error = place(dir.path(), &entries, Fail).unwrap_err();
        let text = format!("{error:#}");
        assert_eq!(exit_of(&error), Exit::Refused, "{text}");
        assert!(text.contains(want), "{text}");
        for empty in FOLDERS {
            let mut inside = fs::read_dir(dir.path().join(empty)).unwrap();
            assert!(inside.next().is_none(), "{path} made something in {empty}");
        }
    }
    for on_the_way in [link("/var/lib", "/etc", false), file("/var/lib", "x")] {
        let error = place(root().path(), &[on_the_way], Fail).unwrap_err();
        assert!(error.to_string().contains("own folder is below"), "{error}");
    }
    let dir = root();
    let entries = [
        link("/etc/v", "../var", false),
        link("/etc/v/lib", "../etc", false),
    ];
    fs::create_dir(dir.path().join("var")).unwrap();
    let error = place(dir.path(), &entries, Fail).unwrap_err();
    assert!(
        format!("{error:#}").contains("own folder is below"),
        "{error:#}"
    );
}

#[test]
fn what_is_there_keeps_its_mode_and_owner_unless_they_are_given() {
    let dir = root();
    let at = |path: &str| dir.path().join(path);
    let mode = |path: &str| fs::metadata(at(path)).unwrap().mode() & 0o7777;
    fs::create_dir(at("etc/private")).unwrap();
    fs::set_permissions(at("etc/private"), Permissions::from_mode(0o700)).unwrap();
    fs::write(at("etc/log"), "a\n").unwrap();
    fs::set_permissions(at("etc/log"), Permissions::from_mode(0o600)).unwrap();
    let is_root = nix::unistd::geteuid().is_root();
    if is_root {
        chown(at("etc/log"), Some(1000), Some(1001)).unwrap();
    }
    let folder = entry("/etc/private", What::Folder);
    let log = entry("/etc/log", What::Append(Secret::new("b\n")));
    place(dir.path(), &[folder.clone(), log], Fail).unwrap();
    assert_eq!((mode("etc/private"), mode("etc/log")), (0o700, 0o600));
    assert_eq!(text(&dir, "etc/log"), "a\nb\n");
    if is_root {
        let meta = fs::metadata(at("etc/log")).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (1000, 1001));
    }
    let given = Entry {
        mode: Some(0o750),
        ..folder
    };
    place(dir.path(), &[given], Fail).unwrap();
    assert_eq!(mode("etc/private"), 0o750);
}

#[test]
fn a_machine_that_lives_keeps_what_it_made_of_the_entries() {
    let dir = root();
    let entries = [
        file("/etc/edited", "x"),
        entry("/etc/hosts", What::Append(Secret::new("10.0.0.1 a\n"))),
        link("/etc/link", "edited", false),
    ];
    place(dir.path(), &entries, Fail).unwrap();
    fs::write(dir.path().join("etc/edited"), "mine").unwrap();
    fs::write(dir.path().join("etc/hosts"), "10.0.0.1 a\n10.0.0.2 b\n").unwrap();
    fs::remove_file(dir.path().join("etc/link")).unwrap();
    symlink("hosts", dir.path().join("etc/link")).unwrap();
    assert!(place(dir.path(), &entries, Fail).is_err());

    let new = [file("/etc/new", "x"), file("/etc/over", "x")];
    let over = Entry {
        overwrite: true,
        ..file("/etc/edited", "theirs")
    };
    let mut again = entries.to_vec();
    again.extend(new);
    place(dir.path(), &again, Leave).unwrap();
    assert_eq!(text(&dir, "etc/edited"), "mine");
    assert_eq!(text(&dir, "etc/hosts"), "10.0.0.1 a\n10.0.0.2 b\n");
    assert_eq!(text(&dir, "etc/new"), "x");
    assert_eq!(
        fs::read_link(dir.path().join("etc/link")).unwrap(),
        Path::new("hosts")
    );
    // cloud-config says overwrite of everything.
    let append = |text: &str| Entry {
        overwrite: true,
        ..entry("/etc/hosts", What::Append(Secret::new(text)))
    };
    let all = [over, append("10.0.0.1 a\n"), append("10.0.0.3 c\n")];
    for _ in 0..2 {
        place(dir.path(), &all, Leave).unwrap();
        assert_eq!(text(&dir, "etc/edited"), "theirs");
        let hosts = "10.0.0.1 a\n10.0.0.2 b\n10.0.0.3 c\n";
        assert_eq!(text(&dir, "etc/hosts"), hosts);
    }
}
