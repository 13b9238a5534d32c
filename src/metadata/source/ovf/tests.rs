use super::*;
use crate::exit::exit_of;
use proptest::prelude::*;

const VMWARE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1"
     xmlns:oe="http://schemas.dmtf.org/ovf/environment/1" oe:id="">
   <PlatformSection><Kind>VMware ESXi</Kind></PlatformSection>
   <Entity oe:id="sibling"><PropertySection>
     <Property oe:key="user-data" oe:value="another machine's"/>
   </PropertySection></Entity>
   <PropertySection>
     <Property oe:key="hostname" oe:value="a &amp; b"/>
     <Property oe:value="x&#58;
 &lt;y&gt;" oe:key="user-data"></Property>
     <Property oe:key="bare"/>
   </PropertySection>
</Environment>"#;

fn azure(data: &str) -> String {
    format!(
        r#"<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:wa="http://schemas.microsoft.com/windowsazure">
<wa:ProvisioningSection><wa:Version>1.0</wa:Version>
<LinuxProvisioningConfigurationSet xmlns="http://schemas.microsoft.com/windowsazure">
<HostName>a</HostName>{data}
</LinuxProvisioningConfigurationSet></wa:ProvisioningSection></Environment>"#
    )
}

#[test]
fn properties_are_this_machines() {
    let read = |key| property(VMWARE.as_bytes(), key).unwrap();
    assert_eq!(read("user-data").as_deref(), Some("x:\n <y>"));
    assert_eq!(read("hostname").as_deref(), Some("a & b"));
    assert_eq!(read("bare").as_deref(), Some(""));
    assert_eq!(read("missing"), None);
}

#[test]
fn custom_data_is_found_in_any_dress() {
    let cases = [
        ("<CustomData>aGVs\n  bG8=</CustomData>", Some("hello")),
        ("<wa:CustomData>aGVsbG8=</wa:CustomData>", Some("hello")),
        (
            "<CustomData><![CDATA[aGVsbG8=]]></CustomData>",
            Some("hello"),
        ),
        ("<CustomData>aGVs&#98;G8=</CustomData>", Some("hello")),
        ("<CustomData/>", None),
        ("<CustomData> \n </CustomData>", None),
        ("", None),
    ];
    for (xml, want) in cases {
        let got = custom_data(azure(xml).as_bytes()).unwrap();
        assert_eq!(got.as_deref(), want.map(str::as_bytes), "{xml}");
    }
    let marked = format!("\u{feff}{}", azure("<CustomData>aGVsbG8=</CustomData>"));
    assert!(custom_data(marked.as_bytes()).unwrap().is_some());
}

#[test]
fn what_is_wrong_is_said_without_the_content() {
    let deep = "<hunter2>".repeat(MAX_DEPTH + 1);
    let bomb = "<!DOCTYPE x [<!ENTITY a 'hunter2'>]><x/>";
    let cases = [
        (azure("<CustomData>hunter2!</CustomData>"), "is not base64"),
        (
            azure("<CustomData><hunter2/></CustomData>"),
            "holds elements",
        ),
        (
            azure("<CustomData>&hunter2;</CustomData>"),
            "an entity that",
        ),
        (azure("<CustomData>&#xD800;</CustomData>"), "an entity that"),
        (azure("</hunter2>"), "is not XML (byte"),
        (bomb.to_owned(), "document type"),
        (deep, "more than 16 levels"),
        ("<hunter2><b>".to_owned(), "breaks off"),
        ("a".repeat(MAX_BYTES as usize + 1), "more than 4096 KiB"),
    ];
    for (xml, want) in cases {
        let error = custom_data(xml.as_bytes()).unwrap_err();
        let text = format!("{error:#}");
        assert_eq!(exit_of(&error), Exit::Invalid);
        assert!(text.contains(want) && !text.contains("hunter2"), "{text}");
    }
    let text = custom_data(b"<a>\xff</a>").unwrap_err().to_string();
    assert!(text.contains("not UTF-8"), "{text}");
}

#[test]
fn many_attributes_take_no_time() {
    let many = " a='b'".repeat(200_000);
    let xml = format!("<E><PropertySection><Property{many}/></PropertySection></E>");
    assert_eq!(property(xml.as_bytes(), "user-data").unwrap(), None);
}

#[test]
fn properties_are_taken_out_and_nothing_else() {
    let ours = [
        r#"<Property oe:key="bare"/>"#,
        "<Property oe:value=\"x&#58;\n &lt;y&gt;\" oe:key=\"user-data\"></Property>",
    ];
    let pruned = ours.iter().fold(VMWARE.to_owned(), |xml, property| {
        assert!(xml.contains(property));
        xml.replace(property, "")
    });
    for mark in ["", "\u{feff}"] {
        let xml = format!("{mark}{VMWARE}");
        let got = without(xml.as_bytes(), &["user-data", "bare", "missing"]).unwrap();
        assert_eq!(got, Some(format!("{mark}{pruned}")));
    }
    assert_eq!(without(VMWARE.as_bytes(), &["missing"]).unwrap(), None);
}

#[test]
fn an_environment_that_cannot_be_walked_through_is_not_cut() {
    let property = "<E><PropertySection><Property key='k' value='hunter2'/>";
    for broken in [
        "",
        "</E>",
        "<a b='&hunter2;'><",
        "<Property key='&hunter2;'/>",
    ] {
        let error = without(format!("{property}{broken}").as_bytes(), &["k"]).unwrap_err();
        let text = format!("{error:#}");
        assert_eq!(exit_of(&error), Exit::Invalid);
        assert!(!text.contains("hunter2"), "{text}");
    }
}

/// What a section may hold, and whether it is a property of key `k`.
const PIECES: [(&str, bool); 13] = [
    ("<Property key='k' value='&lt;'/>", true),
    ("<Property oe:key=\"&#107;\">\r\n</Property >", true),
    (
        "<a:Property v='>' key='k'><Property key='k'/>&amp;<x/></a:Property>",
        true,
    ),
    ("<Property key='kk' value=\"k\" />", false),
    (
        "<Property\tkey='other'><Property key='k'/></Property>",
        false,
    ),
    ("<Property value='k'/>", false),
    ("<x><Property key='k'/></x>", false),
    ("<!-- <Property key='k'/> -->", false),
    ("<![CDATA[<Property key='k'/>]]>", false),
    ("<?p <Property key='k'/>?>", false),
    ("&#60;é&gt;", false),
    (" \n", false),
    ("<x/>", false),
];

proptest! {
    #[test]
    fn every_other_byte_stays(list in proptest::collection::vec(0..PIECES.len(), 0..12)) {
        let join = |keep: fn(bool) -> bool| {
            let kept = list.iter().map(|at| PIECES[*at]).filter(|(_, ours)| keep(*ours));
            let inner: String = kept.map(|(piece, _)| piece).collect();
            format!("<?xml version='1.0'?>\n<E><PropertySection>{inner}</PropertySection></E>\n")
        };
        let (whole, rest) = (join(|_| true), join(|ours| !ours));
        let got = without(whole.as_bytes(), &["k"]).unwrap();
        prop_assert_eq!(got, (whole != rest).then(|| rest.clone()));
        prop_assert_eq!(without(rest.as_bytes(), &["k"]).unwrap(), None);
        prop_assert_eq!(property(rest.as_bytes(), "k").unwrap(), None);
    }

    #[test]
    fn never_panics(xml in "(<|>|&|;|/|!|\\[|'|\"|=| |CustomData|Property|PropertySection|E|\\PC){0,60}") {
        let _ = custom_data(xml.as_bytes());
        let _ = property(xml.as_bytes(), "E");
        let _ = without(xml.as_bytes(), &["E"]);
    }

    #[test]
    fn an_escaped_value_comes_back(value in "\\PC{0,40}") {
        let escaped = quick_xml::escape::escape(value.as_str());
        let xml = format!("<E><PropertySection><Property key='k' value=\"{escaped}\"/></PropertySection></E>");
        prop_assert_eq!(property(xml.as_bytes(), "k").unwrap(), Some(value));
    }
}
