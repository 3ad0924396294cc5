//! The log as a cluster might write it that suits the matcher least.

use anyhow::{Context, Result, bail};

use crate::passes::lines;

/// Every event with its keys, and those of its `objectRef`, in the reverse order: no API server writes them so, but
/// what collects and forwards logs may.
pub(crate) fn reordered(log: &[u8]) -> Result<Vec<u8>> {
    let mut text = Vec::with_capacity(log.len());
    for line in lines(log) {
        reverse(line, &mut text)?;
        text.push(b'\n');
    }
    Ok(text)
}

fn reverse(object: &[u8], text: &mut Vec<u8>) -> Result<()> {
    let mut members = sonic_rs::to_object_iter(object).collect::<sonic_rs::Result<Vec<_>>>()?;
    members.reverse();
    text.push(b'{');
    for (number, (key, value)) in members.iter().enumerate() {
        if number > 0 {
            text.push(b',');
        }
        // The keys of an event need no escaping; those of `annotations` are not looked at.
        text.extend(format!("\"{key}\":").bytes());
        match value.as_raw_str().as_bytes() {
            value if key == "objectRef" => reverse(value, text)?,
            value => text.extend(value),
        }
    }
    text.push(b'}');
    Ok(())
}

/// Every event with a user, an address and an agent that no other has, all else as it was.
pub(crate) fn unique(log: &[u8]) -> Result<Vec<u8>> {
    let mut text = Vec::with_capacity(log.len() + log.len() / 32);
    for (number, line) in lines(log).enumerate() {
        let line = std::str::from_utf8(line)?;
        let (rest, user) = up_to_end(line, "\"user\":{\"username\":\"").context("no user")?;
        let (rest, address) = up_to_end(rest, "\"sourceIPs\":[\"").context("no address")?;
        let (rest, agent) = up_to_end(rest, "\"userAgent\":\"").context("no agent")?;
        let address = match address.rsplit_once('"') {
            Some((before, address)) => format!("{before}\"{}", elsewhere(address, number)?),
            None => bail!("no address"),
        };
        text.extend(format!("{user}-{number:05x}{address}{agent}-{number:05x}{rest}\n").bytes());
    }
    Ok(text)
}

/// The text from the end of the string that begins after `start`, and the text before.
fn up_to_end<'a>(text: &'a str, start: &str) -> Option<(&'a str, &'a str)> {
    let from = text.find(start)? + start.len();
    let (before, rest) = text.split_at(from + text[from..].find('"')?);
    Some((rest, before))
}

/// An address in the same /8, so that rules which name a network still do.
fn elsewhere(address: &str, number: usize) -> Result<String> {
    let (network, _) = address.split_once('.').context("no IPv4 address")?;
    let [.., a, b, c] = u32::try_from(number)?.to_be_bytes();
    Ok(format!("{network}.{a}.{b}.{c}"))
}
