//! What runs in the machine whose power is cut (xtask/src/lane/power.rs): the platform on a disk, and its clients.
//!
//! ```text
//!   power-cut create DATA   makes the functions; says "ready"
//!   power-cut load DATA     sends events, and says "accepted ID" for each, until the power goes
//!   power-cut tell DATA     says "told ID" for each event whose end is told, until no event is left
//! ```
//!
//! Whoever reads the console knows what was accepted: here nothing is remembered.

use std::path::Path;
use std::process::ExitCode;
use std::thread;

use mayfly_tests::events::{self, FUNCTIONS};
use mayfly_tests::platform::Platform;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [what, data] = words.as_slice() else { return usage() };
    let data = Path::new(data);
    match what.as_str() {
        "create" => create(data),
        "load" => load(data),
        "tell" => tell(data),
        _ => return usage(),
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("usage: power-cut create|load|tell DATA");
    ExitCode::FAILURE
}

fn create(data: &Path) {
    let platform = Platform::start_on(data, &events::OPTIONS);
    events::create(&platform);
    println!("ready");
    // What was made is made: nothing that ends well helps it.
    loop {
        thread::park();
    }
}

fn load(data: &Path) {
    let platform = Platform::start_on(data, &events::OPTIONS);
    let address = platform.address();
    let clients = FUNCTIONS.map(|name| {
        thread::spawn(move || events::send(address, name, |id| println!("accepted {id}")))
    });
    for client in clients {
        client.join().expect("the platform answers while there is power");
    }
    panic!("the platform is gone, and the power is not: {}", platform.stop());
}

fn tell(data: &Path) {
    let platform = Platform::start_on(data, &events::OPTIONS);
    while events::left(&platform) > 0 {
        for id in events::receive(&platform) {
            println!("told {id}");
        }
    }
    platform.stop();
}
