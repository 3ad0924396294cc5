//! The subject of a certificate request, from what a client sends for a `CertificateSigningRequest`.
//!
//! The API server takes the first block of the PEM text and reads it with Go's parser. This reads every block, and of each
//! no more than it takes to get at the subject: a request that only the one of both understands must not hide whom it asks
//! to be.
use std::sync::LazyLock;

use data_encoding::{BASE64, Encoding};
use x509_parser::der_parser::asn1_rs::{Any, FromDer as _, Tag};
use x509_parser::prelude::X509Name;

/// The part of a subject that becomes a user's name or groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SubjectPart {
    Organization,
    CommonName,
}

/// More than etcd stores in an object.
const LONGEST: usize = 2 << 20;
/// The most values of a subject that are told.
const MOST_VALUES: usize = 256;

const BEGIN: &str = "-----BEGIN CERTIFICATE REQUEST-----";
const END: &str = "-----END";

/// Base64 as Go reads it: line breaks are passed over, and unused bits of the last character may be set.
static AS_GO: LazyLock<Encoding> = LazyLock::new(|| {
    let mut rules = BASE64.specification();
    rules.check_trailing_bits = false;
    rules.ignore.push_str(" \t\r\n");
    // A fixed specification, which a test uses.
    rules.encoding().unwrap_or(BASE64)
});

/// The values of this part in all requests of `spec.request`, which is PEM in base64.
pub(super) fn subject(part: SubjectPart, request: &str) -> Vec<String> {
    if request.len() > LONGEST {
        return Vec::new();
    }
    let Ok(pem) = AS_GO.decode(request.as_bytes()) else { return Vec::new() };
    let pem = String::from_utf8_lossy(&pem);
    let blocks = pem.split(BEGIN).skip(1).filter_map(|block| Some(block.split_once(END)?.0));
    blocks.filter_map(der).flat_map(|der| values(part, &der)).take(MOST_VALUES).collect()
}

/// What a block holds, below headers that it may have.
fn der(block: &str) -> Option<Vec<u8>> {
    let lines: String = block.lines().filter(|line| !line.contains(':')).collect();
    AS_GO.decode(lines.as_bytes()).ok()
}

/// `CertificationRequest ::= SEQUENCE { SEQUENCE { version INTEGER, subject Name, … }, … }`
fn values(part: SubjectPart, der: &[u8]) -> Vec<String> {
    let inside =
        |der| Any::from_der(der).ok().filter(|(_, any)| any.tag() == Tag::Sequence).map(|(_, any)| any.data);
    let read = || {
        let info = inside(inside(der)?)?;
        let (subject, _version) = Any::from_der(info).ok()?;
        X509Name::from_der(subject).ok()
    };
    let Some((_, name)) = read() else { return Vec::new() };
    let text = |value: &Any<'_>| match value.tag() {
        Tag::BmpString => {
            let units = value.data.chunks_exact(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]]));
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        _ => String::from_utf8_lossy(value.data).into_owned(),
    };
    match part {
        SubjectPart::Organization => name.iter_organization().map(|value| text(value.attr_value())).collect(),
        SubjectPart::CommonName => name.iter_common_name().map(|value| text(value.attr_value())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair};

    use super::*;

    fn pem(values: &[(DnType, DnValue)]) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in values {
            params.distinguished_name.push(kind.clone(), value.clone());
        }
        params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
    }

    fn both(pem: &str) -> (Vec<String>, Vec<String>) {
        let request = BASE64.encode(pem.as_bytes());
        (subject(SubjectPart::Organization, &request), subject(SubjectPart::CommonName, &request))
    }

    fn masters() -> String {
        let text = |text: &str| DnValue::Utf8String(text.to_owned());
        pem(&[(DnType::OrganizationName, text("system:masters")), (DnType::CommonName, text("eve"))])
    }

    fn expected() -> (Vec<String>, Vec<String>) {
        (vec!["system:masters".to_owned()], vec!["eve".to_owned()])
    }

    #[test]
    fn a_subject_is_read_however_the_request_is_written() {
        assert_eq!(both(&masters()), expected());
        assert_eq!(both(&masters().replace('\n', "\r\n")), expected());
        assert_eq!(both(&format!("some text\n\n{}", masters())), expected());
        let headers = "REQUEST-----\nProc-Type: 4,ENCRYPTED\n\n";
        assert_eq!(both(&masters().replacen("REQUEST-----\n", headers, 1)), expected());
        // What stands before may be damaged, or another request.
        let damaged = format!("{BEGIN}\n!!!!\n-----END CERTIFICATE REQUEST-----\n{}", masters());
        assert_eq!(both(&damaged), expected());
        assert_eq!(both(&format!("{}{}", pem(&[]), masters())), expected());
        // Line breaks in the outer base64, as a client may send it in a patch.
        let request = BASE64.encode(masters().as_bytes());
        let (start, end) = request.split_at(64);
        assert_eq!(subject(SubjectPart::CommonName, &format!("{start}\n{end}\n")), ["eve"]);
    }

    #[test]
    fn strings_of_every_kind_are_read() {
        let organization = |value| both(&pem(&[(DnType::OrganizationName, value)])).0;
        let name = "system:masters";
        assert_eq!(organization(DnValue::TeletexString(name.try_into().unwrap())), [name]);
        assert_eq!(organization(DnValue::BmpString(name.try_into().unwrap())), [name]);
        assert_eq!(organization(DnValue::Ia5String(name.try_into().unwrap())), [name]);
    }

    #[test]
    fn what_is_no_request_has_no_subject() {
        let none = (Vec::new(), Vec::new());
        for text in ["", "LS0t", BEGIN, &pem(&[]), &masters().replace("REQUEST", "THING")] {
            assert_eq!(both(text), none, "{text}");
        }
        assert!(subject(SubjectPart::CommonName, "not base64!").is_empty());
        assert!(subject(SubjectPart::CommonName, &"A".repeat(LONGEST + 4)).is_empty());
        assert_ne!(AS_GO.specification().ignore, "", "the specification is one");
    }

    proptest! {
        #[test]
        fn a_damaged_request_is_read_without_a_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let pem = masters();
            let block = pem.split_once(BEGIN).unwrap().1.split_once(END).unwrap().0;
            let mut der = der(block).unwrap();
            for (at, byte) in changes {
                let at = at.index(der.len());
                der[at] = byte;
            }
            der.truncate(1 + cut.index(der.len()));
            for part in [SubjectPart::Organization, SubjectPart::CommonName] {
                prop_assert!(values(part, &der).iter().all(|value| value.len() <= 3 * der.len()));
            }
        }
    }
}
