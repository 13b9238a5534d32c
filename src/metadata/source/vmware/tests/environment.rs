use super::*;

#[test]
fn ignitions_property_is_read_last_and_as_its_encoding_says() {
    let cases: [(Properties<'_>, Result<&str, &str>); 6] = [
        (&[(DATA, "a: b")], Ok("a: b")),
        (&[(DATA, "aGVsbG8="), (ENCODING, "")], Ok("aGVsbG8=")),
        (&[(ENCODING, "b64"), (DATA, "aGVsbG8=")], Ok("hello")),
        (
            &[("user-data", ""), (DATA, "aGVsbG8="), (ENCODING, "gz+b64")],
            Ok("hello"),
        ),
        (
            &[(DATA, "hunter2!"), (ENCODING, "base64")],
            Err("base64, but"),
        ),
        (
            &[(DATA, "hunter2!"), (ENCODING, "gzip")],
            Err("use gzip+base64"),
        ),
    ];
    for (properties, want) in cases {
        let got = find(&mut variables(&[("ovfEnv", &environment(properties))]));
        match want {
            Ok(want) => {
                let want = Answer::document(want, format!("OVF property {DATA}"));
                assert_eq!(got.unwrap(), want, "{properties:?}");
            }
            Err(want) => {
                let error = got.unwrap_err();
                let text = format!("{error:#}");
                assert_eq!(exit_of(&error), Exit::Invalid);
                assert!(text.contains(want) && text.contains(DATA), "{text}");
                assert!(!text.contains("hunter2"), "{text}");
            }
        }
    }
    let both = environment(&[(DATA, "x"), ("user-data", "hello")]);
    let want = Answer::document("hello", "OVF property user-data");
    assert_eq!(find(&mut variables(&[("ovfEnv", &both)])).unwrap(), want);
}

#[test]
fn the_ovf_environment_keeps_what_is_no_document() {
    let others = [("a", "1"), ("guestinfo.ignition.config", "b")];
    let ours = [
        (DATA, "hunter2"),
        ("user-data", "hunter2"),
        (ENCODING, "base64"),
        ("guestinfo.userdata", "hunter2"),
    ];
    let before = environment(&[others, [ours[0], ours[1]], [ours[2], ours[3]]].concat());
    let after = environment(&others);
    for variable in [&[][..], &[("userdata", "x")]] {
        let mut info = variables(&[variable, &[("ovfEnv", &before)]].concat());
        scrub(&mut info).unwrap();
        assert_eq!(info["guestinfo.ovfEnv"], after.as_bytes());
        assert!(matches!(find(&mut info).unwrap(), Answer::Nothing(_)));
    }
}

#[test]
fn what_is_for_other_programs_stays_theirs() {
    let theirs = "#cloud-config\nusers: []\n";
    let before = environment(&[("user-data", theirs), (DATA, "hunter2")]);
    let mut info = variables(&[
        ("userdata", "IyEvYmluL3NoCg=="),
        ("userdata.encoding", "base64"),
        ("ovfEnv", &before),
    ]);
    scrub(&mut info).unwrap();
    assert_eq!(info["guestinfo.userdata"], b"IyEvYmluL3NoCg==");
    let after = environment(&[("user-data", theirs)]);
    assert_eq!(info["guestinfo.ovfEnv"], after.as_bytes());
}

#[test]
fn a_broken_ovf_environment_does_not_keep_a_variable_from_being_taken_away() {
    let mut info = variables(&[("userdata", "hunter2"), ("ovfEnv", "<E>")]);
    let text = format!("{:#}", scrub(&mut info).unwrap_err());
    assert!(text.contains("breaks off"), "{text}");
    assert_eq!(info["guestinfo.userdata"], b"---");
}
