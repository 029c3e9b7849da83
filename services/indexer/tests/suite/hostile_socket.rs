//! A server that misbehaves below the protocol: every call ends in time, and the next one works.

use std::io::{BufRead as _, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ailayer_indexer::adapters::electrum_client::{ElectrumClient, ElectrumOptions};
use ailayer_indexer::ports::{ElectrumSource as _, SourceError};
use bitcoin::BlockHash;
use serde_json::{Value, json};

const REQUEST_TIMEOUT: Duration = Duration::from_millis(800);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Good,
    /// One byte at a time, never a whole line.
    Drips,
    /// A line without end, as fast as it goes.
    Endless,
    /// JSON that the client library indexes into without looking.
    List,
    Garbage,
    HangsUp,
    /// Thousands of notifications before the answer.
    Chatty,
    /// An answer that counts more headers than it has.
    Miscounts,
}

struct Hostile {
    address: String,
    manner: Arc<Mutex<Manner>>,
}

impl Hostile {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let manner = Arc::new(Mutex::new(Manner::Good));
        let shared = Arc::clone(&manner);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let manner = Arc::clone(&shared);
                // Ends with the connection; errors are the client hanging up.
                std::thread::spawn(move || serve(stream, &manner));
            }
        });
        Self { address, manner }
    }

    fn behave(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    fn client(&self, scheme: &str, genesis_hash: BlockHash) -> ElectrumClient {
        let endpoint = format!("{scheme}://{}", self.address).parse().unwrap();
        let options =
            ElectrumOptions { endpoint, genesis_hash, request_timeout: REQUEST_TIMEOUT, connections: 1 };
        ElectrumClient::start(&options).unwrap()
    }
}

fn genesis() -> BlockHash {
    bitcoin::constants::genesis_block(bitcoin::Network::Regtest).block_hash()
}

fn serve(stream: TcpStream, manner: &Mutex<Manner>) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    for line in BufReader::new(stream).lines() {
        let Ok(request) = serde_json::from_str::<Value>(&line?) else { return Ok(()) };
        let result = match request["method"].as_str() {
            Some("server.version") => json!(["hostile", "1.4"]),
            Some("server.features") => json!({ "genesis_hash": genesis().to_string() }),
            _ => {
                misbehave(*manner.lock().unwrap(), &mut out)?;
                json!({ "count": 9, "max": 2016, "hex": "" })
            }
        };
        writeln!(out, "{}", json!({ "id": request["id"], "result": result }))?;
    }
    Ok(())
}

fn misbehave(manner: Manner, out: &mut TcpStream) -> std::io::Result<()> {
    match manner {
        Manner::Good | Manner::Miscounts => Ok(()),
        Manner::Drips => loop {
            out.write_all(b" ")?;
            std::thread::sleep(Duration::from_millis(20));
        },
        Manner::Endless => loop {
            out.write_all(&[b'a'; 65_536])?;
        },
        Manner::List => writeln!(out, "[1, 2]"),
        Manner::Garbage => writeln!(out, "hello"),
        Manner::HangsUp => out.shutdown(std::net::Shutdown::Both),
        Manner::Chatty => {
            let header = bitcoin::constants::genesis_block(bitcoin::Network::Regtest).header;
            let hex = bitcoin::consensus::encode::serialize_hex(&header);
            let notification =
                json!({ "method": "blockchain.headers.subscribe", "params": [{ "height": 0, "hex": hex }] });
            (0..2_000).try_for_each(|_| writeln!(out, "{notification}"))
        }
    }
}

#[tokio::test]
async fn every_call_ends_in_time_and_the_next_one_works() {
    let server = Hostile::start();
    let client = server.client("tcp", genesis());
    for manner in [
        Manner::Drips,
        Manner::Endless,
        Manner::List,
        Manner::Garbage,
        Manner::HangsUp,
        Manner::Chatty,
        Manner::Miscounts,
    ] {
        server.behave(manner);
        let began = Instant::now();
        let outcome = client.headers(0, 10).await;
        assert!(began.elapsed() < REQUEST_TIMEOUT * 2, "{manner:?} took {:?}", began.elapsed());
        match manner {
            Manner::List | Manner::Garbage => {
                assert!(matches!(outcome, Err(SourceError::Malformed(_))), "{manner:?}: {outcome:?}");
            }
            Manner::Chatty | Manner::Miscounts => assert_eq!(outcome, Ok(vec![]), "{manner:?}"),
            _ => assert!(matches!(outcome, Err(SourceError::Unavailable(_))), "{manner:?}: {outcome:?}"),
        }
        server.behave(Manner::Good);
        let mut recovered = client.check().await;
        for _ in 0..50 {
            if recovered.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            recovered = client.check().await;
        }
        assert_eq!(recovered, Ok(()), "after {manner:?}");
    }
}

#[tokio::test]
async fn another_network_and_plain_text_behind_ssl_are_refused() {
    let server = Hostile::start();
    let signet = bitcoin::constants::genesis_block(bitcoin::Network::Signet).block_hash();
    let error = server.client("tcp", signet).check().await.unwrap_err();
    assert_eq!(error, SourceError::WrongNetwork { expected: signet, found: genesis() });

    let began = Instant::now();
    let error = server.client("ssl", genesis()).check().await.unwrap_err();
    assert!(matches!(error, SourceError::Unavailable(_)), "{error:?}");
    assert!(began.elapsed() < REQUEST_TIMEOUT * 2);
}

#[tokio::test]
async fn nobody_listening_is_told_at_once_and_more_calls_than_the_queue_holds_are_shed() {
    let port = ailayer_devnet::free_port().unwrap();
    let endpoint = format!("tcp://127.0.0.1:{}", port.number()).parse().unwrap();
    let options = ElectrumOptions {
        endpoint,
        genesis_hash: genesis(),
        request_timeout: REQUEST_TIMEOUT,
        connections: 1,
    };
    let client = ElectrumClient::start(&options).unwrap();
    let began = Instant::now();
    assert!(matches!(client.check().await, Err(SourceError::Unavailable(_))));
    assert!(began.elapsed() < REQUEST_TIMEOUT);

    let server = Hostile::start();
    server.behave(Manner::Drips);
    let client = server.client("tcp", genesis());
    let outcomes = futures::future::join_all((0..400).map(|_| client.headers(0, 1))).await;
    let shed =
        outcomes.iter().filter(|outcome| matches!(outcome, Err(SourceError::Overloaded { .. }))).count();
    assert!((400 - 258..=400 - 256).contains(&shed), "{shed} of 400 were shed");
    assert!(outcomes.iter().all(Result::is_err));
}
