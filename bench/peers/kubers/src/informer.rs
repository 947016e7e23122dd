//! A pod reflector of kube-rs as a controller starts it, for bench/peers/sync.py: prints one line
//! when it is in step with the server, and ends with its stdin.

use std::error::Error;
use std::io::Read;
use std::time::Instant;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube_client::config::{KubeConfigOptions, Kubeconfig};
use kube_client::{Api, Client, Config};
use kube_runtime::{WatchStreamExt, reflector, watcher};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: kubers-informer KUBECONFIG")?;
    let file = Kubeconfig::read_from(path)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    let client = Client::try_from(config)?;
    let started = Instant::now();
    let (reader, writer) = reflector::store();
    let stream = watcher(Api::<Pod>::all(client), watcher::Config::default());
    let mut stream = stream.default_backoff().reflect(writer).boxed();
    tokio::spawn(async move {
        while let Some(event) = stream.next().await {
            if let Err(error) = event {
                eprintln!("{error}");
            }
        }
    });
    reader.wait_until_ready().await?;
    let seconds = started.elapsed().as_secs_f64();
    println!("{{\"seconds\": {seconds}, \"objects\": {}}}", reader.state().len());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
