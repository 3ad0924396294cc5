//! A policy written as kube-apiserver reads it.

use super::document::{Line, Policy};

/// The widest comment.
const WIDTH: usize = 116;

impl Policy {
    /// The text for `--audit-policy-file`, below this comment.
    pub fn to_yaml(&self, comment: &str) -> String {
        let mut out = String::new();
        write_comment(&mut out, "", comment);
        out += "apiVersion: audit.k8s.io/v1\nkind: Policy\n";
        if !self.omit_stages.is_empty() {
            out += "# A record before the request is handled holds nothing that a later one lacks.\n";
            writeln(&mut out, &format!("omitStages: {}", list(self.omit_stages.iter().map(|s| s.as_str()))));
        }
        if self.omit_managed_fields {
            out += "# Who last wrote which field: often half of a body, and no rule looks at it.\n";
            out += "omitManagedFields: true\n";
        }
        out += "rules:\n";
        for (index, line) in self.lines.iter().enumerate() {
            if index > 0 {
                out.push('\n');
            }
            out += &line.to_yaml();
        }
        out
    }
}

impl Line {
    /// As an item of a policy's `rules`.
    pub fn to_yaml(&self) -> String {
        let mut out = String::new();
        write_comment(&mut out, "  ", &self.comment);
        writeln(&mut out, &format!("  - level: {}", self.level.as_str()));
        let lists = [
            ("users", &self.users),
            ("userGroups", &self.user_groups),
            ("verbs", &self.verbs),
            ("namespaces", &self.namespaces),
            ("nonResourceURLs", &self.non_resource_urls),
        ];
        for (key, values) in lists.into_iter().filter(|(_, values)| !values.is_empty()) {
            writeln(&mut out, &format!("    {key}: {}", list(values.iter().map(String::as_str))));
        }
        if !self.resources.is_empty() {
            out += "    resources:\n";
        }
        for resources in &self.resources {
            let mut parts = vec![format!("group: {}", scalar(&resources.group))];
            for (key, names) in
                [("resources", &resources.resources), ("resourceNames", &resources.resource_names)]
            {
                if !names.is_empty() {
                    parts.push(format!("{key}: {}", list(names.iter().map(String::as_str))));
                }
            }
            writeln(&mut out, &format!("      - {{{}}}", parts.join(", ")));
        }
        if !self.omit_stages.is_empty() {
            let stages = list(self.omit_stages.iter().map(|stage| stage.as_str()));
            writeln(&mut out, &format!("    omitStages: {stages}"));
        }
        if let Some(omit) = self.omit_managed_fields {
            writeln(&mut out, &format!("    omitManagedFields: {omit}"));
        }
        out
    }
}

fn writeln(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn write_comment(out: &mut String, indent: &str, comment: &str) {
    // YAML knows more line breaks than one, and a comment must not end at a rule's name.
    let is_safe = |c: char| c.is_ascii_graphic() || c == ' ' || c == '\n';
    let comment: String = comment.chars().map(|c| if is_safe(c) { c } else { '?' }).collect();
    for paragraph in comment.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.len() + word.len() > WIDTH {
                writeln(out, &format!("{indent}# {line}"));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line += word;
        }
        writeln(out, &format!("{indent}# {line}"));
    }
}

fn list<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", texts.map(scalar).collect::<Vec<_>>().join(", "))
}

/// Quoted where YAML could read anything else than this text.
fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && !text.ends_with(':')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._/:".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_ascii_lowercase().as_str());
    if is_plain {
        return text.to_owned();
    }
    let escaped = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        ' '..='~' => c.to_string(),
        _ => format!("\\U{:08x}", u32::from(c)),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}
