//! The release server as a process of its own, for benches that talk to it. Measures nothing itself.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use tonic::transport::Channel;

use crate::cluster::Failure;

/// The server as users run it; ended when dropped.
pub(crate) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts the release server over a database, with more arguments, and waits until it listens.
    pub(crate) fn start(uri: &str, more: &[&str]) -> Result<Self, Failure> {
        let port = free_port()?;
        let listen = format!("127.0.0.1:{port}");
        let child = Command::new(env!("CARGO_BIN_EXE_pgflight"))
            .args(["serve", "--listen", &listen, "--admin-listen", "off"])
            .args(more)
            .env("PGFLIGHT_CONNECTION_STRING", uri)
            .stdout(Stdio::null())
            .spawn()?;
        let server = Self { child, port };
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err("the server does not listen".into())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens, such as `127.0.0.1:4711`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A Flight client with a connection of its own.
    pub(crate) async fn client(&self) -> Result<FlightServiceClient<Channel>, Failure> {
        let endpoint = Channel::from_shared(format!("http://{}", self.address()))?;
        Ok(FlightServiceClient::new(endpoint.connect().await?))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> Result<u16, Failure> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
