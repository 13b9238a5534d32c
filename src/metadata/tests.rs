//! `fetch` over fixture trees.

mod envelopes;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::exit::{Exit, exit_of};

const DOCUMENT: &str = include_str!("../../examples/single-node.yaml");

/// A machine: its root with /sys, /proc and /run, and a target beside it.
struct Fixture {
    dir: TempDir,
    request: Request,
}

impl Fixture {
    fn new(cmdline: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let request = Request::new(dir.path().join("root"), dir.path().join("sysroot"));
        fs::create_dir_all(&request.target).unwrap();
        let fixture = Self { dir, request };
        fixture.put("root/proc/cmdline", cmdline);
        fixture
    }

    /// A QEMU machine with this document.
    fn qemu(document: &str) -> Self {
        let fixture = Self::new("quiet slipway.platform=qemu\n");
        fixture.fw_cfg(document, document.len());
        fixture
    }

    fn fw_cfg(&self, document: &str, size: usize) {
        let entry = format!(
            "root/sys/firmware/qemu_fw_cfg/by_name/{}",
            source::fw_cfg::ENTRY
        );
        self.put(&format!("{entry}/size"), &format!("{size}\n"));
        self.put(&format!("{entry}/raw"), document);
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.dir.path().join(path)).ok()
    }

    fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.dir.path().join(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o7777
    }

    fn fetch(&self) -> Fetched {
        match fetch(&self.request).unwrap() {
            Outcome::Found(fetched) => *fetched,
            other => panic!("{other:?}"),
        }
    }

    /// The exit code and text of a fetch that fails and writes nothing.
    fn refusal(&self) -> (Exit, String) {
        let before = [
            self.text("sysroot/var/lib/slipway/machine.yaml"),
            self.text("sysroot/etc/hostname"),
        ];
        let error = fetch(&self.request).unwrap_err();
        let after = [
            self.text("sysroot/var/lib/slipway/machine.yaml"),
            self.text("sysroot/etc/hostname"),
        ];
        assert_eq!(before, after);
        assert_eq!(self.text("root/run/slipway/machine.yaml"), None);
        (exit_of(&error), format!("{error:#}"))
    }
}

#[test]
fn the_first_boot_keeps_what_fw_cfg_holds() {
    let fixture = Fixture::qemu(DOCUMENT);
    let fetched = fixture.fetch();
    assert_eq!(
        (fetched.origin.as_str(), fetched.first_boot),
        ("fw_cfg", true)
    );
    assert_eq!(fetched.machine.node.name, "node-a");
    for path in [
        "sysroot/var/lib/slipway/machine.yaml",
        "root/run/slipway/machine.yaml",
    ] {
        assert_eq!(fixture.text(path).as_deref(), Some(DOCUMENT), "{path}");
        assert_eq!(fixture.mode(path), 0o600, "{path}");
    }
    assert_eq!(fixture.mode("sysroot/var/lib/slipway"), 0o700);
    assert_eq!(
        fixture.text("sysroot/etc/hostname").as_deref(),
        Some("node-a\n")
    );
    assert_eq!(fixture.mode("sysroot/etc/hostname"), 0o644);
}

#[test]
fn later_boots_take_the_kept_document_unless_told_otherwise() {
    let mut fixture = Fixture::qemu(DOCUMENT);
    fixture.fetch();
    let changed = DOCUMENT.replace("node-a", "node-b");
    fixture.fw_cfg(&changed, changed.len());
    fs::remove_dir_all(fixture.request.root.join("run")).unwrap();

    let fetched = fixture.fetch();
    assert_eq!(
        (fetched.machine.node.name.as_str(), fetched.first_boot),
        ("node-a", false)
    );
    assert!(
        fetched.origin.starts_with("kept document /var"),
        "{}",
        fetched.origin
    );
    assert_eq!(
        fixture.text("root/run/slipway/machine.yaml").as_deref(),
        Some(DOCUMENT)
    );

    fixture.request.refetch = true;
    let fetched = fixture.fetch();
    assert_eq!(
        (fetched.machine.node.name.as_str(), fetched.first_boot),
        ("node-b", false)
    );
    assert_eq!(
        fixture.text("sysroot/var/lib/slipway/machine.yaml"),
        Some(changed)
    );
    assert_eq!(
        fixture.text("sysroot/etc/hostname").as_deref(),
        Some("node-b\n")
    );
}

#[test]
fn an_invalid_document_is_refused_with_all_its_problems() {
    let bad = DOCUMENT
        .replace("name: node-a", "nmae: node-a")
        .replace("10.0.2.15", "10.2.0.15");
    let (exit, text) = Fixture::qemu(&bad).refusal();
    assert_eq!(exit, Exit::Invalid);
    for want in [
        "(fw_cfg)",
        "did you mean name?",
        "node.name: missing",
        "lies inside cluster.podCIDR",
    ] {
        assert!(text.contains(want), "{want}: {text}");
    }
}

#[test]
fn a_bad_refetch_leaves_the_kept_document() {
    let mut fixture = Fixture::qemu("kind: Cluster\n");
    fixture.put("sysroot/var/lib/slipway/machine.yaml", DOCUMENT);
    fixture.request.refetch = true;
    assert_eq!(fixture.refusal().0, Exit::Invalid);
}

#[test]
fn a_kept_document_that_no_longer_parses_is_named() {
    let fixture = Fixture::qemu(DOCUMENT);
    fixture.put("sysroot/var/lib/slipway/machine.yaml", "kind: Machine\n");
    let (exit, text) = fixture.refusal();
    assert_eq!(exit, Exit::Invalid);
    assert!(text.contains("/var/lib/slipway/machine.yaml"), "{text}");
}

#[test]
fn a_source_that_is_not_there_is_named_with_the_next_step() {
    let (exit, text) = Fixture::new("slipway.platform=qemu").refusal();
    assert_eq!(exit, Exit::NotFound);
    assert!(text.contains("qemu_fw_cfg not loaded"), "{text}");

    let fixture = Fixture::new("slipway.platform=qemu");
    fixture.put("root/sys/firmware/qemu_fw_cfg/rev", "1\n");
    let (exit, text) = fixture.refusal();
    assert_eq!(exit, Exit::NotFound);
    assert!(
        text.contains("-fw_cfg name=opt/dev.slipway/machine"),
        "{text}"
    );

    let (exit, text) = Fixture::new("quiet").refusal();
    assert_eq!(exit, Exit::NotFound);
    assert!(text.contains("slipway.platform=NAME"), "{text}");

    let mut fixture = Fixture::new("quiet");
    fixture.request.config = Some("/nonexistent/machine.yaml".into());
    let (exit, text) = fixture.refusal();
    assert_eq!(exit, Exit::NotFound);
    assert!(text.contains("/nonexistent/machine.yaml"), "{text}");
}

#[test]
fn too_large_or_cut_entries_are_refused() {
    let fixture = Fixture::qemu(DOCUMENT);
    fixture.fw_cfg(DOCUMENT, 5 * 1024 * 1024);
    let (exit, text) = fixture.refusal();
    assert_eq!(exit, Exit::Invalid);
    assert!(text.contains("more than 4096 KiB"), "{text}");
    fixture.fw_cfg(DOCUMENT, DOCUMENT.len() + 1);
    assert_eq!(fixture.refusal().0, Exit::NotFound);

    let mut endless = Fixture::new("quiet");
    endless.request.config = Some("/dev/zero".into());
    assert_eq!(endless.refusal().0, Exit::Invalid);
}

#[test]
fn a_file_or_a_named_platform_need_no_command_line() {
    let mut fixture = Fixture::qemu(&DOCUMENT.replace("node-a", "node-b"));
    fixture.put("root/proc/cmdline", "quiet");
    fixture.request.platform = Some("qemu".to_owned());
    assert_eq!(fixture.fetch().machine.node.name, "node-b");

    let mut fixture = Fixture::new("quiet");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/single-node.yaml");
    fixture.request.config = Some(path.clone());
    let fetched = fixture.fetch();
    assert_eq!(fetched.origin, format!("file {}", path.display()));
    assert_eq!(fetched.machine, document(&path).unwrap().machine);
}

#[test]
fn a_boot_that_asks_again_in_vain_goes_on_with_what_is_kept() {
    let mut fixture = Fixture::new("slipway.platform=qemu slipway.refetch");
    fixture.put("sysroot/var/lib/slipway/machine.yaml", DOCUMENT);
    for there in [false, true] {
        if there {
            fixture.put("root/sys/firmware/qemu_fw_cfg/rev", "1\n");
        }
        let fetched = fixture.fetch();
        assert!(fetched.origin.starts_with("kept"), "{}", fetched.origin);
        fs::remove_dir_all(fixture.request.root.join("run")).unwrap();
    }
    // A person who asks for the source is told about it, and so is the author of a broken document.
    fixture.request.refetch = true;
    assert_eq!(fixture.refusal().0, Exit::NotFound);
    fixture.request.refetch = false;
    fixture.fw_cfg("kind: Cluster\n", 14);
    assert_eq!(fixture.refusal().0, Exit::Invalid);
    // What the envelope points to may be as unreachable as the source itself.
    let config =
        r#"{"ignition": {"version": "3.4.0", "config": {"merge": [{"source": "https://a/b"}]}}}"#;
    fixture.fw_cfg(config, config.len());
    assert!(fixture.fetch().origin.starts_with("kept"));
}

#[test]
fn a_document_is_scrubbed_until_that_worked_once() {
    let mut fixture = Fixture::new("slipway.platform=hyperv");
    let pool = |text: &str| source::hyperv::pool::file(&[("slipway.machine", text), ("a", "1")]);
    let at = "root/var/lib/hyperv/.kvp_pool_0";
    let write = |bytes: &[u8]| {
        let path = fixture.dir.path().join(at);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    write(&pool(DOCUMENT));
    let ours = |fixture: &Fixture| {
        let bytes = fs::read(fixture.dir.path().join(at)).unwrap();
        source::hyperv::pool::document(&bytes).unwrap().is_some()
    };
    let owed = |fixture: &Fixture| fixture.text("sysroot/var/lib/slipway/scrub");
    // A file where the target's folder would be.
    fixture.put("sysroot/var/lib/hyperv", "");
    fixture.fetch();
    assert_eq!(owed(&fixture).as_deref(), Some("hyperv"));
    fs::remove_file(fixture.dir.path().join("sysroot/var/lib/hyperv")).unwrap();
    fixture.put("root/proc/cmdline", "quiet");
    fixture.fetch();
    assert_eq!((owed(&fixture), ours(&fixture)), (None, false));
    // What the host gives later is another's affair, until somebody asks for it.
    let path = fixture.dir.path().join(at);
    fs::write(path, pool(DOCUMENT)).unwrap();
    fixture.fetch();
    assert!(ours(&fixture));
    fixture.request.refetch = true;
    fixture.request.platform = Some("hyperv".to_owned());
    fixture.fetch();
    assert_eq!((owed(&fixture), ours(&fixture)), (None, false));
}

#[test]
fn a_hash_on_the_command_line_counts_for_every_source() {
    let hash = "slipway.config.hash=sha256-b019b410b95bd72d261faf6e1da0634a28febe3f09d115f449b6b40646612cf1";
    for platform in [
        "slipway.platform=qemu",
        "slipway.config=/etc/slipway/machine.yaml",
    ] {
        let fixture = Fixture::qemu(DOCUMENT);
        fixture.put("root/proc/cmdline", &format!("{platform} {hash}"));
        fixture.put("sysroot/etc/slipway/machine.yaml", DOCUMENT);
        let (exit, text) = fixture.refusal();
        assert_eq!(exit, Exit::Refused, "{text}");
        assert!(text.contains("gives another document"), "{text}");
    }
}

#[test]
fn without_network_what_needs_it_is_left_to_a_later_fetch() {
    let reference = "{\"ignition\": {\"version\": \"3.4.0\", \"config\": {\"replace\": {\"source\": \
        \"https://example.com/config.ign\"}}}}";
    let platforms = [
        (Fixture::qemu(reference), "what fw_cfg holds"),
        (Fixture::new("slipway.platform=ec2"), "platform ec2"),
    ];
    for (mut fixture, what) in platforms {
        fixture.request.offline = true;
        let (exit, text) = fixture.refusal();
        assert_eq!(exit, Exit::NotFound);
        assert!(text.contains("dracut --add slipway-network"), "{text}");
        fixture.put("root/usr/lib/systemd/system/slipway-network.service", "");
        let outcome = fetch(&fixture.request).unwrap();
        assert_eq!(outcome, Outcome::NeedsNetwork(what.to_owned()));
        assert_eq!(
            fixture.text("root/run/slipway/neednet").as_deref(),
            Some("")
        );
        assert_eq!(fs::read_dir(&fixture.request.target).unwrap().count(), 0);
    }
}

#[test]
fn a_missing_document_is_an_error_unless_it_is_optional() {
    let missing = |cmdline| {
        let fixture = Fixture::new(cmdline);
        fixture.put("root/sys/firmware/qemu_fw_cfg/rev", "1\n");
        fetch(&fixture.request).map_err(|error| exit_of(&error))
    };
    let line = "slipway.platform=qemu slipway.document=optional";
    let outcome = missing(line).unwrap();
    assert!(matches!(outcome, Outcome::Nothing(why) if why.contains("-fw_cfg name=")));
    assert_eq!(missing("slipway.platform=qemu"), Err(Exit::NotFound));
    // A source that cannot be asked is no source without a document.
    let fixture = Fixture::new(line);
    assert_eq!(
        exit_of(&fetch(&fixture.request).unwrap_err()),
        Exit::NotFound
    );
}

#[test]
fn what_cannot_be_written_is_named_and_leaves_no_kept_document() {
    let fixture = Fixture::qemu(DOCUMENT);
    fixture.put("sysroot/etc", "a file where a folder should be");
    let error = format!("{:#}", fetch(&fixture.request).unwrap_err());
    assert!(
        error.contains("sysroot/etc/hostname must be writable"),
        "{error}"
    );
    assert_eq!(fixture.text("sysroot/var/lib/slipway/machine.yaml"), None);
}

#[test]
fn a_file_of_the_target_needs_no_platform() {
    let fixture = Fixture::new("quiet slipway.config=/etc/slipway/machine.yaml\n");
    let (exit, text) = fixture.refusal();
    assert_eq!(exit, Exit::NotFound);
    assert!(text.contains("put the machine document there"), "{text}");
    fixture.put("sysroot/etc/slipway/machine.yaml", DOCUMENT);
    let fetched = fixture.fetch();
    assert_eq!(fetched.origin, "file /etc/slipway/machine.yaml");
    assert!(fetched.first_boot);
}
