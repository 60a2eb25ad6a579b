//! What goes wrong between a server and an HTTP store: a proxy that does it on request.

use std::{
    collections::VecDeque,
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// One thing that goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The store is not asked; the answer has this status and this code of S3.
    Answer(u16, &'static str),
    /// The same as `Answer(403, "RequestTimeTooSkewed")`, by a clock of long ago.
    Skewed,
    /// The connection is reset before the request gets to the store.
    Reset,
    /// The store does what it was asked to; its answer is lost with the connection.
    LoseAnswer,
    /// The store gets so many bytes of the body, then both connections are reset.
    CutRequest(usize),
    /// The store gets so many bytes of the body as if that was all.
    ShortenRequest(usize),
    /// So many bytes of the answer's body come, then the connection is reset.
    CutAnswer(usize),
    /// A bit in the middle of the answer's body is another one.
    FlipBit,
    /// Nothing happens until the client goes away.
    Hang,
}

/// A proxy in front of a store.
#[derive(Debug)]
pub struct FaultProxy {
    port: u16,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    upstream: String,
    script: Mutex<Script>,
    hits: watch::Sender<u32>,
}

#[derive(Debug, Default)]
struct Script {
    planned: VecDeque<Planned>,
    requests: Vec<String>,
}

#[derive(Debug)]
struct Planned {
    fault: Fault,
    /// What the request's first line begins with, and what it has in it.
    only: (&'static str, &'static str),
    times: u32,
}

/// A request as it came.
#[derive(Debug)]
struct Request {
    method: String,
    head: String,
    body: Vec<u8>,
}

impl FaultProxy {
    /// Starts one in front of `http://host:port`; it ends with its owner.
    pub async fn start(endpoint: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let upstream = endpoint.trim_start_matches("http://").to_owned();
        let script = Mutex::default();
        let state = Arc::new(State { upstream, script, hits: watch::Sender::new(0) });
        let serving = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = Arc::clone(&serving);
                // A connection that fails is the client's to notice.
                tokio::spawn(async move { serve(client, &state).await });
            }
        });
        Self { port, state, accepting }
    }

    /// URL of the proxy.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The next so many requests meet a fault.
    pub fn fail_next(&self, fault: Fault, times: u32) {
        self.plan(Planned { fault, only: ("", ""), times });
    }

    /// The next so many requests with a method meet a fault.
    pub fn fail_next_with(&self, method: &'static str, fault: Fault, times: u32) {
        self.plan(Planned { fault, only: (method, ""), times });
    }

    /// The next end of a multipart upload meets a fault.
    pub fn fail_next_end(&self, fault: Fault) {
        self.fail_next_of(("POST", "uploadId="), fault, 1);
    }

    /// The next so many requests with a method and something in their first line meet a fault.
    pub fn fail_next_of(&self, only: (&'static str, &'static str), fault: Fault, times: u32) {
        self.plan(Planned { fault, only, times });
    }

    /// From now on there are no faults.
    pub fn heal(&self) {
        self.state.script().planned.clear();
    }

    /// How many requests have met a fault.
    pub fn hits(&self) -> u32 {
        *self.state.hits.borrow()
    }

    /// Waits until so many requests have met a fault.
    pub async fn await_hits(&self, wanted: u32) {
        let mut hits = self.state.hits.subscribe();
        let reached = hits.wait_for(|hits| *hits >= wanted);
        let reached = tokio::time::timeout(crate::DEADLINE, reached).await;
        assert!(reached.is_ok(), "only {} of {wanted} faults happened", self.hits());
    }

    /// Heads of all requests that came, in lower case.
    pub fn requests(&self) -> Vec<String> {
        self.state.script().requests.clone()
    }

    fn plan(&self, planned: Planned) {
        self.state.script().planned.push_back(planned);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl State {
    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the fault that is planned for a request.
    fn meet(&self, request: &Request) -> Option<Fault> {
        let mut script = self.script();
        script.requests.push(request.head.to_ascii_lowercase());
        let line = request.head.lines().next().unwrap_or_default();
        let meets = |planned: &&mut Planned| {
            line.starts_with(planned.only.0) && line.contains(planned.only.1)
        };
        let planned = script.planned.iter_mut().find(meets)?;
        let fault = planned.fault;
        planned.times = planned.times.saturating_sub(1);
        script.planned.retain(|planned| planned.times > 0);
        drop(script);
        self.hits.send_modify(|hits| *hits += 1);
        Some(fault)
    }
}

/// Answers one request; every answer closes its connection.
async fn serve(mut client: TcpStream, state: &State) -> io::Result<()> {
    let Some(request) = read_request(&mut client).await? else { return Ok(()) };
    let upstream = &state.upstream;
    match state.meet(&request) {
        None => client.write_all(&ask(upstream, &request, request.body.len()).await?).await,
        Some(Fault::Answer(status, code)) => {
            client.write_all(&answer(&request, status, code, "")).await
        }
        Some(Fault::Skewed) => {
            let date = "Date: Sat, 01 Jan 2000 00:00:00 GMT\r\n";
            client.write_all(&answer(&request, 403, "RequestTimeTooSkewed", date)).await
        }
        Some(Fault::Reset) => client.set_zero_linger(),
        Some(Fault::LoseAnswer) => {
            ask(upstream, &request, request.body.len()).await?;
            client.set_zero_linger()
        }
        Some(Fault::CutRequest(bytes)) => {
            let mut store = TcpStream::connect(upstream).await?;
            store.write_all(request.head.as_bytes()).await?;
            store.write_all(&request.body[..bytes.min(request.body.len())]).await?;
            store.shutdown().await?;
            // The store has read what there was before anything else is asked of it.
            store.read_to_end(&mut Vec::new()).await?;
            client.set_zero_linger()
        }
        Some(Fault::ShortenRequest(bytes)) => {
            let bytes = bytes.min(request.body.len());
            client.write_all(&ask(upstream, &request, bytes).await?).await
        }
        Some(Fault::CutAnswer(bytes)) => {
            let whole = ask(upstream, &request, request.body.len()).await?;
            let end = whole.len().min(body_of(&whole) + bytes);
            client.write_all(&whole[..end]).await
        }
        Some(Fault::FlipBit) => {
            let mut whole = ask(upstream, &request, request.body.len()).await?;
            let middle = usize::midpoint(body_of(&whole), whole.len());
            whole[middle] ^= 1;
            client.write_all(&whole).await
        }
        Some(Fault::Hang) => client.read_to_end(&mut Vec::new()).await.map(|_| ()),
    }?;
    client.shutdown().await
}

/// Asks the store and gives its whole answer; only so many bytes of the body are sent.
async fn ask(upstream: &str, request: &Request, bytes: usize) -> io::Result<Vec<u8>> {
    let mut store = TcpStream::connect(upstream).await?;
    let mut head = String::new();
    for line in request.head.trim_end().lines() {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        if !["connection", "content-length", "expect"].contains(&name.as_str()) {
            head.push_str(line);
            head.push_str("\r\n");
        }
    }
    if !request.body.is_empty() || ["PUT", "POST"].contains(&request.method.as_str()) {
        head.push_str(&format!("Content-Length: {bytes}\r\n"));
    }
    head.push_str("Connection: close\r\n\r\n");
    store.write_all(head.as_bytes()).await?;
    store.write_all(&request.body[..bytes]).await?;
    let mut answer = Vec::new();
    store.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// Reads a request with its body; `None` where the client went away.
async fn read_request(client: &mut TcpStream) -> io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let start = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if client.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..start]).into_owned();
    let mut body = bytes.split_off(start);
    if header(&head, "expect").is_some() {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let length = header(&head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    while body.len() < length {
        if client.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    let method = head.split(' ').next().unwrap_or_default().to_owned();
    Ok(Some(Request { method, head, body }))
}

fn header<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(wanted).then(|| value.trim())
    })
}

/// Where the body of an answer begins.
fn body_of(answer: &[u8]) -> usize {
    answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |end| end + 4)
}

/// An answer as S3 gives it to a request that it refuses.
fn answer(request: &Request, status: u16, code: &str, more: &str) -> Vec<u8> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code>\
         <Message>as planned</Message></Error>"
    );
    let body = if request.method == "HEAD" { String::new() } else { body };
    format!(
        "HTTP/1.1 {status} Planned\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\
         {more}Connection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
