//! The local API of a running server, as the commands that give orders use it.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ConfigArg, Failure};
use crate::admin::api::{OrderAnswer, OrderRequest, Problem};
use crate::admin::socket_path;
use crate::config;
use crate::model::effect::Effect;

/// How long an answer may take, beyond what a request asks to wait.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where the server is.
#[derive(Debug, clap::Args)]
pub(super) struct SocketArg {
    #[command(flatten)]
    config: ConfigArg,
    /// The server's socket instead of where the configuration says
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// A connection to the local API.
#[derive(Debug)]
pub(super) struct Local {
    client: reqwest::blocking::Client,
    socket: PathBuf,
}

impl SocketArg {
    pub(super) fn connect(&self) -> Result<Local, Failure> {
        let socket = match &self.socket {
            Some(socket) => socket.clone(),
            None => {
                let path = &self.config.config;
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Failure::Message(format!("{}: {error}", path.display())))?;
                let (server, _) = config::server::parse(path, &text).map_err(|errors| {
                    errors.iter().for_each(|error| eprintln!("{error}"));
                    Failure::Said
                })?;
                socket_path(&server, None)
            }
        };
        // The client wants to know how it would do TLS, which a Unix socket has no need of.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client =
            reqwest::blocking::Client::builder().unix_socket(socket.clone()).timeout(None).build()?;
        Ok(Local { client, socket })
    }
}

impl Local {
    /// Asks for something.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str, wait: Duration) -> Result<T, Failure> {
        self.answer(self.client.get(format!("http://localhost{path}")).timeout(PATIENCE + wait))
    }

    /// Asks for text.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        let request = self.client.get(format!("http://localhost{path}")).timeout(PATIENCE);
        request.send().ok()?.error_for_status().ok()?.text().ok()
    }

    /// Orders something.
    pub(super) fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        self.answer(self.client.post(format!("http://localhost{path}")).timeout(PATIENCE).json(body))
    }

    fn answer<T: DeserializeOwned>(&self, request: reqwest::blocking::RequestBuilder) -> Result<T, Failure> {
        let response = request.send().map_err(|error| {
            let socket = self.socket.display();
            Failure::Message(format!("{socket}: no server answers here, or this user may not ask: {error}"))
        })?;
        if response.status().is_success() {
            return Ok(response.json()?);
        }
        let status = response.status();
        let text = response.text()?;
        let problem = serde_json::from_str::<Problem>(&text).map(|problem| problem.error);
        Err(Failure::Message(problem.unwrap_or_else(|_| format!("{status}: {text}"))))
    }
}

/// Gives an order and tells what came of it.
pub(super) fn order(server: &SocketArg, path: &str, request: &OrderRequest) -> Result<OrderAnswer, Failure> {
    let answer: OrderAnswer = server.connect()?.post(path, request)?;
    println!("{}", answer.text);
    for Effect { name, rtype, regions, old, new } in &answer.effects {
        println!("  {name} {rtype} for {}: {old} -> {new}", regions.join(" "));
    }
    Ok(answer)
}
