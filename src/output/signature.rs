//! Signatures as the Standard Webhooks specification has them: HMAC-SHA256 over id, time and body.
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use data_encoding::BASE64;
use ring::hmac;

/// What begins a secret as it is written.
const PREFIX: &str = "whsec_";
/// The shortest secret in bytes; the specification's.
const SHORTEST: usize = 24;

/// Why a text is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotASecret(pub(super) &'static str);

/// The secrets that a message is signed with: one, or two while receivers move from one to the other.
pub(super) struct Secrets(Vec<hmac::Key>);

impl Secrets {
    /// Reads one secret a line.
    pub(super) fn read(text: &str) -> Result<Self, NotASecret> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys: Vec<_> = lines.map(key).collect::<Result<_, _>>()?;
        match keys.len() {
            0 => Err(NotASecret("no secret")),
            1 | 2 => Ok(Self(keys)),
            _ => Err(NotASecret("more than two secrets")),
        }
    }

    /// The value of `webhook-signature`.
    pub(super) fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let signature = |key: &hmac::Key| {
            let mut context = hmac::Context::with_key(key);
            context.update(format!("{id}.{timestamp}.").as_bytes());
            context.update(body);
            format!("v1,{}", BASE64.encode(context.sign().as_ref()))
        };
        self.0.iter().map(signature).collect::<Vec<_>>().join(" ")
    }
}

fn key(line: &str) -> Result<hmac::Key, NotASecret> {
    let encoded = line.strip_prefix(PREFIX).ok_or(NotASecret("a secret that does not begin with whsec_"))?;
    let secret = BASE64.decode(encoded.as_bytes()).map_err(|_| NotASecret("a secret that is not base64"))?;
    if secret.len() < SHORTEST {
        return Err(NotASecret("a secret of less than 24 bytes"));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    /// As the specification's own libraries sign it.
    const SIGNED: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn sign(secrets: &str) -> String {
        let body = br#"{"test": 2432232314}"#;
        Secrets::read(secrets).unwrap().sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body)
    }

    #[test]
    fn a_signature_is_as_others_make_it() {
        assert_eq!(sign(&format!("{SECRET}\n")), SIGNED);
    }

    #[test]
    fn during_a_rotation_there_are_two() {
        let other = format!("whsec_{}", BASE64.encode(&[7; 32]));
        let both = sign(&format!("{other}\n{SECRET}\n"));
        let (first, second) = both.split_once(' ').unwrap();
        assert_eq!((first, second), (&*sign(&other), SIGNED));
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        let short = format!("whsec_{}", BASE64.encode(&[7; 23]));
        for (text, why) in [
            ("\n", "no secret"),
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "a secret that does not begin with whsec_"),
            ("whsec_?", "a secret that is not base64"),
            (&*short, "a secret of less than 24 bytes"),
            (&*[SECRET; 3].join("\n"), "more than two secrets"),
        ] {
            assert_eq!(Secrets::read(text).err(), Some(NotASecret(why)));
        }
    }
}
