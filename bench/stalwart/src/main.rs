//! Seals messages with the crates that Stalwart seals with, and times itself. The arguments name the
//! crate that writes base64, and a certificate in PEM. Standard input has lines of words between
//! tabs: "load FILE...", answered by how many messages there are; "run COUNT", answered by the
//! nanoseconds that so many took, on the wall and of the processor; "write FILE", answered by the
//! length of the first message, which now stands there sealed.

mod seal;

use std::error::Error;
use std::io::{self, BufRead};
use std::time::{Duration, Instant};
use std::{env, fs, hint};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

struct Peer {
    certificate: Vec<u8>,
    encoder: seal::Base64,
    messages: Vec<Vec<u8>>,
    next: usize,
}

impl Peer {
    fn answer(&mut self, words: &[&str]) -> Result<String> {
        match words {
            ["load", files @ ..] => self.load(files).map(|count| count.to_string()),
            ["run", count] => self.run(count.parse()?),
            ["write", file] => self.write(file).map(|len| len.to_string()),
            _ => Err(format!("there is no command {words:?}").into()),
        }
    }

    fn load(&mut self, files: &[&str]) -> Result<usize> {
        self.messages = files.iter().map(fs::read).collect::<io::Result<_>>()?;
        self.next = 0;
        Ok(files.len())
    }

    fn run(&mut self, count: usize) -> Result<String> {
        let (wall, cpu) = (Instant::now(), processor_time());
        for _ in 0..count {
            hint::black_box(self.seal(&self.messages[self.next])?);
            self.next = (self.next + 1) % self.messages.len();
        }
        let cpu = processor_time() - cpu;
        Ok(format!("{}\t{}", wall.elapsed().as_nanos(), cpu.as_nanos()))
    }

    fn seal(&self, message: &[u8]) -> Result<Vec<u8>> {
        seal::seal(message, &self.certificate, self.encoder)
    }

    fn write(&self, file: &str) -> Result<usize> {
        let message = self.messages.first().ok_or("no message is loaded")?;
        let sealed = self.seal(message)?;
        fs::write(file, &sealed)?;
        Ok(sealed.len())
    }
}

/// Of this process.
fn processor_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the clock writes into `time` and nowhere else.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Of the crates that do the work, as the lock file has them.
fn versions() -> String {
    let mut lines = include_str!("../Cargo.lock").lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let name = line.trim_start_matches("name = ").trim_matches('"');
        if ["aes", "cbc", "encodify", "mail-builder", "rasn-cms", "rsa"].contains(&name) {
            let version = lines
                .next()
                .unwrap_or_default()
                .trim_start_matches("version = ");
            found.push(format!("{name} {}", version.trim_matches('"')));
        }
    }
    format!("Stalwart's crates {}", found.join(", "))
}

fn main() -> Result<()> {
    let usage = "the arguments are mail-builder or encodify, and a certificate in PEM";
    let mut arguments = env::args().skip(1);
    let encoder = match arguments.next().as_deref() {
        Some("mail-builder") => seal::Base64::MailBuilder,
        Some("encodify") => seal::Base64::Encodify,
        _ => return Err(usage.into()),
    };
    let path = arguments.next().ok_or(usage)?;
    let certificate = seal::read_certificate(&fs::read_to_string(path)?)?;
    let mut peer = Peer {
        certificate,
        encoder,
        messages: Vec::new(),
        next: 0,
    };
    println!("{}", versions());
    for line in io::stdin().lock().lines() {
        let line = line?;
        println!("{}", peer.answer(&line.split('\t').collect::<Vec<_>>())?);
    }
    Ok(())
}
