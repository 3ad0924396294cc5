//! The parts of an image's name, as the page has them.

pub(super) const PARTS: [&str; 4] = ["registry", "repository", "tag", "digest"];

/// Of the full name of such a part, the name of the image and that of the part.
pub(super) fn image_of(name: &str) -> Option<(&str, &str)> {
    let lists = ["allContainers", "containers", "initContainers", "ephemeralContainers"];
    let (image, part) = name.rsplit_once('.')?;
    let is_image = lists.iter().any(|list| image == format!("podSpec.{list}.image"));
    (is_image && PARTS.contains(&part)).then_some((image, part))
}

/// This part of an image's name.
pub(super) fn part_of(image: &str, part: &str) -> Option<String> {
    if image.is_empty() || image.len() > 4096 || image.contains(|c: char| !c.is_ascii_graphic()) {
        return None;
    }
    let mut words: Vec<&str> = image.split('@').next()?.split('/').collect();
    let digest = image.find('@').map(|at| image[at + 1..].to_owned());
    let first = words[0];
    let is_host = words.len() > 1
        && (first == "localhost" || first.contains(|c: char| ".:".contains(c) || c.is_uppercase()));
    let host = if is_host { words.remove(0).to_lowercase() } else { "docker.io".to_owned() };
    let host = if host == "index.docker.io" { "docker.io".to_owned() } else { host };
    let path = words.join("/");
    let (name, tag) = match path.rfind(':') {
        Some(at) => (path[..at].to_owned(), Some(path[at + 1..].to_owned())),
        None => (path, None),
    };
    let found = match part {
        "registry" => Some(host),
        "repository" if host == "docker.io" && !name.contains('/') => Some(format!("library/{name}")),
        "repository" => Some(name),
        "tag" => tag.or_else(|| digest.is_none().then(|| "latest".to_owned())),
        _ => digest,
    };
    found.filter(|text| !text.is_empty())
}
