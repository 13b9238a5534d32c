//! Whose the entries become.

use super::*;

#[test]
fn a_symbolic_link_has_an_owner_and_a_hard_one_its_files() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let dir = root();
    let owned = |entry| Entry {
        user: Some(Id::Number(33)),
        ..entry
    };
    let entries = [
        file("/etc/file", "x"),
        link("/etc/none", "file", false),
        owned(link("/etc/soft", "file", false)),
        owned(link("/etc/hard", "/etc/file", true)),
    ];
    symlink("file", dir.path().join("etc/soft")).unwrap();
    place(dir.path(), &entries, Fail).unwrap();
    let user = |path| fs::symlink_metadata(dir.path().join(path)).unwrap().uid();
    let users = ["etc/none", "etc/soft", "etc/hard", "etc/file"].map(user);
    assert_eq!(users, [0, 33, 0, 0]);
}

#[test]
fn the_half_of_an_owner_that_is_not_given_stays() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let half = |entry| Entry {
        group: Some(Id::Number(44)),
        overwrite: true,
        ..entry
    };
    let entries = [
        half(file("/etc/file", "new")),
        half(entry("/etc/log", What::Append(Secret::new("b")))),
        half(entry("/etc/folder", What::Folder)),
        half(file("/etc/link", "x")),
    ];
    for (there, want) in [(false, 0), (true, 33)] {
        let dir = root();
        let at = |path: &str| dir.path().join(path);
        if there {
            for path in ["etc/file", "etc/log"] {
                fs::write(at(path), "a").unwrap();
                chown(at(path), Some(33), Some(34)).unwrap();
            }
            fs::create_dir(at("etc/folder")).unwrap();
            chown(at("etc/folder"), Some(33), Some(34)).unwrap();
            symlink("nothing", at("etc/link")).unwrap();
            std::os::unix::fs::lchown(at("etc/link"), Some(33), Some(34)).unwrap();
        }
        place(dir.path(), &entries, Fail).unwrap();
        for path in ["etc/file", "etc/log", "etc/folder", "etc/link"] {
            let meta = fs::symlink_metadata(at(path)).unwrap();
            // A link's owner is none of the file's that takes its place.
            let user = if path == "etc/link" { 0 } else { want };
            assert_eq!((meta.uid(), meta.gid()), (user, 44), "{path}");
        }
    }
}

#[test]
fn owners_by_name_are_the_targets() {
    let dir = root();
    let owned = |name: &str| Entry {
        user: Some(Id::Name(name.to_owned())),
        ..file("/etc/x", "x")
    };
    let error = place(dir.path(), &[owned("nobody")], Fail).unwrap_err();
    assert_eq!(exit_of(&error), Exit::Invalid);
    assert!(
        format!("{error:#}").contains("no user \"nobody\""),
        "{error:#}"
    );
    if nix::unistd::geteuid().is_root() {
        fs::write(
            dir.path().join("etc/passwd"),
            "svc:x:4711:1::/:/bin/false\n",
        )
        .unwrap();
        place(dir.path(), &[owned("svc")], Fail).unwrap();
        assert_eq!(fs::metadata(dir.path().join("etc/x")).unwrap().uid(), 4711);
    }
}
