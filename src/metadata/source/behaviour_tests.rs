//! Every source behind the network against every way a service may behave, over real sockets.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use super::testing::Machine;
use super::testing::server::{Reply, Request, Server, answer};
use crate::exit::{Exit, exit_of};
use crate::metadata;
use crate::metadata::platform::{Network, PLATFORMS, Platform};
use crate::metadata::reading::ask;
use crate::tls::testing::Authority;

/// No text at all, as a compressed document is not.
const DOCUMENT: &[u8] = b"\x1f\x8b\0document\xff";
/// Stands for what no message may repeat.
const SECRET: &str = "hunter2";
const DOCUMENT_HASH: &str =
    "sha256-9c0a56524e21c3a5421cf8e2bf8ca3ab3f405ef3cd3b831377896e8b7445dc3b";

/// A healthy service as its platform's documentation has it.
struct Cloud {
    platform: &'static str,
    path: &'static str,
    /// What the request for it must carry.
    request: &'static [(&'static str, &'static str)],
    /// What every reply carries.
    reply: &'static [(&'static str, &'static str)],
    /// How the document is carried.
    body: fn() -> Vec<u8>,
}

const CLOUDS: [Cloud; 9] = [
    Cloud {
        platform: "ec2",
        path: "/2021-07-15/user-data",
        request: &[("x-aws-ec2-metadata-token", "token-1")],
        ..PLAIN
    },
    Cloud {
        platform: "gce",
        path: "/computeMetadata/v1/instance/attributes/user-data",
        request: &[("metadata-flavor", "Google")],
        reply: &[("Metadata-Flavor", "Google")],
        ..PLAIN
    },
    Cloud {
        platform: "azure",
        path: "/metadata/instance/compute/userData?api-version=2021-01-01&format=text",
        request: &[("metadata", "true")],
        body: || b"H4sAZG9j\ndW1lbnT/\n".to_vec(),
        ..PLAIN
    },
    Cloud {
        platform: "openstack",
        path: "/openstack/latest/user_data",
        ..PLAIN
    },
    Cloud {
        platform: "digitalocean",
        path: "/metadata/v1/user-data",
        ..PLAIN
    },
    Cloud {
        platform: "hetzner",
        path: "/hetzner/v1/userdata",
        ..PLAIN
    },
    Cloud {
        platform: "vultr",
        path: "/user-data/user-data",
        ..PLAIN
    },
    Cloud {
        platform: "nocloud",
        path: "/user-data",
        ..PLAIN
    },
    Cloud {
        platform: "url",
        path: "/machine.yaml?key=hunter2",
        ..PLAIN
    },
];

const PLAIN: Cloud = Cloud {
    platform: "",
    path: "",
    request: &[],
    reply: &[],
    body: || DOCUMENT.to_vec(),
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Document,
    Nothing,
    /// Asked again until the deadline.
    GaveUp,
    /// Asked once, and that is final.
    Refused,
}
use Outcome::{GaveUp, Nothing, Refused};

/// What a service does when it is asked for the document for the nth time, from 0; `None` is what
/// a healthy one does.
#[derive(Clone, Copy)]
struct Behaviour {
    name: &'static str,
    act: fn(usize) -> Option<Reply>,
    outcome: Outcome,
    except: &'static [(&'static str, Outcome)],
}

const fn row(name: &'static str, outcome: Outcome, act: fn(usize) -> Option<Reply>) -> Behaviour {
    Behaviour {
        name,
        act,
        outcome,
        except: &[],
    }
}

const fn but(except: &'static [(&'static str, Outcome)], row: Behaviour) -> Behaviour {
    Behaviour { except, ..row }
}

const BEHAVIOURS: [Behaviour; 32] = [
    row("healthy", Outcome::Document, |_| None),
    // An empty document has another hash; on Azure the CD is looked at, which is none here.
    but(
        &[("url", Refused), ("azure", Refused)],
        row("empty", Nothing, |_| Some(answer(200, &GOOGLE, ""))),
    ),
    but(
        &[("azure", GaveUp), ("url", Refused)],
        row("404", Nothing, |_| code(404)),
    ),
    row("408 at first", Outcome::Document, |n| first(n, 408)),
    row("425 at first", Outcome::Document, |n| first(n, 425)),
    row("429 at first", Outcome::Document, |n| first(n, 429)),
    row("500 at first", Outcome::Document, |n| first(n, 500)),
    row("503 at first", Outcome::Document, |n| first(n, 503)),
    row("wants time", Outcome::Document, |n| {
        (n == 0).then(|| answer(503, &[("Retry-After", "0")], SECRET))
    }),
    row("wants an hour", GaveUp, |_| {
        Some(answer(503, &[("Retry-After", "3600")], SECRET))
    }),
    row("503", GaveUp, |_| code(503)),
    row("204", Refused, |_| code(204)),
    row("400", Refused, |_| code(400)),
    // An expired token is the one thing to which EC2 answers so.
    but(&[("ec2", GaveUp)], row("401", Refused, |_| code(401))),
    row("403", Refused, |_| code(403)),
    row("405", Refused, |_| code(405)),
    but(&[("azure", GaveUp)], row("410", Refused, |_| code(410))),
    row("302", Refused, |_| redirect(302)),
    row("307", Refused, |_| redirect(307)),
    row("a web page", Refused, |_| {
        let html = [("Content-Type", "text/html; charset=utf-8"), GOOGLE[0]];
        Some(answer(200, &html, "<p>hunter2"))
    }),
    row("no end", Refused, |_| {
        Some(Reply::Endless(vec![b'a'; 256 * 1024]))
    }),
    row("more than can be", Refused, |_| {
        Some(answer(200, &GOOGLE, vec![b'a'; 4 * 1024 * 1024 + 1]))
    }),
    row("a reset at first", Outcome::Document, |n| {
        (n == 0).then_some(Reply::Reset)
    }),
    row("resets", GaveUp, |_| Some(Reply::Reset)),
    row("no HTTP at first", Outcome::Document, |n| {
        (n == 0).then(|| bytes("hunter2\r\n\r\n"))
    }),
    row("no HTTP", GaveUp, |_| Some(bytes("SSH-2.0-hunter2\r\n"))),
    row("half an answer at first", Outcome::Document, |n| {
        (n == 0).then(|| bytes("HTTP/1.1 200 X\r\nContent-Length: 99\r\n\r\nhunter2"))
    }),
    row("half a head at first", Outcome::Document, |n| {
        (n == 0).then(|| bytes("HTTP/1.1 200 X\r\nContent-Len"))
    }),
    row("silence", GaveUp, |_| Some(Reply::Stall(Vec::new()))),
    row("silence in the body", GaveUp, |_| {
        Some(Reply::Stall(b"HTTP/1.1 200 X\r\n\r\nhunter2".to_vec()))
    }),
    row("a slow head", GaveUp, |_| {
        Some(Reply::Drip(
            b"HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n".to_vec(),
        ))
    }),
    row("a slow body", GaveUp, |_| {
        Some(Reply::Drip(b"HTTP/1.1 200 X\r\n\r\n".repeat(4)))
    }),
];

/// Google's own refusals carry it, and it disturbs no other.
const GOOGLE: [(&str, &str); 1] = [("Metadata-Flavor", "Google")];

fn bytes(text: &str) -> Reply {
    Reply::Bytes(text.as_bytes().to_vec())
}

fn code(code: u16) -> Option<Reply> {
    Some(answer(code, &GOOGLE, if code == 204 { "" } else { SECRET }))
}

fn first(n: usize, with: u16) -> Option<Reply> {
    (n == 0).then(|| code(with)).flatten()
}

/// Where redirects lead; nobody may go there.
static ELSEWHERE: LazyLock<Server> = LazyLock::new(|| Server::start(|_| answer(200, &[], SECRET)));

fn redirect(code: u16) -> Option<Reply> {
    let to = ELSEWHERE.url("/?token=hunter2");
    Some(answer(code, &[("Location", &to), GOOGLE[0]], SECRET))
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);

impl Cloud {
    /// What a healthy service says to a request for anything.
    fn healthy(&self, request: &Request) -> Reply {
        let token = request.header("x-aws-ec2-metadata-token-ttl-seconds") == Some("21600");
        if request.method == "PUT" && request.path == "/latest/api/token" && token {
            return answer(200, &[], "token-1\n");
        }
        let mut needed = self.request.iter();
        if !needed.all(|(name, value)| request.header(name) == Some(value)) {
            return answer(400, self.reply, SECRET);
        }
        match request.method == "GET" && request.path == self.path {
            true => answer(200, self.reply, (self.body)()),
            false => answer(404, self.reply, SECRET),
        }
    }

    fn server(&'static self, act: fn(usize) -> Option<Reply>) -> (Server, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let asked = count.clone();
        let route = move |request: &Request| {
            if request.path != self.path {
                return self.healthy(request);
            }
            let n = asked.fetch_add(1, Ordering::SeqCst);
            act(n).unwrap_or_else(|| self.healthy(request))
        };
        let server = match self.platform {
            "url" => Server::tls(AUTHORITY.open_server("127.0.0.1"), route),
            _ => Server::start(route),
        };
        (server, count)
    }

    fn machine(&self, server: &Server, limit: Duration) -> Machine {
        let url = server.url(self.path);
        let line = match self.platform {
            "url" => format!("slipway.config={url} slipway.config.hash={DOCUMENT_HASH}"),
            "nocloud" => format!("ds=nocloud;s={}", server.url("/")),
            _ => String::new(),
        };
        let mut machine = Machine::new(&line, limit);
        machine.link_local = server.url("");
        machine.put("/etc/ssl/certs/ca-certificates.crt", AUTHORITY.pem());
        machine.put("/dev/sr0", "no CD");
        machine
    }
}

fn cloud(platform: &Platform) -> &'static Cloud {
    CLOUDS
        .iter()
        .find(|cloud| cloud.platform == platform.name)
        .unwrap_or_else(|| panic!("platform {} has no row in CLOUDS", platform.name))
}

fn networked() -> impl Iterator<Item = &'static Platform> {
    PLATFORMS
        .iter()
        .filter(|platform| platform.network != Network::Never)
}

fn check(platform: &'static Platform, behaviour: &Behaviour) {
    let cloud = cloud(platform);
    let mut except = behaviour.except.iter();
    let except = except.find(|(name, _)| *name == platform.name);
    let want = except.map_or(behaviour.outcome, |(_, outcome)| *outcome);
    let limit = match want {
        GaveUp => Duration::from_millis(150),
        _ => Duration::from_secs(60),
    };
    let (server, asked) = cloud.server(behaviour.act);
    let machine = cloud.machine(&server, limit);
    let got = match ask(platform, &machine.context()) {
        Ok(metadata::Outcome::Found(found)) => {
            assert_eq!(found.bytes, DOCUMENT);
            Outcome::Document
        }
        Ok(metadata::Outcome::Nothing(_)) => Nothing,
        Ok(metadata::Outcome::NeedsNetwork(what)) => panic!("{what} has it"),
        Err(error) => outcome(&error),
    };
    let what = format!("{}, {}", platform.name, behaviour.name);
    assert_eq!(got, want, "{what}: {:?}", server.seen());
    if got == Refused {
        assert_eq!(asked.load(Ordering::SeqCst), 1, "{what}");
    }
}

fn outcome(error: &anyhow::Error) -> Outcome {
    let text = format!("{error:#}");
    assert!(!text.contains(SECRET), "{text}");
    assert!(
        matches!(exit_of(error), Exit::NotFound | Exit::Refused),
        "{text}"
    );
    match text.contains("gave up waiting for") {
        true => GaveUp,
        false => Refused,
    }
}

#[test]
fn every_platform_with_every_behaviour() {
    thread::scope(|scope| {
        for platform in networked() {
            for behaviour in &BEHAVIOURS {
                scope.spawn(move || check(platform, behaviour));
            }
        }
    });
    assert_eq!(ELSEWHERE.requests(), [], "a redirect was followed");
}

#[test]
fn the_table_names_platforms_that_there_are() {
    let names: BTreeSet<_> = PLATFORMS.iter().map(|platform| platform.name).collect();
    let rows = CLOUDS.iter().map(|cloud| cloud.platform);
    let excepted = BEHAVIOURS.iter().flat_map(|behaviour| behaviour.except);
    for name in rows.chain(excepted.map(|(name, _)| *name)) {
        assert!(names.contains(name), "{name}");
    }
    for platform in networked() {
        cloud(platform);
    }
}

#[test]
fn nobody_there_is_waited_for() {
    for platform in networked() {
        let cloud = cloud(platform);
        let (server, _) = cloud.server(|_| None);
        let mut machine = cloud.machine(&server, Duration::from_millis(20));
        machine.link_local = "http://127.0.0.1:1".to_owned();
        // The others are told an address of their own.
        if !["url", "nocloud"].contains(&platform.name) {
            let error = ask(platform, &machine.context()).err().unwrap();
            assert_eq!(outcome(&error), GaveUp, "{}", platform.name);
            assert_eq!(server.seen().len(), 0, "only the link is asked");
        }
    }
}

#[test]
fn without_network_nobody_is_asked() {
    for platform in networked() {
        let cloud = cloud(platform);
        let (server, _) = cloud.server(|_| None);
        let mut machine = cloud.machine(&server, Duration::from_secs(60));
        machine.online = false;
        let got = ask(platform, &machine.context()).unwrap();
        assert!(
            matches!(got, metadata::Outcome::NeedsNetwork(_)),
            "{}",
            platform.name
        );
        assert_eq!(server.requests(), []);
    }
}

#[test]
fn requests_say_who_asks_and_take_bytes_as_they_are() {
    for platform in networked() {
        let cloud = cloud(platform);
        let (server, _) = cloud.server(|_| None);
        ask(
            platform,
            &cloud.machine(&server, Duration::from_secs(60)).context(),
        )
        .unwrap();
        let requests = server.requests();
        let data = requests.iter().find(|request| request.path == cloud.path);
        let data = data.unwrap();
        assert!(data.header("user-agent").unwrap().starts_with("slipway/"));
        assert_eq!(data.header("accept-encoding"), Some("identity"));
    }
}

/// The environment of this process is shared by all tests; a process of its own is not.
#[test]
fn proxies_of_the_environment_are_not_asked() {
    let test =
        "metadata::source::behaviour_tests::requests_say_who_asks_and_take_bytes_as_they_are";
    let proxy = Server::start(|_| answer(200, &[], SECRET));
    let mut command = Command::new(std::env::current_exe().unwrap());
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env(name, proxy.url(""));
        command.env(name.to_uppercase(), proxy.url(""));
    }
    let run = command.args(["--exact", test]).output().unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && text.contains("1 passed"), "{text}");
    assert_eq!(proxy.requests(), []);
}
