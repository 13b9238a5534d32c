//! The clouds, healthy as their platforms' documentation has them.

use std::sync::LazyLock;
use std::time::Duration;

use super::super::testing::Machine;
use super::super::testing::server::{Reply, Request, Server, answer};
use super::SECRET;
use crate::metadata::platform::{Network, PLATFORMS, Platform};
use crate::tls::testing::Authority;

/// No text at all, as a compressed document is not.
pub const DOCUMENT: &[u8] = b"\x1f\x8b\0document\xff";
const DOCUMENT_HASH: &str =
    "sha256-9c0a56524e21c3a5421cf8e2bf8ca3ab3f405ef3cd3b831377896e8b7445dc3b";

/// Where EC2 gives a token, and what that column of the table is called.
pub const TOKEN: &str = "/latest/api/token";
pub const EC2_TOKEN: &str = "ec2 token";

/// A healthy service as its platform's documentation has it.
pub struct Cloud {
    pub platform: &'static str,
    pub path: &'static str,
    /// What the request for it must carry.
    pub request: &'static [(&'static str, &'static str)],
    /// What every reply carries.
    pub reply: &'static [(&'static str, &'static str)],
    /// How the document is carried.
    pub body: fn() -> Vec<u8>,
}

pub const CLOUDS: [Cloud; 9] = [
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

static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);

impl Cloud {
    /// What a healthy service says to a request for anything.
    fn healthy(&self, request: &Request) -> Reply {
        let token = request.header("x-aws-ec2-metadata-token-ttl-seconds") == Some("21600");
        if request.method == "PUT" && request.path == TOKEN && token {
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

    /// One that is healthy wherever `act` has no answer.
    pub fn server(
        &'static self,
        mut act: impl FnMut(&Request) -> Option<Reply> + Send + 'static,
    ) -> Server {
        let route = move |request: &Request| act(request).unwrap_or_else(|| self.healthy(request));
        match self.platform {
            "url" => Server::tls(AUTHORITY.open_server("127.0.0.1"), route),
            _ => Server::start(route),
        }
    }

    pub fn machine(&self, server: &Server, limit: Duration) -> Machine {
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

pub fn cloud(platform: &Platform) -> &'static Cloud {
    CLOUDS
        .iter()
        .find(|cloud| cloud.platform == platform.name)
        .unwrap_or_else(|| panic!("platform {} has no row in CLOUDS", platform.name))
}

pub fn networked() -> impl Iterator<Item = &'static Platform> {
    PLATFORMS
        .iter()
        .filter(|platform| platform.network != Network::Never)
}

/// A column of the table: what the service of a platform may misbehave at.
#[derive(Clone, Copy)]
pub struct Column {
    pub name: &'static str,
    pub platform: &'static Platform,
    pub path: &'static str,
}

/// The document of every platform, and the token that EC2 wants to be asked for before.
pub fn columns() -> impl Iterator<Item = Column> {
    let document = |platform: &'static Platform| Column {
        name: platform.name,
        platform,
        path: cloud(platform).path,
    };
    let token = |column: Column| Column {
        name: EC2_TOKEN,
        path: TOKEN,
        ..column
    };
    let documents = || networked().map(document);
    let ec2 = documents().filter(|column| column.name == "ec2");
    documents().chain(ec2.map(token))
}
