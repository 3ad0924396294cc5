//! The parts of an image's name, as a container runtime reads it.

/// A part of an image's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ImagePart {
    Registry,
    Repository,
    Tag,
    Digest,
}

/// What a name without a host comes from.
const DEFAULT_REGISTRY: &str = "docker.io";
/// Where Docker Hub has what is named by one word.
const OFFICIAL: &str = "library/";
/// What is pulled when neither tag nor digest is named.
const DEFAULT_TAG: &str = "latest";
/// No runtime takes a longer name: repository, tag and digest have bounds of their own.
const LONGEST: usize = 4096;

impl ImagePart {
    /// From the name that a query uses.
    pub(super) fn named(name: &str) -> Option<ImagePart> {
        Some(match name {
            "registry" => ImagePart::Registry,
            "repository" => ImagePart::Repository,
            "tag" => ImagePart::Tag,
            "digest" => ImagePart::Digest,
            _ => return None,
        })
    }

    /// This part of a whole name; `None` where it has none, as a tag beside a digest, and for what names no image.
    pub(super) fn of(self, image: &str) -> Option<String> {
        let is_plain = |c: char| c.is_ascii_graphic();
        if image.is_empty() || image.len() > LONGEST || !image.chars().all(is_plain) {
            return None;
        }
        let (name, digest) =
            image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
        let (host, path) = match name.split_once('/') {
            Some((host, path)) if is_host(host) => (Some(host), path),
            _ => (None, name),
        };
        let (path, tag) = path.rsplit_once(':').map_or((path, None), |(path, tag)| (path, Some(tag)));
        let registry = match host.map(str::to_ascii_lowercase) {
            // Another name of the same registry.
            Some(host) if host == "index.docker.io" => DEFAULT_REGISTRY.to_owned(),
            Some(host) => host,
            None => DEFAULT_REGISTRY.to_owned(),
        };
        let part = match self {
            ImagePart::Repository if registry == DEFAULT_REGISTRY && !path.contains('/') => {
                format!("{OFFICIAL}{path}")
            }
            ImagePart::Repository => path.to_owned(),
            ImagePart::Registry => registry,
            ImagePart::Tag => match (tag, digest) {
                (Some(tag), _) => tag.to_owned(),
                (None, Some(_)) => return None,
                (None, None) => DEFAULT_TAG.to_owned(),
            },
            ImagePart::Digest => digest?.to_owned(),
        };
        (!part.is_empty()).then_some(part)
    }
}

/// Whether the first word of a name is a host: `a/b` is a repository of Docker Hub, `a.example/b` is not.
fn is_host(word: &str) -> bool {
    word == "localhost" || word.contains(['.', ':']) || word.chars().any(|c| c.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PARTS: [ImagePart; 4] =
        [ImagePart::Registry, ImagePart::Repository, ImagePart::Tag, ImagePart::Digest];

    #[test]
    fn a_name_is_read_as_a_runtime_reads_it() {
        for (image, expected) in [
            ("nginx", ["docker.io", "library/nginx", "latest", ""]),
            ("nginx:1.29", ["docker.io", "library/nginx", "1.29", ""]),
            ("docker.io/nginx", ["docker.io", "library/nginx", "latest", ""]),
            ("index.docker.io/nginx", ["docker.io", "library/nginx", "latest", ""]),
            ("bitnami/redis:7", ["docker.io", "bitnami/redis", "7", ""]),
            ("registry.k8s.io/pause:3.10", ["registry.k8s.io", "pause", "3.10", ""]),
            ("Registry.Example.COM/a", ["registry.example.com", "a", "latest", ""]),
            ("registry.example.com:5000/shop/web:1", ["registry.example.com:5000", "shop/web", "1", ""]),
            ("registry.example.com:5000/shop/web", ["registry.example.com:5000", "shop/web", "latest", ""]),
            ("localhost/a", ["localhost", "a", "latest", ""]),
            ("localhost:5000/a", ["localhost:5000", "a", "latest", ""]),
            ("[fd00::1]:5000/a/b", ["[fd00::1]:5000", "a/b", "latest", ""]),
            ("a.example/b@sha256:ab", ["a.example", "b", "", "sha256:ab"]),
            ("a.example/b:1@sha256:ab", ["a.example", "b", "1", "sha256:ab"]),
            ("nginx@sha256:ab", ["docker.io", "library/nginx", "", "sha256:ab"]),
            // Not a host: a word with a port and nothing behind it is a name and its tag.
            ("a.example:5000", ["docker.io", "library/a.example", "5000", ""]),
            ("", ["", "", "", ""]),
            ("a b", ["", "", "", ""]),
            ("a\u{202e}", ["", "", "", ""]),
        ] {
            let parts = PARTS.map(|part| part.of(image).unwrap_or_default());
            assert_eq!(parts, expected, "{image}");
        }
        assert_eq!(ImagePart::Registry.of(&"a".repeat(LONGEST + 1)), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(image in "[a-z.:@/\\PC]{0,40}") {
            for part in PARTS {
                if let Some(part) = part.of(&image) {
                    prop_assert!(!part.is_empty() && part.len() <= image.len() + OFFICIAL.len() + DEFAULT_REGISTRY.len());
                }
            }
        }
    }
}
