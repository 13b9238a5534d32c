use super::super::testing::Machine;
use super::*;
use crate::metadata::platform::PLATFORMS;
use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

fn dmi(vendor: &str, product: &str) -> Facts {
    Facts {
        vendor: vendor.to_owned(),
        product: product.to_owned(),
        ..Facts::default()
    }
}

fn name(facts: &Facts) -> Option<&'static str> {
    identify(facts).map(|clue| clue.platform)
}

#[test]
fn the_firmware_names_clouds() {
    let cases = [
        ("Amazon EC2", "m5.large", "", "", "", Some("ec2")),
        (
            "Xen",
            "HVM domU",
            "",
            "EC2E1916-9099-7CAF-FD21-012345ABCDEF",
            "",
            Some("ec2"),
        ),
        (
            "Xen",
            "HVM domU",
            "",
            "45E12AEC-DCD1-B213-94ED-012345ABCDEF",
            "",
            Some("ec2"),
        ),
        (
            "Xen",
            "HVM domU",
            "",
            "45E12AED-DCD1-B213-94ED-012345ABCDEF",
            "",
            None,
        ),
        (
            "QEMU",
            "Standard PC",
            "",
            "45E12AEC-DCD1-B213-94ED-012345ABCDEF",
            "",
            None,
        ),
        ("Google", "Google Compute Engine", "", "", "", Some("gce")),
        ("Google", "", "GoogleCloud-0123", "", "", Some("gce")),
        (
            "Microsoft Corporation",
            "Virtual Machine",
            "",
            "",
            "7783-7084-3265-9085-8269-3286-77",
            Some("azure"),
        ),
        (
            "Microsoft Corporation",
            "Virtual Machine",
            "0",
            "",
            "1",
            Some("hyperv"),
        ),
        ("Microsoft Corporation", "Surface", "", "", "", None),
        (
            "OpenStack Foundation",
            "OpenStack Nova",
            "",
            "",
            "",
            Some("openstack"),
        ),
        ("RDO", "", "", "", "OpenStack Compute", Some("openstack")),
        ("DigitalOcean", "Droplet", "", "", "", Some("digitalocean")),
        ("Hetzner", "vServer", "", "", "", Some("hetzner")),
        ("Vultr", "VC2", "", "", "", Some("vultr")),
        (
            "VMware, Inc.",
            "VMware Virtual Platform",
            "",
            "",
            "",
            Some("vmware"),
        ),
        ("QEMU", "Standard PC", "", "é", "", None),
        ("", "", "", "", "", None),
    ];
    for (vendor, product, serial, uuid, tag, want) in cases {
        let facts = Facts {
            serial: serial.to_owned(),
            uuid: uuid.to_owned(),
            tag: tag.to_owned(),
            ..dmi(vendor, product)
        };
        assert_eq!(name(&facts), want, "{facts:?}");
    }
}

/// Each step takes away what won before.
#[test]
fn hand_overs_win_over_firmware_and_that_over_disks() {
    let mut facts = Facts {
        credential: true,
        string: true,
        entry: true,
        seed: true,
        cidata: true,
        config_2: true,
        ..dmi("Hetzner", "vServer")
    };
    let mut next = |change: fn(&mut Facts)| {
        let name = name(&facts);
        change(&mut facts);
        name
    };
    assert_eq!(next(|facts| facts.credential = false), Some("credential"));
    assert_eq!(next(|facts| facts.string = false), Some("smbios"));
    assert_eq!(next(|facts| facts.entry = false), Some("qemu"));
    assert_eq!(next(|facts| facts.seed = false), Some("nocloud"));
    assert_eq!(next(|facts| facts.vendor.clear()), Some("hetzner"));
    assert_eq!(next(|facts| facts.cidata = false), Some("nocloud"));
    assert_eq!(next(|facts| facts.config_2 = false), Some("configdrive"));
    assert_eq!(next(|_| {}), None);
}

#[test]
fn every_clue_names_a_platform_of_the_table() {
    let names: BTreeSet<_> = PLATFORMS.iter().map(|platform| platform.name).collect();
    let clues: BTreeSet<_> = CLUES.iter().map(|clue| clue.platform).collect();
    let missing: Vec<_> = clues.difference(&names).copied().collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_disk_that_appears_late_is_waited_for() {
    let machine = Machine::new("quiet", Duration::from_secs(60));
    let late = machine.root().join("dev/disk/by-label");
    let late = thread::spawn(move || {
        std::fs::create_dir_all(&late).and_then(|()| std::fs::write(late.join("config-2"), ""))
    });
    assert_eq!(platform(&machine.context()), Ok("configdrive"));
    late.join().unwrap().unwrap();
}

#[test]
fn what_nothing_tells_is_described() {
    let machine = Machine::new("quiet", Duration::from_millis(20));
    machine.put("/sys/class/dmi/id/sys_vendor", "Acme\n");
    let why = platform(&machine.context()).unwrap_err();
    assert!(
        why.contains("within 20ms") && why.contains("\"Acme\""),
        "{why}"
    );
}
