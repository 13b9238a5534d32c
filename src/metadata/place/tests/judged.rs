//! What the target makes impossible is said at once, and then nothing is written.

use super::*;

/// Everything below a folder, links not followed.
fn everything(dir: &TempDir) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![dir.path().to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            found.push(path.display().to_string());
            if path.is_dir() && !path.is_symlink() {
                left.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A target with a file, a folder, a link to it, one that leads out and one to nothing.
fn lived_in() -> TempDir {
    let dir = root();
    let at = |path: &str| dir.path().join(path);
    fs::write(at("etc/file"), "old").unwrap();
    fs::create_dir_all(at("var/real/folder")).unwrap();
    symlink("../var/real", at("etc/inside")).unwrap();
    symlink("/", at("etc/out")).unwrap();
    symlink("nothing", at("etc/dangling")).unwrap();
    dir
}

#[test]
fn nothing_is_written_if_anything_cannot_be() {
    let over = |entry| Entry {
        overwrite: true,
        ..entry
    };
    let stranger = Entry {
        group: Some(Id::Name("nobody".to_owned())),
        ..file("/etc/new", "x")
    };
    let append = |path| entry(path, What::Append(Secret::new("x")));
    let cases = [
        (stranger, "no group \"nobody\""),
        (file("/etc/out/x", "x"), "leads out of the root"),
        (file("/etc/inside/../x", "x"), "not a plain absolute path"),
        (file("/etc/file", "new"), "does not say overwrite"),
        (file("/etc/file/below", "x"), "Not a directory"),
        (file("/etc/first/below", "x"), "file of the envelope"),
        (file("/etc/first", "other"), "does not say overwrite"),
        (file("/etc/dangling/x", "x"), "link to nothing"),
        (file("/var/new", "x"), "folder of the envelope"),
        (over(file("/var/new/folder", "x")), "folder of the envelope"),
        (over(link("/var/new", "x", false)), "folder of the envelope"),
        (over(entry("/etc/first", What::Folder)), "not a folder"),
        (append("/etc/soft"), "link of the envelope"),
        (
            link("/etc/new", "/etc/first/x", true),
            "file of the envelope",
        ),
        (
            link("/etc/new", "/var/new/folder", true),
            "there is no file",
        ),
        (over(file("/var/real/folder", "x")), "remove it first"),
        (entry("/etc/file", What::Folder), "remove it first"),
        (entry("/etc/inside", What::Folder), "remove it first"),
        (append("/var/real/folder"), "cannot be appended to"),
        (append("/etc/dangling"), "cannot be appended to"),
        (
            link("/etc/dangling", "other", false),
            "does not say overwrite",
        ),
        (
            over(link("/var/real/folder", "/etc/x", false)),
            "does not say overwrite",
        ),
        (link("/etc/new", "/etc/missing", true), "there is no file"),
        (
            link("/etc/new", "/var/real/folder", true),
            "there is no file",
        ),
    ];
    for (bad, want) in cases {
        let dir = lived_in();
        let before = everything(&dir);
        let entries = [
            entry("/var/new/folder", What::Folder),
            file("/etc/first", "x"),
            link("/etc/soft", "first", false),
            bad,
        ];
        let error = place(dir.path(), &entries, Fail).unwrap_err();
        let shown = format!("{error:#}");
        assert!(shown.contains(want), "{want}: {shown}");
        assert_eq!(everything(&dir), before, "{shown}");
        assert_eq!(text(&dir, "etc/file"), "old");
    }
}

#[test]
fn every_problem_is_named_and_the_first_gives_the_code() {
    let dir = lived_in();
    let entries = [
        file("/etc/out/x", "x"),
        file("/etc/file", "new"),
        file("/etc/good", "x"),
    ];
    let error = place(dir.path(), &entries, Fail).unwrap_err();
    assert_eq!(exit_of(&error), Exit::Refused);
    let lines: Vec<_> = error.to_string().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines[1].starts_with("\"/etc/out/x\": a link on the way"));
    assert!(lines[2].starts_with("\"/etc/file\": something is there already"));
}

#[test]
fn entries_build_on_each_other() {
    let over = |path, text| Entry {
        overwrite: true,
        ..file(path, text)
    };
    let entries = [
        entry("/var/new", What::Folder),
        over("/var/new/file", "over"),
        over("/etc/file", "over"),
        link("/etc/soft", "../var/new", false),
        file("/etc/soft/behind", "x"),
        link("/etc/hard", "/var/new/file", true),
        link("/etc/harder", "/etc/soft/behind", true),
        file("/etc/inside/folder/x", "x"),
    ];
    // A power cut after any of them, and the fetch runs again.
    for done in 0..=entries.len() {
        let dir = lived_in();
        place(dir.path(), &entries[..done], Fail).unwrap();
        place(dir.path(), &entries, Fail).unwrap();
        assert_eq!(text(&dir, "var/new/file"), "over");
        assert_eq!(text(&dir, "etc/file"), "over");
        assert!(dir.path().join("etc/hard").exists());
        assert_eq!(text(&dir, "var/new/behind"), "x");
        assert_eq!(text(&dir, "etc/harder"), "x");
        assert_eq!(text(&dir, "var/real/folder/x"), "x");
    }
}

#[test]
fn a_machine_that_lives_is_asked_only_about_what_it_must_do() {
    let dir = lived_in();
    let stays = [
        file("/etc/file", "new"),
        link("/etc/dangling", "other", false),
        entry("/etc/dangling", What::Append(Secret::new("x"))),
        link("/etc/file", "/etc/missing", true),
    ];
    place(dir.path(), &stays, Leave).unwrap();
    assert_eq!(text(&dir, "etc/file"), "old");
    let folder = Entry {
        overwrite: true,
        ..file("/var/real/folder", "x")
    };
    let error = place(dir.path(), &[file("/etc/new", "x"), folder], Leave).unwrap_err();
    assert!(error.to_string().contains("remove it first"), "{error}");
    assert!(!dir.path().join("etc/new").exists());
}

#[test]
fn pipes_are_not_opened_links_not_followed_and_large_files_not_read() {
    use nix::sys::stat::Mode;
    let dir = lived_in();
    let at = |path: &str| dir.path().join(path);
    nix::unistd::mkfifo(&at("etc/pipe"), Mode::S_IRWXU).unwrap();
    symlink("file", at("etc/link")).unwrap();
    let large = fs::File::create(at("etc/large")).unwrap();
    large.set_len(1 << 40).unwrap();
    let append = |path| entry(path, What::Append(Secret::new("old")));
    for path in ["/etc/pipe", "/etc/link", "/etc/large"] {
        for entry in [file(path, "old"), append(path)] {
            place(dir.path(), std::slice::from_ref(&entry), Leave).unwrap();
            assert!(place(dir.path(), &[entry], Fail).is_err(), "{path}");
        }
    }
    let over = Entry {
        overwrite: true,
        ..file("/etc/large", "small")
    };
    place(dir.path(), &[over], Fail).unwrap();
    assert_eq!(text(&dir, "etc/large"), "small");
    assert_eq!(text(&dir, "etc/file"), "old");
}
